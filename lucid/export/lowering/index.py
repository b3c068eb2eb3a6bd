"""Lowerings of basic indexing, of its gradient, which writes elements into zeros, and of assignments."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.bounds import always, begin
from ...tracer.size import Size
from .builder import Builder
from .operands import in_shape, out_dtype, scalar
from .registry import lowers
from .shape import FIRST, LAST, squeezed, unsqueezed
from .sizes import Extent, joined, measured, minus

__all__ = ["Items", "aligned", "is_int", "placed", "put", "sliced", "spread"]

Items = list[tuple[int | None, Any]]
"""An index without ``...``: each item with its axis, None for a new axis."""


def aligned(index: tuple[Any, ...], rank: int, widths: list[int]) -> Items:
    """Expands an index to one item per axis.

    Args:
        index: the items; "*" for an index tensor.
        rank: the number of axes of the indexed tensor.
        widths: the number of axes that each index tensor takes.
    """
    taken = iter(widths)
    spans = [0 if i is None or i is Ellipsis else next(taken) if isinstance(i, str) else 1 for i in index]
    free = rank - sum(spans)
    items: Items = []
    axis = 0
    for item, span in zip((*index, ...) if Ellipsis not in index else index, (*spans, 0), strict=False):
        if item is Ellipsis:
            items.extend((axis + i, slice(None)) for i in range(free))
            axis += free
        elif item is None:
            items.append((None, None))
        else:
            items.append((axis, item))
            axis += span
    return items


def is_int(item: Any) -> bool:
    """Returns whether an item of an index is a single position."""
    return isinstance(item, (int, Size))


def _is_full(cut: slice) -> bool:
    return cut.start is None and cut.stop is None and cut.step in (None, 1)


@lowers("slice_at")
def _(b: Builder, x: Any, index: tuple[Any, ...]) -> Any:
    return sliced(b, x, aligned(index, len(in_shape(b)), []))


@lowers("slice_add")
def _(b: Builder, g: Any, index: tuple[Any, ...], shape: tuple[Any, ...]) -> Any:
    return placed(b, g, in_shape(b), aligned(index, len(shape), []), shape)


@lowers("slice_put")
def _(b: Builder, x: Any, value: Any, index: tuple[Any, ...]) -> Any:
    items = aligned(index, len(in_shape(b)), [])
    value = b.cast(value, out_dtype(b)) if isinstance(value, ir.Value) else scalar(b, value, out_dtype(b))
    left = [item for _, item in items if not is_int(item)]
    rank = len(in_shape(b, 1))
    if rank:
        value = unsqueezed(b, value, list(range(len(left) - rank)))
        value = squeezed(b, value, [i for i, item in enumerate(left) if item is None])
        value = unsqueezed(b, value, [axis for axis, item in items if axis is not None and is_int(item)])
    return put(b, x, value, in_shape(b), [item for axis, item in items if axis is not None])


def put(b: Builder, x: Any, value: Any, shape: tuple[Any, ...], items: list[Any]) -> Any:
    """Returns `x`, of a shape, with a value, of as many axes or none, in place of the elements at an index.

    One axis after the other: what the index selects on the first is taken out, gets the value, and is scattered back.
    """
    cut = next((axis for axis, item in enumerate(items) if is_int(item) or not _is_full(item)), None)
    if cut is None:
        return spread(b, value, x, shape)
    item, n = items[cut], shape[cut]
    one = item if isinstance(item, slice) else slice(item, item + 1 if item != -1 else None)
    bounds = (one.start, one.stop, one.step)
    count = None
    if isinstance(n, int) and not any(isinstance(bound, Size) for bound in bounds):
        found = np.arange(n)[one]
        count, places = len(found), b.const(found)
    elif isinstance(item, Size):
        places = b.op("Unsqueeze", scalar(b, item, np.int64), np.array([0]))
    else:
        last = scalar(b, n, np.int64) if n is not None else b.op("Squeeze", measured(b, x, cut), np.array([0]))
        places = _cut(b, b.op("Range", np.array(0), last, np.array(1), dtype=np.int64), [one], [0])
    part = b.op("Gather", x, places, axis=cut) if isinstance(item, Size) else _cut(b, x, [one], [cut])
    inner = (*shape[:cut], count, *shape[cut + 1 :])
    new = put(b, part, value, inner, [*items[:cut], slice(None), *items[cut + 1 :]])
    column = unsqueezed(b, places, [axis for axis in range(len(shape)) if axis != cut])
    return b.op("ScatterElements", x, spread(b, column, part, inner), new, axis=cut)


def spread(b: Builder, value: Any, x: Any, shape: tuple[Any, ...]) -> Any:
    """Broadcasts a value to the shape of another one, which is measured where it is not known."""
    known = all(isinstance(n, int) for n in shape)
    array = b.array(value)
    if known and array is not None:
        return b.const(np.broadcast_to(array, shape))
    return b.op("Expand", value, b.const(np.array(shape, np.int64)) if known else b.op("Shape", x, dtype=np.int64))


def sliced(b: Builder, x: Any, items: Items) -> Any:
    """Returns the elements at an index: by Gather for one position, else by one Slice, then Squeeze and Unsqueeze."""
    cuts = [(axis, item) for axis, item in items if isinstance(item, slice) and not _is_full(item)]
    picks = [(axis, item) for axis, item in items if axis is not None and is_int(item)]
    gone: list[int] = []
    if any(isinstance(item, Size) for _, item in picks) or (len(picks) == 1 and not cuts):
        for axis, item in reversed(picks):
            x = b.op("Gather", x, scalar(b, item, np.int64), axis=axis)
        # Gather has removed axes, so the later ones have moved forward.
        cuts = [(axis - sum(a < axis for a, _ in picks), item) for axis, item in cuts if axis is not None]
    else:
        gone = [axis for axis, _ in picks]
        cuts += [(axis, slice(item, item + 1 if item != -1 else None)) for axis, item in picks]
    for_each = sorted(cuts, key=lambda cut: cut[0] or 0)
    if for_each:
        x = _cut(b, x, [item for _, item in for_each], [axis for axis, _ in for_each])
    left = [item for _, item in items if not is_int(item)]
    return unsqueezed(b, squeezed(b, x, gone), [i for i, item in enumerate(left) if item is None])


def _cut(b: Builder, x: Any, cuts: list[slice], axes: Any) -> Any:
    steps = [1 if cut.step is None else cut.step for cut in cuts]
    back = [always("lt", s, 0) for s in steps]
    starts = [(LAST if s else 0) if cut.start is None else cut.start for cut, s in zip(cuts, back, strict=True)]
    stops = [(FIRST if s else LAST) if cut.stop is None else cut.stop for cut, s in zip(cuts, back, strict=True)]
    strides = None if all(isinstance(s, int) and s == 1 for s in steps) else b.sizes(steps)
    return b.op("Slice", x, b.sizes(starts), b.sizes(stops), np.array(axes), strides)


def placed(b: Builder, g: Any, have: tuple[Any, ...], items: Items, shape: tuple[Any, ...]) -> Any:
    """Writes `g`, of shape `have`, into zeros of a shape, at the elements that the index selects."""
    left = [item for _, item in items if not is_int(item)]
    sizes = iter([n for n, item in zip(have, left, strict=True) if item is not None])
    cuts = [(axis, item) for axis, item in items if axis is not None]
    g = squeezed(b, g, [i for i, item in enumerate(left) if item is None])
    g = unsqueezed(b, g, [axis for axis, item in cuts if is_int(item)])
    before: list[Extent] = [0] * len(shape)
    after: list[Extent] = [0] * len(shape)
    for axis, item in cuts:
        n = shape[axis]
        if is_int(item):
            first = position(item, n)
            before[axis], after[axis] = first, minus(b, n, first, 1)
            continue
        m = next(sizes)
        if _is_full(item):
            continue
        if item.step in (None, 1):
            first = 0 if item.start is None else begin(item.start, n)
            before[axis] = first
            after[axis] = minus(b, n, first, measured(b, g, axis) if m is None else m)
        elif item.step == -1 and item.start is None and item.stop is None:
            g = b.op("Slice", g, np.array([LAST]), np.array([FIRST]), np.array([axis]), np.array([-1]))
        else:
            g = _spread(b, g, axis, item, n, len(shape))
    if all(isinstance(p, int) and p == 0 for p in before + after):
        return g
    return b.op("Pad", g, joined(b, before + after))


def position(item: Any, n: Any) -> Any:
    """Returns a position, counted from the front."""
    if always("ge", item, 0):
        return item
    return item + n if always("lt", item, 0) else item % n


def _spread(b: Builder, g: Any, axis: int, cut: slice, n: Any, rank: int) -> Any:
    """Writes the elements of a slice with a step into zeros, by a Gather: each position that the slice selects reads
    its element, and all others read a zero that is appended to the slice."""
    bounds = (cut.start, cut.stop, cut.step)
    if isinstance(n, int) and not any(isinstance(bound, Size) for bound in bounds):
        places = np.arange(n)[cut]
        table = np.full(n, len(places))
        table[places] = np.arange(len(places))
        lookup: Any = table
    else:
        zero, one = np.array(0), np.array(1)
        every = b.op("Range", zero, scalar(b, n, np.int64), one, dtype=np.int64)
        places = _cut(b, every, [cut], [0])
        count = b.op("Squeeze", b.op("Shape", places, dtype=np.int64), np.array([0]))
        gaps = b.op("Expand", count, b.size(n))
        lookup = b.op("ScatterElements", gaps, places, b.op("Range", zero, count, one, dtype=np.int64), axis=0)
    pads = [0] * (2 * rank)
    pads[rank + axis] = 1
    return b.op("Gather", b.op("Pad", g, np.array(pads)), lookup, axis=axis)
