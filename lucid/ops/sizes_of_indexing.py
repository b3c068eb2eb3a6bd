"""Size rules of indexing; see `lucid.ops.sizes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tracer.bounds import always
from ..tracer.dim import Dim, concrete, formula, has_dim
from ..tracer.extent import beginning, broadcast, equal, greater, is_negative, lesser, within
from .sizes import Shape, fits, rule

__all__ = ["sliced"]


def sliced(n: Any, cut: slice) -> Any:
    """Returns the number of elements that a slice selects of `n`."""
    if not has_dim((n, cut)):
        return len(range(*cut.indices(n)))
    step = 1 if cut.step is None else cut.step
    if not is_negative(step):
        start = 0 if cut.start is None else cut.start if _counts_from_front(cut.start) else beginning(cut.start, n)
        stop = n if cut.stop is None else beginning(cut.stop, n)
        span = stop - start
    else:
        step = -step
        start = n - 1 if cut.start is None else lesser(_from_front(n, cut.start, -1), n - 1)
        stop = -1 if cut.stop is None else _from_front(n, cut.stop, -1)
        span = start - stop
    count = greater(span, 0)
    return count if type(step) is int and step == 1 else -(-count // step)


def _counts_from_front(bound: Any) -> bool:
    return always("ge", formula(bound), 0) is True


def _from_front(n: Any, bound: Any, least: int = 0) -> Any:
    return greater(bound + n, least) if is_negative(bound) else bound


@rule("slice_at")
def _(x: Shape, index: Any) -> Shape:
    return _indexed(x, index, [], [])


@rule("index_at")
def _(x: Shape, *indices: Shape, index: Any, dtypes: Sequence[Any]) -> Shape:
    return _indexed(x, index, indices, [dtype.kind == "b" for dtype in dtypes[1:]])


@rule("slice_put")
def _(x: Shape, value: Shape, index: Any) -> Shape:
    _spreads(value, _indexed(x, index, [], []))
    return x


@rule("index_put")
def _(x: Shape, value: Shape, *indices: Shape, index: Any, dtypes: Sequence[Any]) -> Shape:
    _spreads(value, _indexed(x, index, indices, [dtype.kind == "b" for dtype in dtypes[2:]]))
    return x


def _spreads(x: Shape, wanted: Shape) -> None:
    """Demands that a shape broadcasts to another one, as far as that is known."""
    for n, m in zip(reversed(x), reversed(wanted), strict=False):
        if m is not None and (concrete(n) != 1 or type(n) is Dim):
            equal(n, m if concrete(m) == concrete(n) else 1)


def _indexed(x: Shape, index: Any, tensors: Sequence[Shape], masks: Sequence[bool]) -> Shape:
    """Returns the shape of ``x[index]``, by NumPy's rules."""
    given = iter(zip(tensors, masks, strict=True))
    items = [next(given) if isinstance(i, str) else i for i in index]
    widths = [0 if i is None or i is Ellipsis else len(i[0]) if isinstance(i, tuple) and i[1] else 1 for i in items]
    free = len(x) - sum(widths)
    if Ellipsis not in [i for i in items if not isinstance(i, (tuple, slice, Dim))]:
        items, widths = [*items, ...], [*widths, 0]
    result: list[Any] = []
    picked: list[int] = []
    axis = 0
    for place, (item, width) in enumerate(zip(items, widths, strict=True)):
        if item is None:
            result.append(1)
        elif item is Ellipsis:
            result += x[axis : axis + free]
            axis += free
        elif isinstance(item, slice):
            result.append(sliced(x[axis], item))
        else:
            if not isinstance(item, tuple):
                within(item, x[axis])
            elif item[1]:
                for n, m in zip(item[0], x[axis : axis + width], strict=True):
                    equal(n, m)
            if not picked:
                first = len(result)
            picked.append(place)
        axis += width
    if not tensors:
        return tuple(result)
    # Tensors, and positions beside them, broadcast to axes of their own.
    shapes = [item[0] for item in items if isinstance(item, tuple) and not item[1]]
    if any(masks):
        taken: Shape = (None,) * max(1, *(len(shape) for shape in shapes), 1)
    else:
        taken = broadcast(*shapes)
    adjacent = picked == list(range(picked[0], picked[-1] + 1))
    place = first if adjacent else 0
    return (*result[:place], *taken, *result[place:])


@rule("slice_add")
def _(g: Shape, index: Any, shape: Shape) -> Shape:
    fits(g, _indexed(shape, index, [], []))
    return shape


@rule("index_sum")
def _(g: Shape, *indices: Shape, index: Any, shape: Shape, dtypes: Sequence[Any]) -> Shape:
    fits(g, _indexed(shape, index, indices, [dtype.kind == "b" for dtype in dtypes[1:]]))
    return shape


@rule("gather_at")
def _(x: Shape, indices: Shape, dim: int) -> Shape:
    return indices


@rule("scatter_at", "scatter_product")
def _(x: Shape, indices: Shape, src: Shape, dim: int) -> Shape:
    fits(src, indices)
    return x


@rule("take_rows")
def _(weight: Shape, indices: Shape, padding: Any) -> Shape:
    return (*indices, *weight[1:])


@rule("nonzero_at")
def _(x: Shape) -> Shape:
    return (None, len(x))


@rule("ordered")
def _(x: Shape, k: Any, dim: int, descending: bool) -> list[Shape]:
    shape = (*x[:dim], k, *x[dim + 1 :])
    return [shape, shape]
