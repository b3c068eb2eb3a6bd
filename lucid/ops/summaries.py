"""Sums and means that leave NaN out, pairs of statistics, and distances."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from ..tracer.op import function
from .elementwise import sub, where
from .extremum import amax, amin
from .linalg import matmul
from .logic import isnan
from .moments import norm, std, var
from .reduce import mean, sum
from .shape import transpose, unsqueeze

__all__ = ["aminmax", "cdist", "dist", "inner", "nanmean", "nansum", "std_mean", "var_mean"]


@function
def std_mean(
    x: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
) -> tuple[Tensor, Tensor]:
    """Computes the standard deviation and the mean (torch.std_mean). The arguments are those of `std`.

    >>> lucid.std_mean(lucid.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    axes = None if isinstance(dim, bool) else dim
    return std(x, dim, unbiased, keepdim, correction=correction), mean(x, axes, keepdim)


@function
def var_mean(
    x: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
) -> tuple[Tensor, Tensor]:
    """Computes the variance and the mean (torch.var_mean). The arguments are those of `var`.

    >>> lucid.var_mean(lucid.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    axes = None if isinstance(dim, bool) else dim
    return var(x, dim, unbiased, keepdim, correction=correction), mean(x, axes, keepdim)


@function
def nansum(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Adds the elements that are not NaN (torch.nansum).

    >>> lucid.nansum(lucid.tensor([1.0, lucid.nan, 3.0]))
    tensor(4.)
    """
    return sum(where(isnan(x), 0, x), dim, keepdim)


@function
def nanmean(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Computes the mean of the elements that are not NaN; NaN if there are none (torch.nanmean).

    >>> lucid.nanmean(lucid.tensor([1.0, lucid.nan, 3.0]))
    tensor(2.)
    """
    return nansum(x, dim, keepdim) / sum(~isnan(x), dim, keepdim)


@function
def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Returns the least and the greatest element, of all or along an axis (torch.aminmax).

    >>> lucid.aminmax(lucid.tensor([2.0, 1.0, 3.0]))
    (tensor(1.), tensor(3.))
    """
    return amin(x, dim, keepdim), amax(x, dim, keepdim)


@function
def inner(x: Tensor, y: Tensor) -> Tensor:
    """Computes the products of all rows of `x` with all rows of `y` (torch.inner).

    Shape:
        x: (*, K); y: (+, K); the result: (*, +).

    >>> lucid.inner(lucid.tensor([1.0, 2.0]), lucid.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([11., 17.])
    """
    if not x.ndim or not y.ndim:
        return x * y
    if y.ndim == 1:
        return matmul(x, y)
    rows = y.reshape(-1, y.shape[-1])
    return matmul(x, transpose(rows, 0, 1)).reshape(*x.shape[:-1], *y.shape[:-1])


@function
def dist(x: Tensor, y: Any, p: Any = 2) -> Tensor:
    """Computes the p-norm of ``x - y`` (torch.dist).

    >>> lucid.dist(lucid.tensor([1.0, 2.0]), lucid.tensor([4.0, 6.0]))
    tensor(5.)
    """
    return norm(sub(x, y), p)


@function
def cdist(x: Tensor, y: Tensor, p: Any = 2.0, compute_mode: str | None = None) -> Tensor:
    """Computes the distance of each row of `x` from each row of `y`, as a p-norm (torch.cdist).

    PyTorch's `compute_mode` is accepted, and without effect: no distance is computed from a product of matrices.

    Shape:
        x: (*, P, M); y: (*, R, M); the result: (*, P, R).

    >>> lucid.cdist(lucid.tensor([[0.0, 0.0]]), lucid.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    return norm(unsqueeze(x, -2) - unsqueeze(y, -3), p, -1)
