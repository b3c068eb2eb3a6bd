"""Unifies several runs of one function at different sizes into one graph with symbolic sizes.

Shapes are plain ints, and a program may compute anything from them. So which sizes are dynamic is proved, not
declared: the runs must have the same ops, connected alike, with the same constants, and every int that differs between
them must be a function of the sizes that were changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product, zip_longest
from typing import Any, NamedTuple

import numpy as np

from ..errors import TraceError
from .graph import Graph
from .node import Node, Spec, Value

__all__ = ["Size", "evaluate", "symbols_of", "unify"]


class Size(NamedTuple):
    """A size that varies: ``coefficient * (product of symbols) + offset``. A symbol may occur twice in the product."""

    symbols: tuple[str, ...]
    coefficient: int = 1
    offset: int = 0

    def at(self, sizes: Mapping[str, int]) -> int:
        """Returns its value for given sizes of the symbols."""
        return self.coefficient * math.prod(sizes[s] for s in self.symbols) + self.offset

    def renamed(self, names: Mapping[str, str]) -> Size:
        """Returns the same size with its symbols renamed."""
        return self._replace(symbols=tuple(names.get(s, s) for s in self.symbols))

    def __str__(self) -> str:
        product = "*".join(([str(self.coefficient)] if self.coefficient != 1 else []) + list(self.symbols))
        return f"{product}{self.offset:+d}" if self.offset else product

    def __repr__(self) -> str:
        return str(self)


def evaluate(tree: Any, sizes: Mapping[str, int]) -> Any:
    """Replaces every `Size` in an attribute with its value."""
    if isinstance(tree, Size):
        return tree.at(sizes)
    if isinstance(tree, (tuple, list)):
        return type(tree)(evaluate(item, sizes) for item in tree)
    if isinstance(tree, slice):
        return slice(*(evaluate(bound, sizes) for bound in (tree.start, tree.stop, tree.step)))
    return tree


def symbols_of(tree: Any) -> set[str]:
    """Returns the symbols that a shape or an attribute depends on."""
    if isinstance(tree, Size):
        return set(tree.symbols)
    if isinstance(tree, Graph):
        shapes = [value.shape for value in tree.inputs.values()]
        parts = [(node.inputs, *node.attrs.values(), *(spec.shape for spec in node.outputs)) for node in tree.nodes]
        return symbols_of((shapes, parts))
    if isinstance(tree, (tuple, list)):
        return {s for item in tree for s in symbols_of(item)}
    if isinstance(tree, slice):
        return {s for bound in (tree.start, tree.stop, tree.step) for s in symbols_of(bound)}
    return set()


def unify(graphs: Sequence[Graph], sizes: Sequence[Mapping[str, int]]) -> Graph:
    """Returns one graph that equals each of `graphs` when its symbols take the sizes of that run.

    Args:
        graphs: the traces; names and constants come from the first.
        sizes: the sizes of all symbols in each run.

    Raises:
        TraceError: the runs differ in more than sizes. The message names the user's line.
    """
    return _Unifier(graphs, sizes).run()


class _Unifier:
    def __init__(self, graphs: Sequence[Graph], sizes: Sequence[Mapping[str, int]]) -> None:
        self.graphs = graphs
        self.sizes = sizes
        # For each run, the unified value of each of its values.
        self.placed: list[dict[Value, Value]] = [{} for _ in graphs]
        self.captured: dict[Value, Any] = {}
        self.labels: dict[Value, str] = {}
        self.node: Node | None = None

    def run(self) -> Graph:
        first = self.graphs[0]
        inputs = {name: self._place([graph.inputs[name] for graph in self.graphs], known=True) for name in first.inputs}
        for nodes in zip_longest(*(graph.nodes for graph in self.graphs)):
            self._unify_nodes(nodes)
        self.node = None
        outputs = {}
        if any(graph.outputs.keys() != first.outputs.keys() for graph in self.graphs):
            counts = " and ".join(str(len(graph.outputs)) for graph in self.graphs)
            raise self._error(f"the number of outputs changed ({counts}) with {self._changed()}")
        for name in first.outputs:
            self.node = first.outputs[name].node
            outputs[name] = self._operand([graph.outputs.get(name) for graph in self.graphs])
        return Graph(inputs, outputs, self.captured, self.labels, first.structure, first.reads)

    def _unify_nodes(self, nodes: tuple[Node | None, ...]) -> None:
        first = self.node = nodes[0] or next(node for node in nodes if node is not None)
        if any(node is None or node.op is not first.op for node in nodes):
            counts = " and ".join(str(len(graph.nodes)) for graph in self.graphs)
            raise self._error(
                f"the recorded operations differ ({counts} of them): a Python loop or branch depends on "
                f"{self._changed()}, and would be frozen as the example took it"
            )
        if any(len(node.inputs) != len(first.inputs) for node in nodes if node is not None):
            counts = " and ".join(str(len(node.inputs)) for node in nodes if node is not None)
            raise self._error(f"the number of inputs changed ({counts}) with {self._changed()}")
        inputs = tuple(self._operand([node.inputs[i] for node in nodes]) for i in range(len(first.inputs)))  # type: ignore[union-attr]
        attrs = {
            name: self._attribute([node.attrs[name] for node in nodes], f"the attribute {name!r}")  # type: ignore[union-attr]
            for name in first.attrs
        }
        specs = tuple(
            Spec(self._shape([node.outputs[i].shape for node in nodes]), spec.dtype)  # type: ignore[union-attr]
            for i, spec in enumerate(first.outputs)
        )
        unified = Node(first.op, inputs, attrs, specs, first.needs_grad)
        unified.scope, unified.location = first.scope, first.location
        for run, node in enumerate(nodes):
            for i in range(len(specs)):
                self.placed[run][node.value(i)] = unified.value(i)  # type: ignore[union-attr]

    def _operand(self, operands: Sequence[Any]) -> Any:
        """Unifies one input of a node over all runs."""
        first = operands[0]
        if type(first) is not Value:
            if any(type(o) is Value or (o is None) != (first is None) for o in operands):
                raise self._error(f"an input is a tensor in one run and a constant in another with {self._changed()}")
            return self._attribute(operands, "a constant")
        if any(type(o) is not Value for o in operands):
            raise self._error(f"an input is a tensor in one run and a constant in another with {self._changed()}")
        places = [self.placed[run].get(o) for run, o in enumerate(operands)]
        if all(place is None for place in places):
            return self._place(operands)
        if any(place is not places[0] and place != places[0] for place in places):
            raise self._error(f"the operations are wired differently with {self._changed()}")
        return places[0]

    def _place(self, leaves: Sequence[Value], known: bool = False) -> Value:
        """Makes a leaf of the unified graph: an input, or a constant that must be the same in all runs."""
        first = leaves[0]
        if known:
            unified = Value(self._shape([leaf.shape for leaf in leaves]), first.dtype, first.requires_grad)
        else:
            unified = first
            tensors = [graph.captured[leaf] for graph, leaf in zip(self.graphs, leaves, strict=True)]
            array = tensors[0]._data
            for tensor in tensors[1:]:
                if tensor is not tensors[0] and not _same(array, tensor._data):
                    raise self._error(
                        "a tensor made outside of lucid's ops differs between two runs "
                        f"({array.dtype}{list(array.shape)} and {tensor._data.dtype}{list(tensor._data.shape)}) "
                        f"with {self._changed()}"
                    )
            self.captured[unified] = tensors[0]
            self.labels[unified] = self.graphs[0].labels[first]
        for run, leaf in enumerate(leaves):
            self.placed[run][leaf] = unified
        return unified

    def _attribute(self, runs: Sequence[Any], what: str) -> Any:
        first = runs[0]
        if isinstance(first, (tuple, list)) and all(
            isinstance(r, (tuple, list)) and len(r) == len(first) for r in runs
        ):
            return type(first)(self._attribute(items, what) for items in zip(*runs, strict=True))
        if isinstance(first, slice) and all(isinstance(r, slice) for r in runs):
            bounds = [[r.start for r in runs], [r.stop for r in runs], [r.step for r in runs]]
            return slice(*(self._attribute(items, what) for items in bounds))
        if all(isinstance(r, Graph) for r in runs):
            return unify(runs, self.sizes)
        if all(type(r) is type(first) and (r == first or (r != r and first != first)) for r in runs):
            return first
        if all(type(r) is int for r in runs) and (size := self._size(runs)) is not None:
            return size
        values = " and ".join(dict.fromkeys(map(str, runs)))
        raise self._error(f"{what} changed ({values}) with {self._changed()}")

    def _shape(self, shapes: Sequence[tuple[int, ...]]) -> tuple[Any, ...]:
        """Unifies the shapes of a value; None stands for a size that no formula here describes."""
        if any(len(shape) != len(shapes[0]) for shape in shapes):
            raise self._error(f"the number of axes of a value changed with {self._changed()}")
        return tuple(ns[0] if all(n == ns[0] for n in ns) else self._size(ns) for ns in zip(*shapes, strict=True))

    def _size(self, ns: Sequence[int]) -> Size | None:
        """Returns the formula that gives these numbers in these runs, or None."""
        base = self.sizes[0]
        # The symbols that changed in a run in which the number changed too; those that changed alone tell most.
        changes = [
            {s for s in base if sizes[s] != base[s]} for n, sizes in zip(ns, self.sizes, strict=True) if n != ns[0]
        ]
        alone = [change for change in changes if len(change) == 1]
        moved = sorted(set().union(*(alone or changes)))
        found: list[Size] = []
        for powers in product((1, 2), repeat=len(moved)) if 1 <= len(moved) <= 3 else ():
            symbols = tuple(s for s, power in zip(moved, powers, strict=True) for _ in range(power))
            at = [math.prod(sizes[s] for s in symbols) for sizes in self.sizes]
            rise, run = next((n - ns[0], a - at[0]) for n, a in zip(ns, at, strict=True) if a != at[0])
            if rise % run == 0:
                size = Size(symbols, rise // run, ns[0] - rise // run * at[0])
                if all(size.at(sizes) == n for n, sizes in zip(ns, self.sizes, strict=True)):
                    found.append(size)
        # If 3 becomes 4 and 9 becomes 16, the formula is n * n, not 7 * n - 12.
        return min(found, key=lambda size: abs(size.offset), default=None)

    def _changed(self) -> str:
        """Describes what changed between the runs."""
        base = self.sizes[0]
        moved = [f"{s} from {base[s]} to {sizes[s]}" for sizes in self.sizes[1:] for s in base if sizes[s] != base[s]]
        return f"a size ({', '.join(dict.fromkeys(moved))})" if moved else "the values of the inputs"

    def _error(self, why: str) -> TraceError:
        where = f" {self.node.op.name} at {self.node.location}:" if self.node is not None else ""
        reads = [str(read) for graph in self.graphs for read in graph.reads]
        hint = ""
        if reads:
            hint = f"; a traced value left the graph through {', '.join(dict.fromkeys(reads))}"
        return TraceError(f"{where.strip()} {why}{hint}".strip())


def _same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
