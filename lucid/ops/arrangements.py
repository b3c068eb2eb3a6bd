"""Functions that arrange tensors: axes added, rows joined, parts of other sizes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor, from_numpy
from ..tracer.extent import broadcast
from ..tracer.op import function
from .select import nonzero
from .shape import broadcast_to, cat, flip, normal_axis, split, unsqueeze

__all__ = [
    "argwhere",
    "atleast_1d",
    "atleast_2d",
    "broadcast_shapes",
    "broadcast_tensors",
    "column_stack",
    "fliplr",
    "flipud",
    "tensor_split",
    "tril_indices",
    "triu_indices",
]


@function
def atleast_1d(x: Tensor) -> Tensor:
    """Returns a tensor without axes with one, and any other as it is (torch.atleast_1d).

    >>> lucid.atleast_1d(lucid.tensor(2.0))
    tensor([2.])
    """
    return x if x.ndim else unsqueeze(x, 0)


@function
def atleast_2d(x: Tensor) -> Tensor:
    """Returns a tensor with fewer than two axes as a matrix of one row, and any other as it is (torch.atleast_2d).

    >>> lucid.atleast_2d(lucid.tensor([1.0, 2.0]))
    tensor([[1., 2.]])
    """
    return x if x.ndim > 1 else unsqueeze(atleast_1d(x), 0)


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """Returns the shape that shapes broadcast to (torch.broadcast_shapes).

    Raises:
        ShapeError: they do not broadcast.

    >>> lucid.broadcast_shapes((3, 1), (1, 4))
    (3, 4)
    """
    sizes: tuple[int, ...] = broadcast(*[(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes])
    return sizes


@function
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Broadcasts tensors to their common shape (torch.broadcast_tensors).

    >>> [x.shape for x in lucid.broadcast_tensors(lucid.ones(3), lucid.ones(2, 1))]
    [(2, 3), (2, 3)]
    """
    shape = broadcast(*[x.shape for x in tensors])
    return tuple(broadcast_to(x, shape) for x in tensors)


@function
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins vectors as the columns of a matrix, and matrices side by side (torch.column_stack).

    >>> lucid.column_stack([lucid.tensor([1, 2]), lucid.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return cat([x if x.ndim > 1 else unsqueeze(atleast_1d(x), 1) for x in tensors], 1)


@function
def fliplr(x: Tensor) -> Tensor:
    """Reverses the second axis (torch.fliplr).

    >>> lucid.fliplr(lucid.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if x.ndim < 2:
        raise ShapeError(f"fliplr: expected two axes or more; got shape {x.shape}")
    return flip(x, 1)


@function
def flipud(x: Tensor) -> Tensor:
    """Reverses the first axis (torch.flipud).

    >>> lucid.flipud(lucid.tensor([1, 2]))
    tensor([2, 1])
    """
    if not x.ndim:
        raise ShapeError("flipud: a tensor without axes")
    return flip(x, 0)


@function
def tensor_split(x: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Splits along an axis, at places or into a number of parts, of which the first may be longer (torch.tensor_split).

    >>> [part.tolist() for part in lucid.tensor_split(lucid.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    >>> [part.tolist() for part in lucid.tensor_split(lucid.arange(5), (1, 4))]
    [[0], [1, 2, 3], [4]]
    """
    n = int(x.shape[normal_axis(dim, x.ndim)])
    given = indices_or_sections
    if isinstance(given, int) or getattr(given, "ndim", 1) == 0:
        given = int(given)
        if given < 1:
            raise ValueError(f"tensor_split: expected one part or more; got {given}")
        return split(x, [n // given + (i < n % given) for i in range(given)], dim)
    ends = [int(i) for i in given]
    places = [0, *[min(max(i + n if i < 0 else i, 0), n) for i in ends], n]
    return split(x, [max(end - start, 0) for start, end in itertools.pairwise(places)], dim)


@function
def argwhere(x: Tensor) -> Tensor:
    """Returns the indices of the elements that are not 0, a row for each (torch.argwhere).

    >>> lucid.argwhere(lucid.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    found: Tensor = nonzero(x)
    return found


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """Returns the row and the column of each element on and below a diagonal of a matrix (torch.tril_indices).

    Shape:
        the result: (2, K), in the order of the rows.

    >>> lucid.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return as_tensor(from_numpy(np.stack(np.tril_indices(row, offset, col))), dtype)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """Returns the row and the column of each element on and above a diagonal of a matrix (torch.triu_indices).

    >>> lucid.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return as_tensor(from_numpy(np.stack(np.triu_indices(row, offset, col))), dtype)
