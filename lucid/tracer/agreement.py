"""Agreement: whether a graph with formulas in it is what another run recorded, at the sizes of that run."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from ..errors import TraceError
from .graph import Graph, walk
from .node import Node, Value
from .size import evaluate, unknowns_of

__all__ = ["require_agreement"]


def require_agreement(
    graph: Graph,
    other: Graph,
    sizes: Mapping[str, int] | None = None,
    before: Mapping[str, int] | None = None,
    *,
    shapes: bool = True,
) -> None:
    """Checks that another run recorded the same ops, connected alike, with the same constants.

    Sizes that no rule gives are not checked where the other run did not record what they are measured at.

    Args:
        graph: a graph, with formulas in it or without.
        other: another run; with the same formulas, or without any.
        sizes: the sizes of the graph's symbols in that run, if it has no formulas.
        before: the sizes of the run that the graph was recorded in, for the message.
        shapes: whether shapes must agree. Of two runs without formulas and with other elements they need not: a size
            may depend on elements.

    Raises:
        TraceError: the runs differ; the message names the user's line.
    """
    _Agreement(graph, other, dict(sizes or {}), dict(before or {}), shapes).check()


class _Agreement:
    def __init__(self, graph: Graph, other: Graph, sizes: dict[Any, int], before: dict[str, int], shapes: bool) -> None:
        self.shapes = shapes
        self.graph = graph
        self.other = other
        self.sizes = sizes
        self.before = before
        # The value of the graph for each value of the other one.
        self.placed: dict[Value, Value] = {}
        self.node: Node | None = None
        self.measured: dict[Value, list[tuple[Any, int]]] = {}
        for atom, (value, axis) in graph.measured.items():
            self.measured.setdefault(value, []).append((atom, axis))

    def check(self) -> None:
        graph, other = self.graph, self.other
        for name, value in graph.inputs.items():
            self._place(value, other.inputs[name])
        # The other run has no formulas, so it lacks the nodes that only a measured size needs.
        needed = graph.nodes if not graph.measured else walk(graph.outputs.values(), self._is_computed)
        for one, found in zip_longest(needed, other.nodes):
            self._check_node(one, found)
        self.node = None
        if graph.outputs.keys() != other.outputs.keys():
            counts = f"{len(graph.outputs)} and {len(other.outputs)}"
            raise self._error(f"the number of outputs changed ({counts}) with {self._changed()}")
        for name, value in graph.outputs.items():
            self.node = value.node
            self._check_operand(value, other.outputs[name])

    def _is_computed(self, value: Value) -> bool:
        return value not in self.graph.captured

    def _check_node(self, node: Node | None, found: Node | None) -> None:
        self.node = node or found
        if node is None or found is None or node.op is not found.op:
            counts = f"{len(self.graph.nodes)} and {len(self.other.nodes)}"
            raise self._error(
                f"the recorded operations differ ({counts} of them): a Python loop or branch depends on "
                f"{self._changed()}, and would be frozen as the example took it"
            )
        if len(node.inputs) != len(found.inputs):
            raise self._error(
                f"the number of inputs changed ({len(node.inputs)} and {len(found.inputs)}) with {self._changed()}"
            )
        for operand, actual in zip(node.inputs, found.inputs, strict=True):
            self._check_operand(operand, actual)
        for name, attr in node.attrs.items():
            self._check_attribute(attr, found.attrs[name], f"the attribute {name!r}")
        for i in range(len(node.outputs)):
            self._place(node.value(i), found.value(i))

    def _check_operand(self, operand: Any, actual: Any) -> None:
        """Checks one input of a node."""
        if type(operand) is not Value or type(actual) is not Value:
            if type(operand) is Value or type(actual) is Value or (operand is None) != (actual is None):
                raise self._error(f"an input is a tensor in one run and a constant in another with {self._changed()}")
            self._check_attribute(operand, actual, "a constant")
            return
        place = self.placed.get(actual)
        if place is None and operand in self.graph.captured and actual in self.other.captured:
            self._check_constant(operand, actual)
            self.placed[actual] = operand
        elif place != operand:
            raise self._error(f"the operations are wired differently with {self._changed()}")

    def _check_constant(self, operand: Value, actual: Value) -> None:
        tensor, other = self.graph.captured[operand], self.other.captured[actual]
        array, found = tensor._data, other._data
        if tensor is not other and not _same(array, found):
            raise self._error(
                "a tensor made outside of lucid's ops differs between two runs "
                f"({array.dtype}{list(array.shape)} and {found.dtype}{list(found.shape)}) with {self._changed()}"
            )

    def _place(self, value: Value, actual: Value) -> None:
        self.placed[actual] = value
        if len(value.shape) != len(actual.shape):
            raise self._error(f"the number of axes of a value changed with {self._changed()}")
        for atom, axis in self.measured.get(value, ()):
            self.sizes[atom] = actual.shape[axis]
        for n, m in zip(value.shape, actual.shape, strict=True) if self.shapes else ():
            if n is not None and m is not None and self._number(n) != m:
                raise self._error(f"a value has the size {m}, not {self._number(n)}, with {self._changed()}")

    def _number(self, tree: Any) -> Any:
        try:
            return evaluate(tree, self.sizes)
        except (KeyError, ArithmeticError):  # the other run has formulas, too, or the size does not exist there
            return tree

    def _check_attribute(self, attr: Any, actual: Any, what: str) -> None:
        if isinstance(attr, Graph) and isinstance(actual, Graph):
            _Agreement(attr, actual, self.sizes, self.before, self.shapes).check()
            return
        number = self._number(attr)
        if self.graph.measured and unknowns_of(attr) - self.sizes.keys():
            return  # the other run did not record what it is measured at
        if not _equal(number, actual):
            kept = "; if it is a state that a call keeps on an object, take it as an input, and return it"
            state = kept if what == "a constant" and "values" in self._changed() else ""
            raise self._error(f"{what} changed ({number} and {actual}) with {self._changed()}{state}")

    def _changed(self) -> str:
        """Describes what changed between the runs."""
        moved = [f"{s} from {n} to {self.sizes[s]}" for s, n in self.before.items() if self.sizes.get(s, n) != n]
        return f"a size ({', '.join(moved)})" if moved else "the values of the inputs"

    def _error(self, why: str) -> TraceError:
        where = f" {self.node.op.name} at {self.node.location}:" if self.node is not None else ""
        reads = [str(read) for graph in (self.graph, self.other) for read in graph.reads]
        hint = ""
        if reads:
            hint = f"; a traced value left the graph through {', '.join(dict.fromkeys(reads))}"
        return TraceError(f"{where.strip()} {why}{hint}".strip())


def _equal(x: Any, y: Any) -> bool:
    if isinstance(x, (tuple, list)) and isinstance(y, (tuple, list)):
        return len(x) == len(y) and all(map(_equal, x, y))
    if isinstance(x, slice) and isinstance(y, slice):
        return _equal((x.start, x.stop, x.step), (y.start, y.stop, y.step))
    return type(x) is type(y) and bool(x == y or (x != x and y != y))


def _same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
