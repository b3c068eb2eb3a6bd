"""Carried: follows the elements of states, from an input to a layer's initial state, and from its last state on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.size import symbols_of
from ..tracer.symbolic import resolved

__all__ = ["Carried"]

Array = np.ndarray[Any, Any]

_MOVES = frozenset(
    {"clone", "concat", "detach", "flip", "passed", "permute", "reshape_to", "slice_at", "split_to", "squeeze"}
    | {"unsqueeze"}
)
"""The ops that only move elements."""

_LAST = 1 << 60
"""Marks the number of an element of a last state: it is the next value of the element of that number."""

_INPUT = 1 << 40
"""More than the number of elements of any input."""


class Carried:
    """Follows the elements of inputs through ops that only move them.

    Each element of an input gets a number, and the ops move these numbers at two choices of the free sizes. An op that
    cuts an axis of a free size is not followed, so what holds at two sizes holds at all.

    Attributes:
        began: for each input of which a layer's initial state was taken, the first such node.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.began: dict[str, Node] = {}
        shapes = [value.shape for value in graph.inputs.values()]
        symbols = sorted(symbols_of(tuple(shapes)))
        runs = [
            resolved(graph, {symbol: first + step * i for i, symbol in enumerate(symbols)}) for first, step in _SIZES
        ]
        self._nodes = dict(zip(graph.nodes, zip(*[run.nodes for run in runs], strict=True), strict=True))
        self._inputs = {
            value: (place, [run.inputs[name].shape for run in runs])
            for place, (name, value) in enumerate(graph.inputs.items())
        }
        self._numbers: dict[Value, list[Array]] = {}
        # For each input and choice of sizes, which of its elements some layer starts from.
        self._begun: dict[int, list[Array]] = {}

    def move(self, node: Node, excluded: Mapping[Value, Any]) -> bool:
        """Follows elements through a node; returns whether it only moves elements, all of them from inputs.

        Args:
            node: the node.
            excluded: the values that are not followed.
        """
        values = [value for value in node.inputs if type(value) is Value]
        if node.op.name not in _MOVES or len(values) != len(node.inputs) or any(v in excluded for v in values):
            return False
        if node.op.name not in ("reshape_to", "squeeze", "unsqueeze"):
            free = [_free(shape) for shape in (*[v.shape for v in values], *[spec.shape for spec in node.outputs])]
            if any(sizes != free[0] for sizes in free):
                return False
        numbers = [self.numbers(value) for value in values]
        if any(found is None for found in numbers):
            return False
        results: list[list[Array]] = []
        for run, pinned in enumerate(self._nodes[node]):
            made = node.op.forward(*[found[run] for found in numbers if found is not None], **pinned.attrs)
            results.append([np.asarray(array) for array in (made if isinstance(made, tuple) else (made,))])
        for i, spec in enumerate(node.outputs):
            # At these sizes, squeeze may find other axes of size one.
            if any(array[i].ndim != len(spec.shape) for array in results):
                return False
            self._numbers[node.value(i)] = [array[i] for array in results]
        return True

    def numbers(self, value: Value) -> list[Array] | None:
        """Returns the numbers of the elements of a value, if they were followed."""
        if value not in self._numbers and value in self._inputs:
            place, shapes = self._inputs[value]
            if any(not isinstance(n, int) for shape in shapes for n in shape):
                return None
            self._numbers[value] = [_count(place, shape) for shape in shapes]
        return self._numbers.get(value)

    def begin(self, node: Node, first: Value, last: int) -> str | None:
        """Follows the elements of a layer's initial state into its last state.

        Args:
            node: the layer.
            first: its initial state.
            last: which of its outputs is the last state.

        Returns:
            What is wrong, if something is.
        """
        numbers = self.numbers(first)
        if numbers is None:
            return "starts from a state that is no input"
        for run, found in enumerate(numbers):
            flat = found.ravel()
            if (flat >= _LAST).any():
                return "starts from the last state of a layer, which differs between pieces"
            for place in np.unique(flat // _INPUT).tolist():
                name = list(self.graph.inputs)[place]
                self.began.setdefault(name, node)
                value = self.graph.inputs[name]
                begun = self._begun.setdefault(place, [np.zeros(n.shape, bool) for n in self.numbers(value) or ()])
                own = flat[flat // _INPUT == place] % _INPUT
                if begun[run].flat[own].any() or len(np.unique(own)) < len(own):
                    return f"starts from the same elements of {name!r} as another layer, or from one of them twice"
                begun[run].flat[own] = True
        self._numbers[node.value(last)] = [found | _LAST for found in numbers]
        return None

    def sources(self, value: Value) -> set[str]:
        """Returns the inputs of whose elements a value consists, as far as they were followed."""
        names = list(self.graph.inputs)
        return {names[place] for found in self.numbers(value) or () for place in np.unique(found % _LAST // _INPUT)}

    def last(self, value: Value) -> bool:
        """Returns whether a value has elements of a last state."""
        return any((found >= _LAST).any() for found in self._numbers.get(value, ()))

    def first(self, value: Value) -> str | None:
        """Returns an input of which a value has elements that a layer starts from, if there is one."""
        for run, found in enumerate(self._numbers.get(value, ())):
            flat = found.ravel()[found.ravel() < _LAST]
            for place, begun in self._begun.items():
                own = flat[flat // _INPUT == place] % _INPUT
                if begun[run].flat[own].any():
                    return list(self.graph.inputs)[place]
        return None

    def next_of(self, value: Value) -> str | None:
        """Returns the input of which a value is the next value, element by element, if there is one."""
        found = self._numbers.get(value)
        for place, begun in self._begun.items() if found is not None else ():
            name = list(self.graph.inputs)[place]
            before = self.numbers(self.graph.inputs[name]) or ()
            wanted = [np.where(own, numbers | _LAST, numbers) for own, numbers in zip(begun, before, strict=True)]
            if _same(found or (), wanted):
                return name
        return None


_SIZES = ((5, 2), (11, 3))
"""The two choices of the free sizes: the first one, and how far apart they are."""


def _free(shape: tuple[Any, ...]) -> list[str]:
    """Returns the sizes that are not fixed, as texts."""
    return sorted(str(n) for n in shape if not isinstance(n, int))


def _count(place: int, shape: tuple[int, ...]) -> Array:
    return (place * _INPUT + np.arange(int(np.prod(shape)))).reshape(shape)


def _same(some: Sequence[Array], others: Sequence[Array]) -> bool:
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(some, others, strict=True))
