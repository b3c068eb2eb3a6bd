"""Proof: a graph that holds at all sizes of its free axes."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.symbolic import Size, evaluate, symbols_of
from .example import Axis

__all__ = ["Proof", "pin"]


class Proof(NamedTuple):
    """A graph that holds at all sizes of its free axes.

    Attributes:
        graph: the graph, with a `Size` wherever something depends on a free axis.
        axes: the symbol of each free axis.
        sizes: the example's size for each symbol.
        fixed: the reason why each other axis is fixed.
        reads: where Python reads elements of tensors, without any effect on the graph.
        tight: the fixed axes of which the function accepts no other size.
    """

    graph: Graph
    axes: dict[Axis, str]
    sizes: dict[str, int]
    fixed: dict[Axis, str]
    reads: tuple[str, ...] = ()
    tight: frozenset[Axis] = frozenset()

    def pinned(self, symbols: Set[str], reason: str) -> Proof:
        """Returns the proof with some symbols fixed at the example's sizes, for the given reason."""
        return Proof(
            pin(self.graph, {symbol: self.sizes[symbol] for symbol in symbols}),
            {axis: symbol for axis, symbol in self.axes.items() if symbol not in symbols},
            {symbol: n for symbol, n in self.sizes.items() if symbol not in symbols},
            self.fixed | {axis: reason for axis, symbol in self.axes.items() if symbol in symbols},
            self.reads,
            self.tight,
        )


def pin(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Replaces some symbols of a graph with numbers. Nodes keep their order."""
    places: dict[Value, Value] = {}

    def attribute(old: Any) -> Any:
        if isinstance(old, Size):
            if symbols_of(old) <= sizes.keys():
                return old.at(sizes)
            kept = tuple(s for s in old.symbols if s not in sizes)
            factor = evaluate(Size(tuple(s for s in old.symbols if s in sizes)), sizes)
            return Size(kept, old.coefficient * factor, old.offset)
        if isinstance(old, (tuple, list)):
            return type(old)(map(attribute, old))
        if isinstance(old, slice):
            return slice(*map(attribute, (old.start, old.stop, old.step)))
        return pin(old, sizes) if isinstance(old, Graph) else old

    inputs = {}
    for name, value in graph.inputs.items():
        inputs[name] = places[value] = Value(tuple(map(attribute, value.shape)), value.dtype, value.requires_grad)
    for node in graph.nodes:
        operands = tuple(places.get(v, v) if type(v) is Value else attribute(v) for v in node.inputs)
        outputs = tuple(spec._replace(shape=tuple(map(attribute, spec.shape))) for spec in node.outputs)
        attrs = {name: attribute(attr) for name, attr in node.attrs.items()}
        pinned = Node(node.op, operands, attrs, outputs, node.needs_grad)
        pinned.scope, pinned.location = node.scope, node.location
        for i in range(len(outputs)):
            places[node.value(i)] = pinned.value(i)
    results = {name: places.get(value, value) for name, value in graph.outputs.items()}
    return graph._replace(inputs=inputs, outputs=results)
