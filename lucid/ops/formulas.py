"""Elementwise functions that are short formulas of others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import Tensor, as_tensor
from ..tracer.op import function
from .elementwise import eq, exp, le, log, mul, sub, where
from .logic import isnan
from .math import clamp

__all__ = [
    "addcdiv",
    "addcmul",
    "clamp_max",
    "clamp_min",
    "deg2rad",
    "exp2",
    "lerp",
    "logit",
    "nan_to_num",
    "rad2deg",
    "xlogy",
]


@function
def addcmul(x: Tensor, y: Any, z: Any, *, value: Any = 1) -> Tensor:
    """Computes ``x + value * y * z`` (torch.addcmul).

    >>> lucid.addcmul(lucid.tensor([1.0]), lucid.tensor([2.0]), lucid.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    return x + mul(y, z) * value


@function
def addcdiv(x: Tensor, y: Any, z: Any, *, value: Any = 1) -> Tensor:
    """Computes ``x + value * y / z`` (torch.addcdiv).

    >>> lucid.addcdiv(lucid.tensor([1.0]), lucid.tensor([6.0]), lucid.tensor([3.0]), value=0.5)
    tensor([2.])
    """
    return x + as_tensor(y) / z * value


@function
def lerp(x: Tensor, end: Any, weight: Any) -> Tensor:
    """Moves from `x` to `end` by the share `weight` of the way (torch.lerp).

    >>> lucid.lerp(lucid.tensor([0.0, 2.0]), lucid.tensor([4.0, 4.0]), 0.25)
    tensor([1. , 2.5])
    """
    return x + sub(end, x) * weight


@function
def clamp_min(x: Tensor, min: Any) -> Tensor:
    """Raises elements to a limit (torch.clamp_min).

    >>> lucid.clamp_min(lucid.tensor([-2.0, 3.0]), 0)
    tensor([0., 3.])
    """
    return clamp(x, min)


@function
def clamp_max(x: Tensor, max: Any) -> Tensor:
    """Lowers elements to a limit (torch.clamp_max).

    >>> lucid.clamp_max(lucid.tensor([-2.0, 3.0]), 0)
    tensor([-2.,  0.])
    """
    return clamp(x, None, max)


@function
def exp2(x: Tensor) -> Tensor:
    """Computes ``2 ** x`` (torch.exp2).

    >>> lucid.exp2(lucid.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """
    return exp(x * math.log(2))


@function
def deg2rad(x: Tensor) -> Tensor:
    """Converts degrees to radians (torch.deg2rad).

    >>> lucid.deg2rad(lucid.tensor([180.0]))
    tensor([3.1416])
    """
    return x * (math.pi / 180)


@function
def rad2deg(x: Tensor) -> Tensor:
    """Converts radians to degrees (torch.rad2deg).

    >>> lucid.rad2deg(lucid.tensor([lucid.pi]))
    tensor([180.])
    """
    return x * (180 / math.pi)


@function
def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """Computes ``log(x / (1 - x))``, the inverse of `sigmoid` (torch.logit).

    Args:
        x: probabilities.
        eps: if given, they are clamped to between `eps` and ``1 - eps``.

    >>> lucid.logit(lucid.tensor([0.5, 0.9]))
    tensor([0.    , 2.1972])
    """
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return log(x / (1 - x))


@function
def xlogy(x: Tensor, y: Any) -> Tensor:
    """Computes ``x * log(y)``, and 0 where `x` is 0, unless `y` is NaN (torch.xlogy).

    >>> lucid.xlogy(lucid.tensor([0.0, 1.0]), lucid.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    y = as_tensor(y)
    empty = eq(x, 0) & (le(y, 0) | eq(y, math.inf))
    return where(empty, 0.0, x * log(where(empty, 1.0, y)))


@function
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Replaces NaN and infinite elements (torch.nan_to_num).

    Args:
        x: the tensor.
        nan: what stands for NaN.
        posinf, neginf: what stands for infinities; the greatest and the least number of the dtype if None.

    >>> lucid.nan_to_num(lucid.tensor([lucid.nan, 1.0, lucid.inf]), posinf=9.0)
    tensor([0., 1., 9.])
    """
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    found = where(isnan(x), nan, x)
    found = where(eq(found, math.inf), float(limits.max) if posinf is None else posinf, found)
    return where(eq(found, -math.inf), float(limits.min) if neginf is None else neginf, found)
