"""Variance, standard deviation and norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .elementwise import abs, eq, maximum, ne, sign, sqrt, where
from .extremum import amax, amin
from .math import square
from .reduce import Dims, axes, mean, restore, size, sum

__all__ = ["norm", "std", "var"]


@function
def var(
    x: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
) -> Tensor:
    """Computes the variance, ``sum((x - mean)²) / (n - correction)`` (torch.var).

    Args:
        x: the tensor.
        dim: an axis, several, or None for all.
        unbiased: True for ``correction=1``, False for ``correction=0``; `correction` applies if not given.
        keepdim: keep the reduced axes, with size one.
        correction: the number of degrees of freedom to subtract; the result is NaN if none is left. None means 1.

    >>> lucid.var(lucid.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    if correction is None:
        correction = 1
    spread = sum(square(x - mean(x, dim, True)), dim, keepdim)
    freedom = size(x, dim=dim)
    return spread / (maximum(freedom - correction, 0.0) if correction else freedom)


@function
def std(
    x: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
) -> Tensor:
    """Computes the standard deviation, the square root of `var` (torch.std).

    >>> lucid.std(lucid.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    return sqrt(var(x, dim, unbiased, keepdim, correction=correction))


@op
def norm2(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """Computes ``sqrt(sum(x²))``, with gradient 0 at 0 (ONNX ReduceL2)."""
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    return np.sqrt(np.sum(np.square(x), axis=axes(dim), keepdims=keepdim))


@norm2.vjp
def _(g: Tensor, x: Tensor, out: Tensor, dim: Dims, keepdim: bool, shapes: Any) -> Any:
    length = restore(out, dim, keepdim, shapes[0])
    zero = eq(length, 0)
    return where(zero, 0.0, restore(g, dim, keepdim, shapes[0])) * (x / where(zero, 1.0, length))


@function
def norm(x: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Computes ``sum(|x| ** p) ** (1 / p)``; for infinite `p` the largest or smallest ``|x|``, for 0 the nonzero count
    (torch.norm).

    >>> lucid.norm(lucid.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p in (2, "fro"):
        return norm2(x, dim, keepdim)
    if isinstance(p, str):
        raise ValueError(f"norm: p must be a number or 'fro'; got {p!r}")
    if p == float("inf"):
        return amax(abs(x), dim, keepdim)
    if p == float("-inf"):
        return amin(abs(x), dim, keepdim)
    if p == 0:
        # The gradient of the sign is 0.
        return sum(where(ne(x, 0), 1.0, sign(x)), dim, keepdim)
    size_of = abs(x)
    if p == 1:
        return sum(size_of, dim, keepdim)
    return sum(size_of**p, dim, keepdim) ** (1 / p)


@function
def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divides `x` by its norm along an axis, or by `eps` if that is larger (torch.nn.functional.normalize).

    >>> lucid.nn.functional.normalize(lucid.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    return x / maximum(norm(x, p, dim, True), eps)
