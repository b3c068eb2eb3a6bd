"""Where methods find what they call."""

from ..tracer.op import FUNCTIONS as F

__all__ = ["F"]
