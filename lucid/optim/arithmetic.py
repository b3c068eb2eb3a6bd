"""Functions for an optimizer's update that work on Tensors, NumPy arrays and numbers alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..tracer.op import OPS, Array

__all__ = ["cast", "maximum", "minimum", "sqrt"]


def sqrt(x: Array) -> Array:
    """Computes the square root."""
    if isinstance(x, Tensor):
        return OPS["sqrt"](x)
    # np.sqrt would turn a Python float into a float64 scalar, which promotes float32 arrays to float64.
    return math.sqrt(x) if isinstance(x, (int, float)) else np.sqrt(x)


def maximum(x: Array, y: Array) -> Array:
    """Computes the elementwise maximum, or the larger of two numbers."""
    if isinstance(x, Tensor) or isinstance(y, Tensor):
        return OPS["maximum"](x, y)
    return max(x, y) if isinstance(x, (int, float)) else np.maximum(x, y)


def minimum(x: Array, y: Array) -> Array:
    """Computes the smaller of two numbers, of which `x` may be a tensor without axes."""
    if isinstance(x, Tensor):
        return OPS["minimum"](x, y)
    return min(x, y) if isinstance(x, (int, float)) else np.minimum(x, y)


def cast(number: Any, like: Array) -> Array:
    """Casts a number so that it does not promote `like` to another dtype.

    A Python number never does. A tensor without axes would: the step count is float64.
    """
    if not isinstance(number, Tensor):
        return number
    return number if number.dtype == like.dtype else OPS["astype"](number, dtype=like.dtype)
