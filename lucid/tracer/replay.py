"""Replay: runs a graph in NumPy, op by op, by the ops' own forwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import ShapeError
from .graph import Graph
from .node import Node, Value
from .size import evaluate
from .symbolic import resolved

__all__ = ["Replay"]

Array = np.ndarray[Any, Any]


class Replay:
    """A graph that can be run in NumPy, at any sizes.

    Args:
        graph: the graph.

    Attributes:
        steps: the nodes in order, each with the values that nothing reads after it.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        last = {x: node for node in graph.nodes for x in node.inputs if type(x) is Value}
        kept = {*graph.outputs.values(), *graph.inputs.values(), *graph.captured}
        self.steps: list[tuple[Node, list[Value]]] = [
            (node, [x for x in dict.fromkeys(node.inputs) if type(x) is Value and last[x] is node and x not in kept])
            for node in graph.nodes
        ]
        self._measured: dict[Value, list[tuple[Any, int]]] = {}
        for atom, (value, axis) in graph.measured.items():
            self._measured.setdefault(value, []).append((atom, axis))

    def run(self, arrays: Iterable[Array], sizes: Mapping[Any, int]) -> list[Array]:
        """Runs the graph and returns its outputs, which may share memory with inputs and with each other.

        Args:
            arrays: the inputs, in order.
            sizes: the size of each symbol.

        Raises:
            ShapeError: a result has another shape than its formula gives. Exception: whatever an op raises.
        """
        graph, known = self._graph, dict(sizes)
        values: dict[Value, Any] = dict(zip(graph.inputs.values(), arrays, strict=True))
        values.update((value, tensor._data) for value, tensor in graph.captured.items())

        def number(tree: Any) -> Any:
            return resolved(tree, known) if isinstance(tree, Graph) else evaluate(tree, known)

        for node, done in self.steps:
            operands = [values[x] if type(x) is Value else number(x) for x in node.inputs]
            results = node.op.forward(*operands, **{name: number(attr) for name, attr in node.attrs.items()})
            self._keep(node, results if type(results) is tuple else (results,), values, known)
            for value in done:
                del values[value]
            del operands, results
        return [values[value] for value in graph.outputs.values()]

    def _keep(self, node: Node, results: tuple[Any, ...], values: dict[Value, Any], known: dict[Any, int]) -> None:
        """Keeps those of a node's results that are read, and the sizes that are measured of them."""
        for i, result in enumerate(results):
            if (value := node.value(i)) not in self._graph.read:
                continue
            values[value] = array = np.asarray(result)
            shape = [m if n is None else evaluate(n, known) for n, m in zip(value.shape, array.shape, strict=True)]
            if array.shape != tuple(shape):
                raise ShapeError(f"{node.op.name}: a result has a shape that its formula does not give")
            for atom, axis in self._measured.get(value, ()):
                known[atom] = array.shape[axis]
