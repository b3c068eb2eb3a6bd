"""Medians, quantiles and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, RangeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array, function
from .conversion import detach
from .elementwise import astype, eq, ne, where
from .extremum import Extremum, amax, argmax
from .index import getitem
from .logic import isnan
from .math import ceil, floor
from .math import round as nearest
from .order import sort
from .reduce import any as any_of
from .reduce import size, sum
from .scatter import gather
from .select import index_select
from .shape import flatten, movedim, normal_axis, reshape_to, squeeze, unsqueeze

__all__ = ["bincount", "count_nonzero", "median", "quantile"]


@function
def count_nonzero(x: Tensor, dim: Any = None) -> Tensor:
    """Counts the elements that are not 0 (torch.count_nonzero).

    >>> lucid.count_nonzero(lucid.tensor([[0, 1], [2, 3]]), dim=0)
    tensor([1, 2])
    """
    return sum(astype(ne(x, 0), np.dtype(np.int64)), dim)


@function
def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Returns the median of all elements; with an axis, the medians along it and their indices (torch.median).

    Of an even number it is the lower one of the two in the middle. It is NaN if there is a NaN. Without an axis, equal
    elements share the gradient.

    >>> lucid.median(lucid.tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    if dim is None:
        flat = flatten(x)
        middle = detach(median(flat, 0).values)
        if x.dtype.kind != "f":
            return middle
        return amax(where(eq(flat, middle) | (isnan(flat) & isnan(middle)), flat, float("-inf")))
    if not x.ndim:
        normal_axis(dim, 1)
        return Extremum(x, as_tensor(np.zeros((), np.int64)))
    axis = normal_axis(dim, x.ndim)
    n = x.shape[axis]
    if x._data.shape[axis] == 0:
        raise AxisError(f"median: there are no elements along axis {axis}; got shape {x.shape}")
    order = sort(x, axis).indices
    places = getitem(order, (*(slice(None),) * axis, slice((n - 1) // 2, (n - 1) // 2 + 1)))
    if x.dtype.kind == "f":
        places = where(any_of(isnan(x), axis, True), argmax(astype(isnan(x), x.dtype), axis, True), places)
    values = gather(x, axis, places)
    return Extremum(values, places) if keepdim else Extremum(squeeze(values, axis), squeeze(places, axis))


_ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {"lower": floor, "higher": ceil, "nearest": nearest}


@function
def quantile(x: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear") -> Tensor:
    """Returns the quantiles along an axis, or of all elements (torch.quantile).

    Args:
        x: the tensor, floating-point.
        q: a share from 0 to 1, or a vector of shares, which becomes the first axis of the result.
        dim: the axis; None for all elements.
        keepdim: keep the reduced axis, with size one.
        interpolation: "linear", "lower", "higher", "nearest" or "midpoint": which number between two elements.

    Raises:
        DtypeError: `x` is not floating-point, or `q` has another dtype. RangeError: a share is not in [0, 1].

    >>> lucid.quantile(lucid.tensor([1.0, 2.0, 4.0]), 0.75)
    tensor(3.)
    """
    shares = as_tensor(q, None if isinstance(q, (Tensor, np.ndarray)) else x.dtype)
    if x.dtype.kind != "f" or shares.dtype != x.dtype:
        raise DtypeError(
            f"quantile: input must be floating-point, and q of its dtype; got {x.dtype} and {shares.dtype}"
        )
    if shares.ndim > 1:
        raise ShapeError(f"quantile: q must be a number or a vector; got shape {shares.shape}")
    if not ((shares._data >= 0) & (shares._data <= 1)).all():
        raise RangeError(f"quantile: q must be from 0 to 1; got {q}")
    if interpolation not in ("linear", "midpoint", *_ROUNDED):
        known = "'linear', 'lower', 'higher', 'midpoint' or 'nearest'"
        raise ValueError(f"quantile: interpolation must be {known}; got {interpolation!r}")
    axis = 0 if dim is None else normal_axis(dim, max(x.ndim, 1))
    rows = flatten(x) if dim is None or not x.ndim else x
    if rows._data.shape[axis] == 0:
        raise ShapeError(f"quantile: there are no elements along axis {axis}; got shape {x.shape}")
    rows = sort(rows, axis).values
    # NaN is sorted to the end.
    last = size(rows, dim=axis) - 1
    unknown = isnan(index_select(rows, axis, as_tensor(np.array([-1]))))
    ranks = reshape_to(shares, shape=(-1,)) * last
    if interpolation in _ROUNDED:
        ranks = _ROUNDED[interpolation](ranks)
    below = floor(ranks)
    lower = index_select(rows, axis, astype(below, np.dtype(np.int64)))
    upper = index_select(rows, axis, astype(ceil(ranks), np.dtype(np.int64)))
    weight = ranks - below if interpolation != "midpoint" else astype(ne(ranks, below), x.dtype) * 0.5
    weight = reshape_to(weight, shape=(-1, *(1,) * (rows.ndim - axis - 1)))
    # Equal neighbours, infinite ones too, need no interpolation.
    level = eq(lower, upper)
    gap = where(level, False, upper) - where(level, False, lower)
    found = where(level, lower, lower + gap * weight)
    found = where(unknown, float("nan"), found)
    if shares.ndim:
        result = movedim(found, axis, 0)
        if not keepdim or not x.ndim:
            return result
        whole = (1,) * x.ndim if dim is None else None
        return reshape_to(result, shape=(-1, *whole)) if whole is not None else unsqueeze(result, axis + 1)
    if not keepdim or not x.ndim:
        return squeeze(found, axis)
    return reshape_to(found, shape=(1,) * x.ndim) if dim is None else found


@op(no_gradient="PyTorch has none")
def bincount(x: Array, weights: Array = None, /, minlength: int = 0) -> Array:
    """Counts how often each integer from 0 on occurs, or adds up the weights of its places (torch.bincount).

    >>> lucid.bincount(lucid.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0):
        raise RangeError(f"bincount: expected a vector of integers from 0 on; got {x.dtype}{list(x.shape)}")
    if weights is None:
        return np.bincount(x, None, minlength)
    return np.bincount(x, weights, minlength).astype(weights.dtype if weights.dtype == np.float32 else np.float64)
