"""The table in which methods look up functions."""

from ..tracer.op import FUNCTIONS as F
from ..tracer.op import numpy_names

__all__ = ["F", "numpy_names"]
