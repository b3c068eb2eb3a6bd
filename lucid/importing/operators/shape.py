"""Imports of operators that change or read shapes. They take sizes and constants as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...ops.index import slice_at
from ...tensor import Tensor
from ..registry import Operation, imports
from ..values import Sizes, as_tensor, boxed, constant, integers, restored, scalar, unboxed
from .elementwise import dtype_of
from .reduce import axes_of

__all__: list[str] = []


def _array(x: Any) -> Any:
    """Returns the elements of a constant or of sizes; None for a tensor."""
    return x.items if isinstance(x, Sizes) else None if isinstance(x, Tensor) else x


def _rank(x: Any) -> int:
    return len(x.items.shape if isinstance(x, Sizes) else x.shape)


@imports("Constant", plain=True)
def _(node: Operation) -> Any:
    if not node.attributes:
        raise ModelImportError(f"{node} has no value")
    ((name, value),) = node.attributes.items()
    if name == "value":
        return value
    if name not in ("value_float", "value_floats", "value_int", "value_ints"):
        raise ModelImportError(f"{node}: lucid has no tensors of {name.removeprefix('value_').removesuffix('s')}s")
    return np.array(value, np.int64 if "int" in name else np.float32)


@imports("Shape", plain=True)
def _(node: Operation, x: Any) -> Any:
    array = _array(x)
    shape = list(x.shape if array is None else array.shape)
    picked = shape[slice(node.get("start", 0), node.get("end"))]
    return Sizes.of(picked) if array is None else np.array(picked, np.int64)


@imports("Size", plain=True)
def _(node: Operation, x: Any) -> Any:
    array = _array(x)
    return Sizes(boxed(math.prod(x.shape))) if array is None else np.array(array.size, np.int64)


@imports("Reshape", plain=True)
def _(node: Operation, x: Any, shape: Any) -> Any:
    wanted = integers(shape)
    given = x.shape if isinstance(x, Tensor) else _array(x).shape
    if not node.get("allowzero", 0):
        wanted = [given[i] if isinstance(n, int) and not _is_size(n) and n == 0 else n for i, n in enumerate(wanted)]
    array = _array(x)
    return ops.reshape(x, tuple(wanted)) if array is None else restored(array.reshape(wanted), [x])


def _is_size(n: Any) -> bool:
    """Returns whether a number is a size of a symbolic trace, whose comparison would be a decision."""
    return type(n) is not int


@imports("Flatten")
def _(node: Operation, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return ops.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@imports("Transpose", plain=True)
def _(node: Operation, x: Any) -> Any:
    axes = tuple(node.get("perm") or range(_rank(x))[::-1])
    array = _array(x)
    if array is None:
        return ops.permute(x, axes) if axes else x
    return restored(np.transpose(array, axes), [x])


@imports("Squeeze", plain=True)
def _(node: Operation, x: Any, axes: Any = None) -> Any:
    found = axes_of(node, axes)
    array = _array(x)
    if found is None:
        shape = x.shape if array is None else array.shape
        found = [axis for axis, n in enumerate(shape) if n == 1]
    chosen = tuple(sorted(axis % _rank(x) for axis in found))
    if array is not None:
        return restored(np.squeeze(array, chosen), [x])
    for axis in chosen:
        if x.shape[axis] != 1:
            raise ModelImportError(
                f"{node} takes axis {axis} away, which has {x.shape[axis]} elements; got {tuple(x.shape)}"
            )
    return ops.squeeze(x, chosen) if chosen else x


@imports("Unsqueeze", plain=True)
def _(node: Operation, x: Any, axes: Any = None) -> Any:
    found = axes_of(node, axes) or []
    rank = _rank(x) + len(found)
    chosen = sorted(axis % rank for axis in found)
    array = _array(x)
    if array is not None:
        return restored(np.expand_dims(array, tuple(chosen)), [x])
    for axis in chosen:
        x = ops.unsqueeze(x, axis)
    return x


@imports("Expand", plain=True)
def _(node: Operation, x: Any, shape: Any) -> Any:
    if constant(x) and constant(shape):
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(integers(shape)))).copy()
    wanted = integers(shape)
    if isinstance(x, Sizes) and constant(shape):
        return restored(np.broadcast_to(x.items, np.broadcast_shapes(x.items.shape, tuple(wanted))), [x])
    x = as_tensor(x)
    # ONNX's shape may have ones where the tensor has more, and fewer axes.
    count = max(x.ndim, len(wanted))
    given = [1] * (count - x.ndim) + list(x.shape)
    wanted = [1] * (count - len(wanted)) + wanted
    return ops.broadcast_to(
        x, tuple([n if type(m) is int and m == 1 else m for n, m in zip(given, wanted, strict=True)])
    )


@imports("Tile", plain=True)
def _(node: Operation, x: Any, repeats: Any) -> Any:
    counts = integers(repeats)
    array = _array(x)
    if array is not None and constant(repeats):
        return restored(np.tile(array, counts), [x])
    return ops.tile(as_tensor(x), tuple(counts))


@imports("Concat", plain=True)
def _(node: Operation, *xs: Any) -> Any:
    if any(isinstance(x, Tensor) for x in xs):
        return ops.cat([as_tensor(x) for x in xs], node.get("axis"))
    some = any(isinstance(x, Sizes) for x in xs)
    arrays = [x.items if isinstance(x, Sizes) else unboxed(x) if some else x for x in xs]
    return restored(np.concatenate(arrays, node.get("axis")), xs)


@imports("Split", plain=True)
def _(node: Operation, x: Any, split: Any = None) -> Any:
    axis = node.get("axis", 0)
    array = _array(x)
    n = (x.shape if array is None else array.shape)[axis]
    sizes = node.get("split") if split is None else integers(split)
    if sizes is None:
        count = node.get("num_outputs", node.outputs)
        size = -(-n // count)
        sizes = [size] * (count - 1) + [n - size * (count - 1)]
    if array is None:
        return tuple(ops.split(x, list(sizes), axis))
    return tuple([restored(part, [x]) for part in np.split(array, np.cumsum(sizes)[:-1], axis)])


@imports("Slice", plain=True)
def _(node: Operation, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    first, last = integers(starts), integers(ends)
    along = list(range(len(first))) if axes is None else integers(axes)
    strides = [1] * len(first) if steps is None else integers(steps)
    array = _array(x)
    shape = x.shape if array is None else array.shape
    index: list[Any] = [slice(None)] * len(shape)
    for start, end, axis, step in zip(first, last, along, strides, strict=True):
        index[axis] = slice(*_bounds(start, end, step), step)
    if array is not None:
        return restored(array[tuple(index)], [x])
    return slice_at(x, index=tuple(index))


_FAR = 2**31 - 1
"""An end beyond any axis, as exporters write it."""


def _bounds(start: Any, end: Any, step: Any) -> tuple[Any, Any]:
    """Returns the bounds of a slice as Python writes them."""
    if type(end) is int and (end >= _FAR or (step < 0 and end <= -_FAR)):
        end = None
    if type(start) is int and step < 0 and start >= _FAR:
        start = None
    return start, end


@imports("Pad", plain=True)
def _(node: Operation, x: Any, pads: Any, value: Any = None, axes: Any = None) -> Any:
    numbers = integers(pads)
    array = _array(x)
    if constant(x) and node.get("mode", "constant") == "constant" and axes is None:
        half = len(numbers) // 2
        widths = list(zip(numbers[:half], numbers[half:], strict=True))
        if min(numbers, default=0) >= 0:
            return np.pad(array, widths, constant_values=0 if value is None else scalar(value))
    x = as_tensor(x)
    rank = x.ndim
    along = list(range(rank)) if axes is None else [axis % rank for axis in integers(axes)]
    around = {axis: (numbers[i], numbers[i + len(along)]) for i, axis in enumerate(along)}
    mode = _MODES[node.get("mode", "constant")]
    if mode == "constant":
        flat = [n for axis in reversed(range(rank)) for n in around.get(axis, (0, 0))]
        fill = 0 if value is None else scalar(value)
        return F.pad(x, tuple(flat), "constant", fill)
    for axis, both in around.items():  # lucid pads the last axis in these modes
        if any(type(n) is not int or n for n in both):
            x = ops.moveaxis(F.pad(ops.moveaxis(x, axis, -1), both, mode), -1, axis)
    return x


_MODES: dict[str, Any] = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


@imports("ConstantOfShape", plain=True)
def _(node: Operation, shape: Any) -> Any:
    value = np.asarray(node.get("value", np.zeros(1, np.float32))).reshape(-1)[0]
    sizes = integers(shape)
    return np.full(sizes, value) if constant(shape) else ops.full(tuple(sizes), value.item(), dtype=value.dtype)


@imports("Range", plain=True)
def _(node: Operation, start: Any, limit: Any, delta: Any) -> Any:
    first, last, step = (scalar(x) for x in (start, limit, delta))
    dtype = start.dtype
    if all(map(constant, (start, limit, delta))):
        return np.arange(first, last, step).astype(dtype)
    return ops.arange(first, last, step, dtype=dtype)


@imports("EyeLike")
def _(node: Operation, x: Tensor) -> Tensor:
    rows, columns = (ops.arange(n) for n in x.shape)
    eye = ops.unsqueeze(rows, 1) + node.get("k", 0) == columns
    return eye.to(dtype_of(node, node.get("dtype")) if "dtype" in node.attributes else x.dtype)


@imports("Trilu", plain=True)
def _(node: Operation, x: Any, k: Any = None) -> Any:
    diagonal = 0 if k is None else int(scalar(k))
    result = (ops.triu if node.get("upper", 1) else ops.tril)(as_tensor(x), diagonal)
    return np.asarray(result._data) if constant(x) else result


@imports("DepthToSpace")
def _(node: Operation, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "DCR":
        x = ops.permute(ops.reshape(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2))
    else:
        x = ops.permute(ops.reshape(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(x, (n, c // (b * b), h * b, w * b))


@imports("SpaceToDepth")
def _(node: Operation, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = node.get("blocksize")
    order = (0, 3, 5, 1, 2, 4) if node.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    x = ops.permute(ops.reshape(x, (n, c, h // b, b, w // b, b)), order)
    return ops.reshape(x, (n, c * b * b, h // b, w // b))
