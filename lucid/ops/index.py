"""Indexing ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import Tensor, as_tensor, op
from ..tracer.index import parsed
from ..tracer.op import Array, function

__all__ = ["getitem"]

_ndarray = np.ndarray


# --- basic indexing: integers, slices, None, ...


@op(view=True)
def slice_at(x: Array, /, index: tuple[Any, ...]) -> Array:
    """Computes ``x[index]`` with integers, slices, None and Ellipsis (ONNX Slice, Gather, Unsqueeze)."""
    part = x[index]
    # A single element would come as a number, which is no view.
    return part if type(part) is _ndarray else x[(*index, ...)]


@slice_at.vjp
def _(g: Tensor, index: tuple[Any, ...], shapes: Any) -> Any:
    return slice_add(g, index=index, shape=shapes[0])


@op
def slice_add(g: Array, /, index: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Returns zeros of a shape with `g` stored at an index: the gradient of slicing."""
    result = np.zeros(shape, g.dtype)
    result[index] = g
    return result


@slice_add.vjp
def _(g: Tensor, index: tuple[Any, ...]) -> Any:
    return slice_at(g, index=index)


# --- indexing with tensors of integers or bools


@op
def index_at(x: Array, /, *indices: Array, index: tuple[Any, ...]) -> Array:
    """Computes ``x[index]``, where each ``"*"`` in `index` stands for one of the index tensors."""
    return x[_fill(index, indices)]


@index_at.vjp
def _(g: Tensor, indices: Any, index: tuple[Any, ...], shapes: Any) -> Any:
    return (index_sum(g, *indices, index=index, shape=shapes[0]), *[None for _ in indices])


@op
def index_sum(g: Array, /, *indices: Array, index: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Returns zeros of a shape with `g` added at an index, which may select an element more than once."""
    if index == ("*",) and indices[0].dtype != np.bool_ and g.ndim:
        # Rows of a table, as in the gradient of an embedding.
        width = math.prod(shape[1:])
        rows = np.ascontiguousarray(indices[0]).reshape(-1, 1) % max(shape[0], 1)
        places = rows * width + np.arange(width)
    else:
        places = np.arange(math.prod(shape)).reshape(shape)[_fill(index, indices)]
    return added(g, places, shape)


def added(g: Array, places: Array, shape: tuple[int, ...]) -> Array:
    """Returns zeros of a shape with elements added at flat positions; several times faster than with several axes."""
    result = np.zeros(math.prod(shape), g.dtype)
    np.add.at(result, places.reshape(-1), g.reshape(-1))
    return result.reshape(shape)


@index_sum.vjp
def _(g: Tensor, indices: Any, index: tuple[Any, ...]) -> Any:
    return (index_at(g, *indices, index=index), *[None for _ in indices])


def _fill(index: tuple[Any, ...], indices: tuple[Any, ...]) -> tuple[Any, ...]:
    arrays = iter(indices)
    return tuple(next(arrays) if i == "*" else i for i in index)


@function
def getitem(x: Tensor, index: Any) -> Tensor:
    """Computes ``x[index]`` as in NumPy: integers, slices, None, Ellipsis, and tensors of integers or bools.

    >>> lucid.arange(10)[2:8:3]
    tensor([2, 5])
    """
    if type(index) is int:
        return slice_at(x, (index,))
    basic, tensors = parsed(index, as_tensor)
    if tensors:
        return index_at(x, *tensors, index=basic)
    return slice_at(x, index=basic)


# --- copies with other elements at an index; `lucid.tracer.overwriting` records them for what it has done in place


@op
def slice_put(x: Array, value: Array, /, index: tuple[Any, ...]) -> Array:
    """Returns a copy of `x` with a value stored at ``x[index]``, as in `slice_at` (ONNX ScatterElements)."""
    result = np.array(x)
    result[index] = value
    return result


@slice_put.vjp
def _(g: Tensor, index: tuple[Any, ...], needs: tuple[bool, ...]) -> Any:
    return slice_put(g, 0, index=index) if needs[0] else None, slice_at(g, index=index) if needs[1] else None


@op
def index_put(x: Array, value: Array, /, *indices: Array, index: tuple[Any, ...]) -> Array:
    """Returns a copy of `x` with a value stored at ``x[index]``, as in `index_at` (ONNX ScatterND).

    Where the index selects an element more than once, any of its values may win.
    """
    result = np.array(x)
    result[_fill(index, indices)] = value
    return result


@index_put.vjp
def _(g: Tensor, indices: Any, index: tuple[Any, ...], needs: tuple[bool, ...]) -> Any:
    gx = index_put(g, 0, *indices, index=index) if needs[0] else None
    return gx, index_at(g, *indices, index=index) if needs[1] else None, *[None for _ in indices]


@op(no_gradient="the result is an index")
def nonzero_at(x: Array, /) -> Array:
    """Returns the indices of the nonzero elements, one row each (ONNX NonZero)."""
    return np.argwhere(x)
