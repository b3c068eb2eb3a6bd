"""Running products and maxima, and differences of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array, function
from .conversion import clone
from .creation import arange
from .elementwise import le, ne, where
from .extremum import Extremum
from .index import getitem
from .reduce import prod_of_others, sum
from .scatter import gather
from .shape import cat, normal_axis, transpose, unsqueeze

__all__ = ["cummax", "cumprod", "diff"]


@op
def cumprod(x: Array, /, dim: int, dtype: Any = None) -> Array:
    """Computes the running product along an axis (torch.cumprod).

    Its gradient is right at 0, too, and takes the square of that axis in memory.

    >>> lucid.cumprod(lucid.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 2., 6.])
    """
    if dtype is None and x.dtype.kind == "u":
        dtype = np.int64
    return np.cumprod(x, axis=dim if x.ndim else None, dtype=dtype).reshape(x.shape)


@cumprod.vjp
def _(g: Tensor, x: Tensor, dim: int) -> Any:
    if not x.ndim:
        return g
    # Row i of the square has the factors of product i, and ones beyond.
    rows, last = transpose(x, dim, -1), transpose(g, dim, -1)
    places = arange(rows.shape[-1])
    taken = le(places, unsqueeze(places, 1))
    others = prod_of_others(where(taken, unsqueeze(rows, -2), 1.0))
    return transpose(sum(where(taken, others, 0.0) * unsqueeze(last, -1), -2), dim, -1)


@op(no_gradient="the result is an index")
def cummax_places(x: Array, /, dim: int) -> Array:
    """Returns where the running maximum along an axis was last reached; a NaN is larger than all numbers."""
    if not x.ndim:
        return np.zeros((), np.int64)
    places = np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
    reached = (x == np.maximum.accumulate(x, axis=dim)) | (x != x)
    return np.maximum.accumulate(np.where(reached, places, 0), axis=dim)


@function
def cummax(x: Tensor, dim: int) -> Extremum:
    """Returns the running maximum along an axis, and where it was last reached (torch.cummax).

    >>> lucid.cummax(lucid.tensor([1.0, 3.0, 2.0]), 0)
    Extremum(values=tensor([1., 3., 3.]), indices=tensor([0, 1, 1]))
    """
    normal_axis(dim, max(x.ndim, 1))
    places = cummax_places(x, dim=dim)
    return Extremum(gather(x, dim, places) if x.ndim else x, places)


@function
def diff(x: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Computes the differences of neighbours along an axis, `n` times; of bools, whether they differ (torch.diff).

    >>> lucid.diff(lucid.tensor([1, 4, 2]))
    tensor([ 3, -2])
    """
    if not x.ndim:
        raise ShapeError("diff: a tensor without axes has no neighbours")
    if n < 0:
        raise ShapeError(f"diff: n must not be negative; got {n}")
    axis = normal_axis(dim, x.ndim)
    if n == 0:
        return clone(x)  # without what is joined to it, as in PyTorch
    joined = [as_tensor(part) for part in (prepend, x, append) if part is not None]
    x = cat(joined, axis) if len(joined) > 1 else x
    before = (slice(None),) * axis
    for _ in range(n):
        left, right = getitem(x, (*before, slice(None, -1))), getitem(x, (*before, slice(1, None)))
        x = ne(right, left) if x.dtype == np.bool_ else right - left
    return x
