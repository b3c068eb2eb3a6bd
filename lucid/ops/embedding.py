"""Embedding lookup."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.op import Array, function
from .elementwise import eq, where
from .index import index_sum
from .shape import unsqueeze

__all__ = ["embedding"]


@op
def take_rows(weight: Array, indices: Array, /, padding: int | None = None) -> Array:
    """Selects rows of a matrix by index; row `padding` receives no gradient (ONNX Gather)."""
    return np.take(weight, indices, axis=0)


@take_rows.vjp
def _(g: Tensor, indices: Tensor, padding: int | None, shapes: Any) -> Any:
    if padding is not None:
        g = where(unsqueeze(eq(indices, padding), -1), 0.0, g)
    return index_sum(g, indices, index=("*",), shape=shapes[0]), None


@function
def embedding(input: Any, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Looks up the rows of a table by index (torch.nn.functional.embedding).

    Args:
        input: row indices, from 0.
        weight: the table.
        padding_idx: a row that receives no gradient; counted from the end if negative.

    Shape:
        input: (*,); weight: (V, D); the result: (*, D).

    Raises:
        AxisError: an element of `input`, or `padding_idx`, is out of range. DtypeError: the elements are not integers.

    >>> lucid.nn.functional.embedding(lucid.tensor([1, 0]), lucid.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    indices = as_tensor(input)
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"embedding: input must be of integers; got {indices.dtype}")
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight must be a matrix (rows, features); got shape {weight.shape}")
    rows = weight.shape[0]
    data = indices._data
    # NumPy would count negative indices from the end.
    if data.size and not (int(np.min(data)) >= 0 and int(np.max(data)) < concrete(rows)):
        raise AxisError(f"embedding: input must be from 0 to {rows - 1}; got {data.min()} to {data.max()}")
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AxisError(f"embedding: padding_idx must name one of {rows} rows; got {padding_idx}")
        padding_idx %= rows
    return take_rows(weight, indices, padding_idx)
