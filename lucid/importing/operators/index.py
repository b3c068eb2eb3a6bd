"""Imports of operators that gather and scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import ModelImportError
from ...ops.recurrent import reverse_sequence
from ...tensor import Tensor
from ..registry import Operation, imports
from ..values import Sizes, as_tensor, constant, restored, scalar

__all__: list[str] = []


@imports("Gather", plain=True)
def _(node: Operation, x: Any, index: Any) -> Any:
    axis = node.get("axis", 0)
    if isinstance(x, (Sizes, np.ndarray)) and constant(index):
        return restored(np.take(x.items if isinstance(x, Sizes) else x, index, axis), [x])
    x = as_tensor(x)
    place = index if constant(index) else as_tensor(index)
    whole: list[Any] = [slice(None)] * (axis % x.ndim)
    found: Tensor = x[(*whole, int(place) if constant(place) and not place.ndim else place)]
    return found


def _from_the_end(index: Tensor, n: Any) -> Tensor:
    """Returns indices that count from the beginning."""
    return ops.where(index < 0, index + n, index)


@imports("GatherElements")
def _(node: Operation, x: Tensor, index: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    return ops.gather(x, axis, _from_the_end(index.to("int64"), x.shape[axis]))


@imports("ScatterElements", "Scatter")
def _(node: Operation, x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    index = _from_the_end(index.to("int64"), x.shape[axis])
    return _scattered(node, x, axis, index, updates)


def _scattered(node: Operation, x: Tensor, axis: int, index: Tensor, updates: Tensor) -> Tensor:
    reduction = node.get("reduction", "none")
    if reduction not in _REDUCTIONS:
        raise ModelImportError(f"{node}: lucid scatters with reduction {', '.join(_REDUCTIONS)}; got {reduction!r}")
    return ops.scatter(x, axis, index, updates, reduce=_REDUCTIONS[reduction])


_REDUCTIONS = {"none": None, "add": "add", "mul": "multiply"}


@imports("GatherND")
def _(node: Operation, x: Tensor, index: Tensor) -> Tensor:
    index = index.to("int64")
    batch = node.get("batch_dims", 0)
    depth = index.shape[-1]
    grid = [ops.reshape(ops.arange(x.shape[i]), [1] * i + [-1] + [1] * (index.ndim - 2 - i)) for i in range(batch)]
    places = [_from_the_end(index[..., i], x.shape[batch + i]) for i in range(depth)]
    found: Tensor = x[(*grid, *places)]
    return found


@imports("ScatterND")
def _(node: Operation, x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
    index = index.to("int64")
    depth = index.shape[-1]
    # Each index as the number of a row of what is left of the axes.
    row = index[..., 0] * 0
    for i in range(depth):
        row = row * x.shape[i] + _from_the_end(index[..., i], x.shape[i])
    rest = x.shape[depth:]
    flat = ops.reshape(x, (-1, *rest)) if rest else ops.reshape(x, (-1,))
    row = ops.reshape(row, (-1,))
    values = ops.reshape(updates, (-1, *rest))
    for _ in rest:
        row = ops.unsqueeze(row, -1)
    row = ops.broadcast_to(row, values.shape)
    return ops.reshape(_scattered(node, flat, 0, row, values), x.shape)


@imports("OneHot", plain=True)
def _(node: Operation, index: Any, depth: Any, values: Any) -> Tensor:
    count = int(scalar(depth))
    index, values = as_tensor(index).to("int64"), as_tensor(values)
    rank = index.ndim + 1
    axis = node.get("axis", -1) % rank
    places = ops.reshape(ops.arange(count), tuple([count if i == axis else 1 for i in range(rank)]))
    hot = ops.unsqueeze(_from_the_end(index, count), axis) == places
    return ops.where(hot, values[1], values[0])


@imports("Compress", plain=True)
def _(node: Operation, x: Any, condition: Any) -> Tensor:
    x = as_tensor(x)
    axis = node.get("axis")
    x, axis = (ops.reshape(x, (-1,)), 0) if axis is None else (x, axis)
    kept = ops.reshape(ops.nonzero(as_tensor(condition)), (-1,))
    return ops.index_select(x, axis, kept)


@imports("ReverseSequence")
def _(node: Operation, x: Tensor, lengths: Tensor) -> Tensor:
    time_first = node.get("time_axis", 0) == 0
    x = x if time_first else ops.transpose(x, 0, 1)
    x = reverse_sequence(x, lengths.to("int64"))
    return x if time_first else ops.transpose(x, 0, 1)
