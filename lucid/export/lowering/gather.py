"""Lowerings of indexing with tensors, and of its gradient, a scatter with addition."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from ...errors import ExportError
from .builder import Builder
from .creation import filled
from .index import Items, aligned, is_int, placed, put, sliced, spread
from .operands import in_shape, out_dtype, scalar
from .registry import lowers
from .shape import squeezed, transposed, unsqueezed
from .sizes import Extent, broadcast, joined, measured, product

__all__: list[str] = []


class _Picks(NamedTuple):
    """The part of an index that selects elements: integers and index tensors, which NumPy broadcasts together.

    Attributes:
        rest: the index with whole axes in place of these items; the other attributes assume that it was applied.
        axes: the axes that elements are selected on.
        tensors: an int64 value for each of those axes.
        shape: the shape that these broadcast to; None is a size that depends on data.
        front: how many of the other axes come before that shape in the result.
        mask: the index tensor, if it is the only one and a mask along one axis.
    """

    rest: Items
    axes: list[int]
    tensors: list[ir.Value]
    shape: tuple[Any, ...]
    front: int
    mask: ir.Value | None

    def order(self) -> list[int]:
        """Returns the axes that elements are selected on, then the others."""
        return self.axes + [axis for axis in range(len(self.rest)) if axis not in self.axes]


def _picks(b: Builder, index: tuple[Any, ...], indices: tuple[Any, ...], rank: int, first: int = 1) -> _Picks:
    """Describes an index whose tensors are the inputs of the node from number `first` on."""
    shapes = [in_shape(b, first + i) for i in range(len(indices))]
    widths = [len(s) if b.dtype(i) == np.bool_ else 1 for i, s in zip(indices, shapes, strict=True)]
    stars = iter(zip(indices, shapes, strict=True))
    rest: Items = []
    axes: list[int] = []
    tensors: list[ir.Value] = []
    found: list[tuple[Any, ...]] = []
    spots: list[int] = []
    for spot, (axis, item) in enumerate(aligned(index, rank, widths)):
        if axis is None or isinstance(item, slice):
            rest.append((axis, item))
            continue
        if is_int(item):
            shape: tuple[Any, ...] = ()
            added = [scalar(b, item, np.int64)]
        else:
            tensor, shape = next(stars)
            if b.dtype(tensor) == np.bool_:
                added, shape = _true_at(b, tensor, len(shape)), (None,)
            else:
                added = [b.cast(tensor, np.int64)]
        axes += range(len(rest), len(rest) + len(added))
        rest += [(axis + i, slice(None)) for i in range(len(added))]
        tensors += added
        found.append(shape)
        spots.append(spot)
    adjacent = spots[-1] - spots[0] == len(spots) - 1
    mask = indices[0] if len(axes) == 1 and b.dtype(indices[0]) == np.bool_ else None
    return _Picks(rest, axes, tensors, broadcast(found), axes[0] if adjacent else 0, mask)


def _true_at(b: Builder, mask: ir.Value, rank: int) -> list[ir.Value]:
    """Returns the positions of the true elements, one tensor per axis."""
    places = b.op("NonZero", mask, dtype=np.int64)
    rows = b.op("Split", places, np.ones(rank, np.int64), outputs=rank, axis=0) if rank > 1 else (places,)
    return [b.op("Squeeze", row, np.array([0])) for row in rows]


@lowers("index_at")
def _(b: Builder, x: Any, *indices: Any, index: tuple[Any, ...]) -> Any:
    picks = _picks(b, index, indices, len(in_shape(b)))
    x = sliced(b, x, picks.rest)
    if picks.mask is not None:
        return b.op("Compress", x, picks.mask, axis=picks.axes[0])
    if len(picks.axes) == 1:
        return b.op("Gather", x, picks.tensors[0], axis=picks.axes[0])
    taken = b.op("GatherND", transposed(b, x, picks.order()), _stacked(b, picks))
    k, others = len(picks.shape), len(picks.rest) - len(picks.axes)
    return transposed(b, taken, [*range(k, k + picks.front), *range(k), *range(k + picks.front, k + others)])


@lowers("index_put")
def _(b: Builder, x: Any, value: Any, *indices: Any, index: tuple[Any, ...]) -> Any:
    shape = in_shape(b)
    picks = _picks(b, index, indices, len(shape), 2)
    value = b.cast(value, out_dtype(b)) if isinstance(value, ir.Value) else scalar(b, value, out_dtype(b))
    part, order = sliced(b, x, picks.rest), picks.order()
    table, stacked = transposed(b, part, order), _stacked(b, picks)
    k, rank = len(picks.shape), len(picks.shape) + len(picks.rest) - len(picks.axes)
    if in_shape(b, 1):
        # The axes of the selection stand first in the table, but after `front` others in the value.
        value = unsqueezed(b, value, list(range(rank - len(in_shape(b, 1)))))
        places = range(picks.front, picks.front + k)
        value = transposed(b, value, [*places, *[i for i in range(rank) if i not in places]])
    taken = b.op("GatherND", table, stacked)
    new = b.op("ScatterND", table, stacked, spread(b, value, taken, (None,)))
    new = transposed(b, new, np.argsort(order).tolist())
    left = [i for i, (axis, _) in enumerate(picks.rest) if axis is None]
    return put(b, x, squeezed(b, new, left), shape, [item for axis, item in picks.rest if axis is not None])


def _stacked(b: Builder, picks: _Picks) -> Any:
    """Stacks the positions on all axes along a last axis, as GatherND takes them."""
    if None in picks.shape:
        total = picks.tensors[0]
        for tensor in picks.tensors[1:]:
            total = b.op("Add", total, tensor)
        target = b.op("Shape", total, dtype=np.int64)
    else:
        target = b.sizes(picks.shape)
    columns = [b.op("Unsqueeze", b.op("Expand", tensor, target), np.array([-1])) for tensor in picks.tensors]
    return b.op("Concat", *columns, axis=-1)


@lowers("index_sum")
def _(b: Builder, g: Any, *indices: Any, index: tuple[Any, ...], shape: tuple[Any, ...]) -> Any:
    picks = _picks(b, index, indices, len(shape))
    have = in_shape(b)
    k, order = len(picks.shape), picks.order()
    g = transposed(
        b, g, [*range(picks.front, picks.front + k), *range(picks.front), *range(picks.front + k, len(have))]
    )
    others: list[Extent] = [
        measured(b, g, k + i) if n is None else n for i, n in enumerate(have[: picks.front] + have[picks.front + k :])
    ]
    named: list[Any] = [shape[axis] for axis in (picks.rest[a][0] for a in picks.axes) if axis is not None]
    # One row per selected element, added into a table of all elements that can be selected.
    rows = g if k == 1 else b.op("Reshape", g, joined(b, [-1, *others]))
    places = b.op("Reshape", _linear(b, picks.tensors, named), np.array([-1] + [1] * len(others)))
    count = product(named)
    if count is None:
        raise ExportError(f"an index names elements on axes of the sizes {named}; no formula gives their product")
    total = _added(b, rows, places, [count, *others])
    if len(named) > 1:
        total = b.op("Reshape", total, joined(b, [*named, *others]))
    total = transposed(b, total, np.argsort(order).tolist())
    sizes = dict(zip(order, [*named, *others], strict=True))
    return placed(b, total, tuple(sizes[axis] for axis in range(len(order))), picks.rest, shape)


def _linear(b: Builder, tensors: list[ir.Value], sizes: list[Any]) -> Any:
    """Returns one number per selected element: its position once the indexed axes are flattened."""
    if len(tensors) == 1:
        return tensors[0]
    total = None
    for tensor, n in zip(tensors, sizes, strict=True):
        # Mod makes negative positions positive; the forward pass has checked the range.
        place = b.op("Mod", tensor, scalar(b, n, np.int64))
        total = place if total is None else b.op("Add", b.op("Mul", total, scalar(b, n, np.int64)), place)
    return total


def _added(b: Builder, rows: Any, places: Any, shape: list[Extent]) -> Any:
    """Adds rows to a tensor of zeros.

    ScatterElements, not ScatterND: on a CPU, onnxruntime 1.32's ScatterND has a data race if a row is selected twice.
    """
    dtype = out_dtype(b)
    zero = ir.tensor(np.zeros(1, dtype))
    table = b.op("ConstantOfShape", joined(b, shape), dtype=dtype, value=zero)
    target = b.op("Shape", rows, dtype=np.int64)
    return _scattered(b, table, b.op("Expand", places, target), rows, 0)


def _scattered(b: Builder, table: Any, places: Any, g: Any, dim: int) -> Any:
    if b.opset < 16:
        raise ExportError(f"the gradient of indexing with tensors needs opset 16 or newer; got opset {b.opset}")
    return b.op("ScatterElements", table, places, g, axis=dim, reduction="add")


# --- along one axis


@lowers("gather_at")
def _(b: Builder, x: Any, indices: Any, dim: int) -> Any:
    return b.op("GatherElements", x, b.cast(indices, np.int64), axis=dim)


@lowers("scatter_at")
def _(b: Builder, x: Any, indices: Any, src: Any, dim: int) -> Any:
    return b.op("ScatterElements", x, b.cast(indices, np.int64), b.cast(src, out_dtype(b)), axis=dim)


@lowers("scatter_product")
def _(b: Builder, x: Any, indices: Any, src: Any, dim: int) -> Any:
    if b.opset < 16:
        raise ExportError(f"scatter with reduce='multiply' needs opset 16 or newer; got opset {b.opset}")
    return b.op("ScatterElements", x, b.cast(indices, np.int64), src, axis=dim, reduction="mul")


@lowers("gather_sum")
def _(b: Builder, g: Any, indices: Any, dim: int, shape: tuple[Any, ...]) -> Any:
    return _scattered(b, filled(b, shape, 0, out_dtype(b)), b.cast(indices, np.int64), g, dim)


@lowers("take_rows")
def _(b: Builder, weight: Any, indices: Any, padding: int | None) -> Any:
    return b.op("Gather", weight, b.cast(indices, np.int64), axis=0)


@lowers("nonzero_at")
def _(b: Builder, x: Any) -> Any:
    return b.op("Transpose", b.op("NonZero", b.cast(x, np.bool_), dtype=np.int64), perm=[1, 0])
