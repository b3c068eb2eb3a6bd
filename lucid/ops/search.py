"""Searching: which elements occur in a set, where they belong in an order, and which are distinct."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array, function
from .creation import ones, zeros
from .cumulative import diff
from .elementwise import astype, ne
from .index import getitem
from .order import argsort
from .reduce import any as any_of
from .reduce import cumsum
from .scatter import gather, scatter
from .select import index_select, nonzero
from .shape import cat, flatten, movedim, normal_axis, reshape_to, unsqueeze

__all__ = ["bucketize", "isin", "searchsorted", "unique", "unique_consecutive"]

_INDEX = "the result is an index"


@op(no_gradient="the result is bool")
def isin(elements: Array, test_elements: Array, /, assume_unique: bool = False, invert: bool = False) -> Array:
    """Returns whether each element occurs in another tensor (torch.isin).

    Args:
        elements: the elements, or a number.
        test_elements: where they may occur.
        assume_unique: ignored; it makes no difference but in speed.
        invert: return whether they do not occur.

    >>> lucid.isin(lucid.tensor([1, 2, 3]), lucid.tensor([2, 5]))
    tensor([False,  True, False])
    """
    return np.isin(elements, test_elements, invert=invert)


@op(no_gradient=_INDEX)
def places_in_order(ordered: Array, values: Array, /, right: bool) -> Array:
    """Returns how many elements of rows come before each value: (*, M) and (*, N), or (M,) and (*), give (*, N).

    Rows that are not sorted have the same answer, though none that PyTorch would give.
    """
    side: Any = "right" if right else "left"
    if not (ordered[..., :-1] <= ordered[..., 1:]).all():
        after = np.greater if right else np.greater_equal
        return np.sum(~after(ordered[..., None, :], values[..., None]), -1, dtype=np.int64)
    if ordered.ndim == 1:
        return np.searchsorted(ordered, values, side)
    found = np.empty(values.shape, np.int64)
    for row in np.ndindex(ordered.shape[:-1]):
        found[row] = np.searchsorted(ordered[row], values[row], side)
    return found


@function
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Returns for each element the number of boundaries below it; with `right`, also of equal ones (torch.bucketize).

    >>> lucid.bucketize(lucid.tensor([0.5, 2.0, 9.0]), lucid.tensor([1.0, 2.0]))
    tensor([0, 1, 2])
    """
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: boundaries must be a vector; got shape {boundaries.shape}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@function
def searchsorted(
    sorted_sequence: Tensor,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Returns where values belong in sorted rows, so that the order is kept (torch.searchsorted).

    Args:
        sorted_sequence: the sorted elements, (M,) or (*, M).
        values: a number, or a tensor of any shape, or (*, N) if there are several rows.
        out_int32: return int32, not int64.
        right: of equal elements, belong behind the last, not before the first.
        side: "left" or "right", instead of `right`.
        sorter: the indices that sort the rows, as of `argsort`, if they are not sorted themselves.

    >>> lucid.searchsorted(lucid.tensor([1, 3, 5]), lucid.tensor([3, 6]))
    tensor([1, 3])
    """
    if side not in (None, "left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right'; got {side!r}")
    if right and side == "left":
        raise ValueError("searchsorted: side='left' contradicts right=True")
    found = as_tensor(values)
    shape = sorted_sequence.shape
    if not shape or (len(shape) > 1 and found.shape[:-1] != shape[:-1]):
        raise ShapeError(
            f"searchsorted: the axes before the last must be the same; got shapes {shape} and {found.shape}"
        )
    if sorter is not None:
        if as_tensor(sorter).shape != shape:
            raise ShapeError(f"searchsorted: sorter must have the shape {shape}; got {as_tensor(sorter).shape}")
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    places: Tensor = places_in_order(sorted_sequence, found, right=right or side == "right")
    return astype(places, np.dtype(np.int32)) if out_int32 else places


class Distinct(NamedTuple):
    """The distinct elements, the place of each element among them, and how often each occurs."""

    values: Tensor
    inverse: Tensor
    counts: Tensor


@op(no_gradient=_INDEX, no_export="ONNX sorts elements, not rows")
def row_order(x: Array, /) -> Array:
    """Returns the indices that sort the rows of a matrix: by the first column, then by the second, and so on."""
    return np.lexsort(x.T[::-1]) if x.shape[1] else np.arange(len(x))


def _runs(x: Tensor) -> Distinct:
    """Returns the first slice of each run of equal slices along the first axis."""
    differs = ne(getitem(x, slice(1, None)), getitem(x, slice(None, -1)))
    if x.ndim > 1:
        differs = any_of(differs, tuple(range(1, x.ndim)))
    first = getitem(x, slice(None, 1))
    starts = cat([ones(first.shape[:1], dtype=np.bool_), differs])
    inverse = cumsum(astype(starts, np.dtype(np.int64)), 0) - 1
    ends = cat([reshape_to(nonzero(starts), shape=(-1,)), ones(1, dtype=np.int64) * x.shape[0]])
    return Distinct(getitem(x, starts), inverse, diff(ends))


def _chosen(found: Distinct, return_inverse: bool, return_counts: bool) -> Any:
    more = (*((found.inverse,) if return_inverse else ()), *((found.counts,) if return_counts else ()))
    return (found.values, *more) if more else found.values


@function
def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Returns the first element of each run of equal elements (torch.unique_consecutive).

    Args:
        x: the tensor; flattened unless `dim` is given.
        return_inverse: return for each element of `x` the index of its run, too.
        return_counts: return the length of each run, too.
        dim: compare the slices along this axis.

    >>> lucid.unique_consecutive(lucid.tensor([1, 1, 2, 1]), return_counts=True)
    (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    if dim is None:
        found = _runs(flatten(x))
        found = found._replace(inverse=reshape_to(found.inverse, shape=x.shape))
    else:
        axis = normal_axis(dim, x.ndim)
        found = _runs(movedim(x, axis, 0))
        found = found._replace(values=movedim(found.values, 0, axis))
    return _chosen(found, return_inverse, return_counts)


@function
def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Returns the distinct elements, sorted (torch.unique).

    Args:
        x: the tensor; flattened unless `dim` is given.
        sorted: ignored; they are always sorted.
        return_inverse: return for each element of `x` its index among the distinct ones, too.
        return_counts: return how often each occurs, too.
        dim: compare the slices along this axis; such a call cannot be exported.

    >>> lucid.unique(lucid.tensor([3, 1, 3]), return_inverse=True)
    (tensor([1, 3]), tensor([1, 0, 1]))
    """
    axis = None if dim is None else normal_axis(dim, x.ndim)
    slices = flatten(x) if axis is None else movedim(x, axis, 0)
    order = argsort(slices, 0) if axis is None else row_order(flatten(unsqueeze(slices, -1), 1))
    found = _runs(index_select(slices, 0, order))
    inverse = scatter(zeros(order.shape, dtype=np.int64), 0, order, found.inverse)
    if axis is None:
        found = found._replace(inverse=reshape_to(inverse, shape=x.shape))
    else:
        found = found._replace(inverse=inverse, values=movedim(found.values, 0, axis))
    return _chosen(found, return_inverse, return_counts)
