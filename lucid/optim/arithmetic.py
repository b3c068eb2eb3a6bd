"""Functions for an optimizer's update that work on Tensors, NumPy arrays and numbers alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..tracer.op import OPS, Array

__all__ = ["cast", "corrected", "effective_length", "maximum", "minimum", "sqrt"]


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


def corrected(beta: Any, step: Array) -> Array:
    """Computes ``1 - beta**step``, the bias correction of an average with decay rate `beta` after some steps.

    For a float32 tensor it is -2 tanh(x / 2) / (1 - tanh(x / 2)) with x = step ln(beta), which does not cancel: it
    errs by at most 3.5e-7 of itself up to 50,000 steps, and the difference by up to 7e-4.
    """
    if not _is_narrow(step):
        return 1 - beta**step
    if isinstance(beta, (int, float)) and not beta:
        return step * 0 + 1
    half = OPS["tanh"](step * (_log(beta) * 0.5))
    return half * -2 / (1 - half)


def effective_length(beta: Any, step: Array) -> Array:
    """Computes the length of the moving average whose variance is that of an exponential one after some steps.

    It is ``2 / (1 - beta) - 1 - 2 step beta**step / (1 - beta**step)``. For a float32 tensor it is computed
    without the difference of numbers near 2 / (1 - beta): with x = -ln(beta) and f(z) = z coth(z) - 1, it is
    step - 2 / x (f(x step / 2) - f(x / 2)).

    Source: L. Liu et al. (2020), "On the variance of the adaptive learning rate and beyond", section 4.
    """
    if not _is_narrow(step):
        return 2 / (1 - beta) - 1 - 2 * step * beta**step / (1 - beta**step)
    if isinstance(beta, (int, float)) and not beta:
        return step * 0 + 1
    half = _log(beta) * -0.5
    z, first = step * half, _excess(step * 0 + half)
    # z coth(z) = z + 2 z / (exp(2 z) - 1), of which the z is the step itself.
    later = (1 + first - 2 * z / (OPS["exp"](2 * z) - 1)) / half
    return OPS["where"](z < 0.7, step - (_excess(z) - first) / half, later)


def _excess(z: Tensor) -> Array:
    """Computes z coth(z) - 1 by its series, for z below 0.7."""
    square = z * z
    return square * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square * (1 / 4725 - square * (2 / 93555)))))


def _is_narrow(step: Any) -> bool:
    return isinstance(step, Tensor) and step.dtype == np.float32


def _log(beta: Any) -> Any:
    return beta.log() if isinstance(beta, Tensor) else math.log(beta)
