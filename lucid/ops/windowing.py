"""Parts of a tensor along an axis, and tensors joined or spread along axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DtypeError, ShapeError
from ..tensor import Tensor, as_tensor
from ..tracer.extent import whole
from ..tracer.op import function
from .creation import arange
from .index import getitem
from .shape import cat, expand_to, flatten, movedim, normal_axis, reshape_to, transpose, unsqueeze

__all__ = ["concat", "hstack", "meshgrid", "narrow", "ravel", "select", "swapdims", "vstack"]


@function
def narrow(x: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """Returns `length` slices along an axis, from `start` on (torch.narrow).

    Raises:
        ShapeError: there are fewer slices.

    >>> lucid.narrow(lucid.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    axis = normal_axis(dim, x.ndim)
    n, first, count = x.shape[axis], whole(start), whole(length)
    if first < 0:
        first = first + n
    if count < 0 or first < 0 or first + count > n:
        raise ShapeError(f"narrow: axis {dim} has {n} slices; got start={start}, length={length}")
    return getitem(x, (*(slice(None),) * axis, slice(first, first + count)))


@function
def select(x: Tensor, dim: int, index: int) -> Tensor:
    """Returns the slice at an index along an axis, without that axis (torch.select).

    >>> lucid.select(lucid.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    return getitem(x, (*(slice(None),) * normal_axis(dim, x.ndim), whole(index)))


@function
def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Returns all windows of a size along an axis, `step` apart, in a new last axis (torch.Tensor.unfold).

    It is a copy, where PyTorch has a view.

    >>> lucid.arange(5).unfold(0, 2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    if not x.ndim:
        normal_axis(dimension, 1)
        return narrow(reshape_to(x, shape=(1,)), 0, 0, size)
    axis = normal_axis(dimension, x.ndim)
    if size < 0 or step < 1 or size > x.shape[axis]:
        raise ShapeError(
            f"unfold: windows of 0 to {x.shape[axis]} elements fit, at least 1 apart; got size={size}, step={step}"
        )
    starts = arange((x.shape[axis] - size) // step + 1) * step
    windows = getitem(x, (*(slice(None),) * axis, unsqueeze(starts, 1) + arange(size)))
    return movedim(windows, axis + 1, -1)


@function
def ravel(x: Tensor) -> Tensor:
    """Returns the elements as a vector (torch.ravel).

    >>> lucid.ravel(lucid.ones(2, 3)).shape
    (6,)
    """
    return flatten(x)


@function
def swapdims(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swaps two axes, like `transpose` (torch.swapdims).

    >>> lucid.swapdims(lucid.ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return transpose(x, dim0, dim1)


@function
def concat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors along an existing axis, like `cat` (torch.concat).

    >>> lucid.concat([lucid.ones(2), lucid.zeros(1)])
    tensor([1., 1., 0.])
    """
    return cat(tensors, dim)


@function
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors along their second axis, vectors along their only one (torch.hstack).

    >>> lucid.hstack([lucid.tensor([1, 2]), lucid.tensor([3])])
    tensor([1, 2, 3])
    """
    parts = [x if x.ndim else reshape_to(x, shape=(1,)) for x in tensors]
    return cat(parts, 0 if parts and parts[0].ndim == 1 else 1)


@function
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors along their first axis; a vector is a row (torch.vstack).

    >>> lucid.vstack([lucid.tensor([1, 2]), lucid.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([x if x.ndim > 1 else reshape_to(x, shape=(1, -1)) for x in tensors], 0)


@function
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Spreads vectors over a grid: the result i varies along axis i (torch.meshgrid).

    Args:
        tensors: vectors, or numbers, or one list of these.
        indexing: "ij", or "xy" to swap the first two axes.

    >>> lucid.meshgrid(lucid.arange(2), lucid.arange(3))[1]
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    parts = [as_tensor(x) for x in given]
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy'; got {indexing!r}")
    if not parts or any(x.ndim > 1 for x in parts):
        raise ShapeError(f"meshgrid: expected vectors; got shapes {[x.shape for x in parts]}")
    if any(x.dtype != parts[0].dtype for x in parts):
        raise DtypeError(f"meshgrid: expected one dtype; got {', '.join(str(x.dtype) for x in parts)}")
    parts = [x if x.ndim else reshape_to(x, shape=(1,)) for x in parts]
    swapped = indexing == "xy" and len(parts) > 1
    if swapped:
        parts[:2] = parts[1::-1]
    grid = tuple(x.shape[0] for x in parts)
    k = len(parts)
    spread = [
        expand_to(unsqueeze(x, tuple(d for d in range(k) if d != i)) if k > 1 else x, shape=grid)
        for i, x in enumerate(parts)
    ]
    if swapped:
        spread[:2] = spread[1::-1]
    return tuple(spread)
