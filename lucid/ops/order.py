"""Sorting."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import AxisError, ShapeError
from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .conversion import clone
from .creation import zeros
from .scatter import gather_sum
from .shape import reshape_to

__all__ = ["argsort", "sort", "topk"]


class Ordered(NamedTuple):
    """The result of `sort` and `topk`."""

    values: Tensor
    indices: Tensor


@op
def ordered(x: Array, /, k: int, dim: int, descending: bool) -> Array:
    """Returns the `k` smallest or largest elements along an axis, sorted, and their indices (ONNX TopK).

    Equal elements keep their order.
    """
    if k > x.shape[dim]:
        raise ValueError(f"there are no {k} elements along axis {dim}")
    if descending:
        # Sorts the reversed array, so that equal elements keep their order.
        back = np.flip(x, dim)
        order = x.shape[dim] - 1 - np.flip(np.argsort(back, axis=dim, kind="stable"), dim)
    else:
        order = np.argsort(x, axis=dim, kind="stable")
    order = order[(slice(None),) * dim + (slice(0, k),)]
    return np.take_along_axis(x, order, axis=dim), order


@ordered.vjp
def _(g: Any, out: Any, dim: int, shapes: Any) -> Any:
    return None if g[0] is None else gather_sum(g[0], out[1], dim=dim, shape=shapes[0])


def _axis(name: str, x: Tensor, dim: int) -> int:
    if not -x.ndim <= dim < x.ndim:
        raise AxisError(f"{name}: axis {dim} is out of range for a tensor with {x.ndim} axes")
    return dim % x.ndim


def _alone(found: Ordered) -> Ordered:
    """Returns the one element, without axes."""
    return Ordered(*[reshape_to(part, shape=()) for part in found])


@function
def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Ordered:
    """Sorts the elements along an axis, and returns their former indices too (torch.sort).

    Equal elements keep their order.

    >>> lucid.sort(lucid.tensor([3.0, 1.0, 2.0])).indices
    tensor([1, 2, 0])
    """
    if not x.ndim:
        return _alone(sort(reshape_to(x, shape=(1,)), dim))
    axis = _axis("sort", x, dim)
    return Ordered(*ordered(x, k=x.shape[axis], dim=axis, descending=bool(descending)))


@function
def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Returns the indices that sort the elements along an axis (torch.argsort). Equal elements keep their order.

    >>> lucid.argsort(lucid.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([0, 2, 1])
    """
    return sort(x, dim, descending).indices


@function
def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
    """Returns the `k` largest or smallest elements along an axis, sorted, and their indices (torch.topk).

    Raises:
        ShapeError: there are fewer than `k` elements.

    >>> lucid.topk(lucid.tensor([3.0, 1.0, 2.0]), 2).values
    tensor([3., 2.])
    """
    if not x.ndim:
        found = topk(reshape_to(x, shape=(1,)), k, dim)
        # As in PyTorch: none of one is the one.
        return _alone(found) if k else Ordered(clone(x), zeros(dtype=np.int64))
    axis = _axis("topk", x, dim)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"topk: k must be from 0 to {x.shape[axis]}, the size of axis {dim}; got {k}")
    return Ordered(*ordered(x, k=k, dim=axis, descending=bool(largest)))
