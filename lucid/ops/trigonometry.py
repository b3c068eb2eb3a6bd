"""Trigonometric and hyperbolic functions, and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array
from .elementwise import eq, sqrt, where

__all__ = ["acos", "asin", "atan", "atan2", "cosh", "hypot", "sinh", "tan"]

# PyTorch computes inf and nan silently; so do these.
_quiet = np.errstate(all="ignore")


@op
@_quiet
def tan(x: Array, /) -> Array:
    """Computes the tangent (torch.tan).

    >>> lucid.tan(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 1.5574])
    """
    return np.tan(x)


@tan.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * (1 + out * out)


@op
@_quiet
def sinh(x: Array, /) -> Array:
    """Computes the hyperbolic sine (torch.sinh).

    >>> lucid.sinh(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 1.1752])
    """
    return np.sinh(x)


@sinh.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * cosh(x)


@op
@_quiet
def cosh(x: Array, /) -> Array:
    """Computes the hyperbolic cosine (torch.cosh).

    >>> lucid.cosh(lucid.tensor([0.0, 1.0]))
    tensor([1.    , 1.5431])
    """
    return np.cosh(x)


@cosh.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * sinh(x)


@op
@_quiet
def asin(x: Array, /) -> Array:
    """Computes the inverse sine, from -π/2 to π/2; NaN beyond -1 and 1 (torch.asin).

    >>> lucid.asin(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 1.5708])
    """
    return np.arcsin(x)


@asin.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g / sqrt(1 - x * x)


@op
@_quiet
def acos(x: Array, /) -> Array:
    """Computes the inverse cosine, from 0 to π; NaN beyond -1 and 1 (torch.acos).

    >>> lucid.acos(lucid.tensor([0.0, 1.0]))
    tensor([1.5708, 0.    ])
    """
    return np.arccos(x)


@acos.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return -g / sqrt(1 - x * x)


@op
def atan(x: Array, /) -> Array:
    """Computes the inverse tangent, from -π/2 to π/2 (torch.atan).

    >>> lucid.atan(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 0.7854])
    """
    return np.arctan(x)


@atan.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g / (1 + x * x)


@op
def atan2(x: Array, y: Array, /) -> Array:
    """Computes the angle of the point with the ordinate `x` and the abscissa `y`, from -π to π (torch.atan2).

    >>> lucid.atan2(lucid.tensor([1.0, -1.0]), lucid.tensor([1.0, 0.0]))
    tensor([ 0.7854, -1.5708])
    """
    return np.arctan2(x, y)


@atan2.vjp
def _(g: Tensor, x: Any, y: Any, needs: tuple[bool, ...]) -> Any:
    # At the origin there is no direction; the gradient is 0, as in PyTorch.
    square = x * x + y * y
    share = where(eq(square, 0), 0.0, g) / where(eq(square, 0), 1.0, square)
    return share * y if needs[0] else None, share * -x if needs[1] else None


@op
def hypot(x: Array, y: Array, /) -> Array:
    """Computes ``sqrt(x² + y²)`` without overflow (torch.hypot).

    >>> lucid.hypot(lucid.tensor([3.0]), lucid.tensor([4.0]))
    tensor([5.])
    """
    return np.hypot(x, y)


@hypot.vjp
def _(g: Tensor, x: Any, y: Any, out: Tensor, needs: tuple[bool, ...]) -> Any:
    return g * (x / out) if needs[0] else None, g * (y / out) if needs[1] else None
