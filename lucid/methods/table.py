"""The table in which methods look up functions."""

from ..tracer.op import FUNCTIONS as F

__all__ = ["F"]
