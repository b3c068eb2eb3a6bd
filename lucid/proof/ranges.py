"""Ranges: the elements that an input may hold, since an op takes it as indices, classes or probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..tracer.graph import Graph
from ..tracer.node import Node, Value

__all__ = ["Range", "find_ranges", "listed"]

_REARRANGE = frozenset(
    {"detach", "expand_to", "flip", "permute", "reshape_to", "squeeze", "unsqueeze", "broadcast_to", "contiguous"}
)
"""The ops whose results have the elements of their input, perhaps in another order."""

Cut = tuple[int | tuple[int | None, int | None, int | None], ...]


class Range(NamedTuple):
    """The range of the elements of an input, or of a part of it.

    Attributes:
        input: the name of the input.
        op: the function that takes the elements, for messages.
        least: the least element; a formula if it depends on sizes.
        most: the greatest one.
        ignored: an element that is allowed beside them; None if there is none.
        cut: the part of the input: for each of the first axes, a place, or start, stop and step of a slice.
        whole: whether the elements are taken as integers.
    """

    input: str
    op: str
    least: int | str
    most: int | str
    ignored: int | None = None
    cut: Cut = ()
    whole: bool = True


def find_ranges(graph: Graph) -> tuple[Range, ...]:
    """Finds the ranges of inputs that reach an op through casts, slices and ops that only move elements.

    The eager op raises an error if an element is out of range; onnxruntime would count from the end, read something
    else, or give NaN. What is computed from several elements is not followed, and has no range.
    """
    names = {value: name for name, value in graph.inputs.items()}
    found: dict[Range, None] = {}
    for node in graph.nodes:
        for value, op, least, most, ignored in _demands(node):
            if type(value) is not Value:
                continue
            whole = op != "binary_cross_entropy"
            origin, cut, other = _origin(value, whole)
            if origin in names and cut is not None:
                skipped = ignored if other is None else other
                if other is not None and op == "gather":
                    op = "nll_loss"
                found[Range(names[origin], op, _text(least), _text(most), skipped, cut, whole)] = None
    return tuple(found)


def _demands(node: Node) -> Iterator[tuple[Any, str, Any, Any, int | None]]:
    """Yields the indices that an op takes, its function, their range, and an index that is ignored."""
    name, inputs, attrs = node.op.name, node.inputs, node.attrs
    shapes = [x.shape if type(x) is Value else () for x in inputs]
    if name == "class_losses":
        yield from _indices(inputs[1], "cross_entropy", shapes[0][attrs["dim"]], attrs["ignore_index"])
    elif name == "take_rows":
        yield from _indices(inputs[1], "embedding", shapes[0][0])
    elif name in ("gather_at", "scatter_at"):
        yield from _indices(inputs[1], name.removesuffix("_at"), shapes[0][attrs["dim"]])
    elif name == "gather_sum":
        yield from _indices(inputs[1], "scatter_add", attrs["shape"][attrs["dim"]])
    elif name == "index_at":
        yield from _indexed(node, shapes[0], 1)
    elif name == "index_put":
        yield from _indexed(node, shapes[0], 2)
    elif name == "is_class":
        yield from _indices(inputs[0], "one_hot", attrs["n"])
    elif name == "surprise":
        yield inputs[0], "binary_cross_entropy", 0, 1, None


def _indices(value: Any, op: str, size: Any, ignored: int | None = None) -> Iterator[tuple[Any, str, Any, Any, Any]]:
    if size is not None:
        yield value, op, 0, size - 1, ignored


def _indexed(node: Node, shape: tuple[Any, ...], first: int) -> Iterator[tuple[Any, str, Any, Any, None]]:
    """Yields the integer tensors in an index, which may count from the end."""
    tensors = [x for x in node.inputs[first:] if type(x) is Value]
    if len(tensors) != len(node.inputs) - first or any(tensor.dtype.kind not in "iu" for tensor in tensors):
        return
    places = [item for item in node.attrs["index"] if item is not None]
    taken = len(places) - places.count(Ellipsis) if Ellipsis in places else len(places)
    axis, given = 0, iter(tensors)
    for item in places:
        if item is Ellipsis:
            axis += len(shape) - taken
            continue
        if isinstance(item, str) and shape[axis] is not None:
            yield next(given), "an index", -shape[axis], shape[axis] - 1, None
        elif isinstance(item, str):
            next(given)
        axis += 1


def _origin(value: Value, whole: bool) -> tuple[Value, Cut | None, int | None]:
    """Returns the value before casts and moves, the part of it that is left, and an element that was replaced."""
    cut: Cut | None = ()
    ignored = None
    while (node := value.node) is not None:
        name, source = node.op.name, node.inputs[0] if node.inputs else None
        if name == "where" and whole and (replaced := _replaced(node)) is not None:
            source, ignored = replaced
        elif name == "slice_at":
            cut = _cut(node.attrs["index"]) if cut == () else None
        elif name == "astype":
            if not whole and value.dtype.kind != "f":
                break
        elif name in _REARRANGE:
            # The axes of a cut are those of the input.
            cut = () if cut == () else None
        else:
            break
        if type(source) is not Value:
            break
        value = source
    return value, cut, ignored


def _replaced(node: Node) -> tuple[Any, int] | None:
    """Returns the tensor and the element in it that ``where(tensor != element, tensor, 0)`` replaces."""
    condition, source = node.inputs[0], node.inputs[1]
    if type(condition) is not Value or condition.node is None or condition.node.op.name != "ne":
        return None
    tensor, element = condition.node.inputs
    return (source, element) if tensor is source and type(element) is int else None


def _cut(index: tuple[Any, ...]) -> Cut | None:
    """Returns an index as JSON can hold it; None if it is no row of plain numbers and slices."""
    found: list[Any] = []
    for item in index:
        if type(item) is int:
            found.append(item)
        elif isinstance(item, slice):
            found.append((item.start, item.stop, item.step))
        else:
            return None
    plain = all(n is None or type(n) is int for item in found for n in (item if type(item) is tuple else (item,)))
    return tuple(found) if plain else None


def _text(n: Any) -> int | str:
    return n if type(n) is int else str(n)


def listed(ranges: tuple[Range, ...]) -> list[Mapping[str, Any]]:
    """Returns ranges as JSON can hold them."""
    return [{key: value for key, value in one._asdict().items() if value not in (None, ())} for one in ranges]
