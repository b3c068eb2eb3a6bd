"""What an optimizer's update uses beside operators: each works on Tensors, NumPy arrays and numbers alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..tracer.op import OPS, Array

__all__ = ["cast", "maximum", "minimum", "sqrt"]


def sqrt(x: Array) -> Array:
    """The square root."""
    if isinstance(x, Tensor):
        return OPS["sqrt"](x)
    # np.sqrt would turn a Python float into a float64 scalar, which makes float64 of the float32 arrays it meets.
    return math.sqrt(x) if isinstance(x, (int, float)) else np.sqrt(x)


def maximum(x: Array, y: Array) -> Array:
    """The larger of two elements."""
    return OPS["maximum"](x, y) if isinstance(x, Tensor) or isinstance(y, Tensor) else np.maximum(x, y)


def minimum(x: Array, y: Array) -> Array:
    """The smaller of a number, or a tensor that stands for one, and a number."""
    if isinstance(x, Tensor):
        return OPS["minimum"](x, y)
    return min(x, y) if isinstance(x, (int, float)) else np.minimum(x, y)


def cast(number: Any, like: Array) -> Array:
    """A number that takes the dtype of `like` where they meet.

    A Python number does so by itself. A tensor without axes does not: float64, as the step count is, would win.
    """
    if not isinstance(number, Tensor):
        return number
    return number if number.dtype == like.dtype else OPS["astype"](number, dtype=like.dtype)
