"""Diagonals of matrices."""

from __future__ import annotations

import builtins

import numpy as np

from ..errors import AxisError, ShapeError
from ..tensor import Tensor
from ..tracer.extent import greater, lesser
from ..tracer.op import function
from .creation import arange
from .elementwise import eq, where
from .index import getitem
from .pad import pad
from .reduce import sum
from .shape import movedim, normal_axis, unsqueeze

__all__ = ["diag", "diag_embed", "diagonal", "trace"]


@function
def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Returns the diagonals of the matrices in two axes, as a new last axis; `offset` counts from the main one
    upwards (torch.diagonal).

    >>> lucid.diagonal(lucid.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    rows, columns = normal_axis(dim1, x.ndim), normal_axis(dim2, x.ndim)
    if rows == columns:
        raise AxisError(f"diagonal: dim1 and dim2 must be two axes; got {dim1} and {dim2}")
    below, beside = builtins.max(-offset, 0), builtins.max(offset, 0)
    n = greater(lesser(x.shape[rows] - below, x.shape[columns] - beside), 0)
    places = arange(n)
    return getitem(movedim(x, (rows, columns), (-2, -1)), (..., places + below, places + beside))


@function
def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """Returns a diagonal of a matrix; of a vector, the matrix with it as a diagonal and zeros elsewhere (torch.diag).

    >>> lucid.diag(lucid.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if x.ndim == 2:
        return _diagonal(x, diagonal)
    if x.ndim != 1:
        raise ShapeError(f"diag: expected a vector or a matrix; got shape {x.shape}")
    side = x.shape[0] + builtins.abs(diagonal)
    places = arange(side)
    longer = pad(x, (0, builtins.abs(diagonal)))
    on = eq(unsqueeze(places, 1) + diagonal, places)
    return where(on, unsqueeze(longer, 1 if diagonal >= 0 else 0), False)


@function
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Returns matrices with the last axis of a tensor as a diagonal and zeros elsewhere, in the axes `dim1` and `dim2`
    of the result (torch.diag_embed).

    Shape:
        x: (*, K); the result: (*, K + |offset|, K + |offset|).

    >>> lucid.diag_embed(lucid.tensor([[1, 2]]))
    tensor([[[1, 0],
             [0, 2]]])
    """
    if not x.ndim:
        raise ShapeError("diag_embed: expected one axis or more; got a tensor without axes")
    places = arange(x.shape[-1] + builtins.abs(offset))
    longer = pad(x, (0, builtins.abs(offset)))
    on = eq(unsqueeze(places, 1) + offset, places)
    return movedim(where(on, unsqueeze(longer, -1 if offset >= 0 else -2), False), (-2, -1), (dim1, dim2))


_diagonal = diagonal


@function
def trace(x: Tensor) -> Tensor:
    """Returns the sum of the main diagonal of a matrix (torch.trace).

    >>> lucid.trace(lucid.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    if x.ndim != 2:
        raise ShapeError(f"trace: expected a matrix; got shape {x.shape}")
    return sum(diagonal(x), dtype=np.int64 if x.dtype.kind == "u" else None)
