"""Imports of lists of tensors, as PyTorch's exporters write them: what was split, collected, put together or joined.

A list is a value of the importer's own. No tensor can be made of it but by these operators, and no Scan or Loop hands
one on; what a Loop collects, one tensor a trip, becomes one by `lucid.importing.lists`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...errors import ModelImportError
from ...tensor import Tensor
from ..registry import IMPORTS, Operation, imports
from ..values import Sizes, as_tensor, boxed, constant, integers

__all__: list[str] = []


class Items:
    """A list of so many tensors, whatever the sizes of the inputs are."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)


class Cut:
    """A tensor cut along an axis: a list whose length is a size.

    Args:
        x: the tensor.
        axis: the axis.
        kept: whether the elements still have it, with one position.
    """

    def __init__(self, x: Tensor, axis: int, kept: bool) -> None:
        self.x = x
        self.axis = axis % x.ndim
        self.kept = kept

    def at(self, place: Any) -> Any:
        gather = Operation("Gather", "", {"axis": self.axis}, 13, 1)
        place = np.reshape(place, 1 if self.kept else ()) if constant(place) else as_tensor(place).reshape(())
        found = IMPORTS["Gather"].function(gather, self.x, place)
        return ops.unsqueeze(found, self.axis) if self.kept and isinstance(place, Tensor) else found

    def joined(self, axis: int, new: bool) -> Tensor:
        stacked = ops.moveaxis(self.x, self.axis, 0)
        if self.kept:
            stacked = ops.unsqueeze(stacked, self.axis + 1)
        if new:
            return ops.moveaxis(stacked, 0, axis)
        axis %= stacked.ndim - 1
        return ops.flatten(ops.moveaxis(stacked, 0, axis), axis, axis + 1)


@imports("SequenceEmpty", plain=True)
def _(node: Operation) -> Items:
    return Items([])


@imports("SequenceConstruct", plain=True)
def _(node: Operation, *items: Any) -> Items:
    return Items(items)


@imports("SequenceInsert", plain=True)
def _(node: Operation, given: Any, x: Any, place: Any = None) -> Items:
    items = list(_items(given))
    at = len(items) if place is None else _place(place, len(items), len(items))
    return Items([*items[:at], x, *items[at:]])


@imports("SequenceErase", plain=True)
def _(node: Operation, given: Any, place: Any = None) -> Items:
    items = list(_items(given))
    at = _place(np.array(-1) if place is None else place, len(items), len(items) - 1)
    return Items([*items[:at], *items[at + 1 :]])


@imports("SequenceAt", plain=True)
def _(node: Operation, given: Any, place: Any) -> Any:
    if isinstance(given, Cut):
        return given.at(place)
    items = _items(given)
    return items[_place(place, len(items), len(items) - 1)]


@imports("SequenceLength", plain=True)
def _(node: Operation, given: Any) -> Any:
    if isinstance(given, Cut):
        return Sizes(boxed(given.x.shape[given.axis]))
    return np.array(len(_items(given)))


@imports("SplitToSequence", plain=True)
def _(node: Operation, x: Any, split: Any = None) -> Any:
    x, axis = as_tensor(x), node.get("axis", 0)
    if split is None:
        return Cut(x, axis, bool(node.get("keepdims", 1)))
    sizes = integers(split)
    one = not (split.items if isinstance(split, Sizes) else split).ndim
    return Items(ops.split(x, sizes[0] if one else sizes, axis))


@imports("ConcatFromSequence", plain=True)
def _(node: Operation, given: Any) -> Tensor:
    axis, new = node.get("axis"), bool(node.get("new_axis", 0))
    if isinstance(given, Cut):
        return given.joined(axis, new)
    items = [as_tensor(x) for x in _items(given)]
    if not items:
        raise ModelImportError("it joins an empty list")
    return ops.stack(items, axis) if new else ops.cat(items, axis)


def _items(given: Any) -> list[Any]:
    """Returns the elements of a list."""
    if isinstance(given, Items):
        return given.items
    if isinstance(given, Cut):
        n = given.x.shape[given.axis]
        return [given.at(np.array(i)) for i in range(n)]
    raise ModelImportError("it reads a tensor as a list")


def _place(place: Any, count: int, last: int) -> int:
    """Returns a position in a list, counted from the beginning."""
    if not constant(place):
        raise ModelImportError("a position in a list must be a constant")
    (at,) = integers(place)
    if not -count <= at <= last:
        raise ModelImportError(f"there is no position {at} in a list of {count} tensors")
    return at + count if at < 0 else at
