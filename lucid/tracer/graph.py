"""Graph traversal, and Graph: what a trace recorded."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from itertools import chain, count
from typing import Any

import numpy as np

from .dim import formula
from .node import Node, Note, Value
from .read import Read
from .size import unknowns_of
from .tree import Structure

__all__ = ["Graph", "depends", "walk"]


def walk(roots: Iterable[Value | None], follow: Callable[[Value], bool] | None = None) -> list[Node]:
    """Returns the nodes that `roots` depend on, in topological order.

    The traversal is iterative, so a graph may be as deep as memory allows.

    Args:
        roots: the values to start from.
        follow: whether to continue from a value to the node that produced it; always, if not given.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    # A node is pushed twice: first to visit its inputs, then, marked True, to be appended to the order.
    stack: list[tuple[Node, bool]] = []
    for root in reversed(list(roots)):
        if root is not None and root.node is not None and (follow is None or follow(root)):
            stack.append((root.node, False))
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((node, True))
        for value in reversed(node.inputs):
            if type(value) is not Value or value.node is None or value.node in seen:
                continue
            if follow is None or follow(value):
                stack.append((value.node, False))
    return order


def depends(value: Value, inputs: Container[Value], trained: bool = False) -> bool:
    """Returns whether a value was computed from the elements of inputs; their sizes are not elements.

    Args:
        value: the value.
        inputs: the inputs.
        trained: whether every leaf that requires gradients counts as an input.
    """
    if value.node is None:
        return value in inputs or (trained and value.requires_grad)
    nodes = walk([value], lambda v: v.node is None or v.node.op.name != "size")
    leaves = (operand for node in nodes for operand in node.inputs if type(operand) is Value and operand.node is None)
    return any(leaf in inputs or (trained and leaf.requires_grad) for leaf in leaves)


_DRAWS = frozenset(
    {
        *("keyed_uniform", "pcg_uniform", "pcg_gaussian", "pcg_bernoulli", "pcg_bernoulli_like"),
        *("pcg_exponential_like", "integers", "permutation", "multinomial"),
    }
)
"""The ops that draw random numbers."""


class Graph:
    """A traced graph: named inputs, nodes in execution order, outputs, and captured tensors.

    Attributes:
        inputs: the input leaves by name.
        outputs: the output values by name.
        nodes: the nodes that the outputs need, each after those it depends on.
        captured: the tensor of every other leaf: parameters, buffers and constants.
        read: the values that a node or an output reads.
        labels: a name for each captured leaf (`encoder.rnn.weight_ih_l0`).
        structure: the nested structure of `outputs` in the function's result.
        reads: where Python read elements of traced tensors.
        measured: the value and its axis at which each size that no rule gives is measured.
        sizes: what a symbolic trace knows of sizes; None for any other graph.
        trained: whether what requires gradients may change, as inputs do.
        notes: what layers say of the values that they take.
    """

    def __init__(
        self,
        inputs: dict[str, Value],
        outputs: dict[str, Value],
        captured: dict[Value, Any],
        labels: dict[Value, str],
        structure: Structure,
        reads: tuple[Read, ...] = (),
        measured: Mapping[Any, tuple[Value, int]] | None = None,
        sizes: Any = None,
        trained: bool = False,
        notes: tuple[Note, ...] = (),
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        known = set(inputs.values()) | captured.keys()
        self.nodes = tuple(walk(outputs.values(), lambda value: value not in known))
        self.measured: dict[Any, tuple[Value, int]] = {}
        if measured:
            self._measure(measured, known)
        self.read = {value for node in self.nodes for value in node.inputs if type(value) is Value}
        self.read |= {*outputs.values(), *(value for value, _ in self.measured.values())}
        self.captured = {value: tensor for value, tensor in captured.items() if value in self.read}
        self.labels = labels
        self.structure = structure
        self.reads = reads
        self.sizes = sizes
        self.trained = trained
        self.notes = notes

    def _measure(self, measured: Mapping[Any, tuple[Value, int]], known: Container[Value]) -> None:
        """Adds the nodes that sizes in the graph are measured at, before those that need these sizes."""
        while True:
            parts = [part for node in self.nodes for part in (*node.inputs, *node.attrs.values())]
            needed = {atom for part in parts for atom in unknowns_of(formula(part))}
            if needed <= self.measured.keys():
                return
            self.measured = {atom: place for atom, place in measured.items() if atom in needed | self.measured.keys()}
            roots = [*(value for value, _ in self.measured.values()), *self.outputs.values()]
            self.nodes = tuple(walk(roots, lambda value: value not in known))

    def _replace(self, **changes: Any) -> Graph:
        """Returns a copy with some of the constructor's arguments, given by name, replaced."""
        return Graph(**{name: getattr(self, name) for name in _PARTS} | changes)

    def depends(self, value: Value) -> bool:
        """Returns whether a value was computed from the elements of the inputs, or from random numbers."""
        if depends(value, set(self.inputs.values()), self.trained):
            return True
        return any(
            node.op.name in _DRAWS for node in walk([value], lambda v: v.node is None or v.node.op.name != "size")
        )

    def names(self) -> dict[Value, str]:
        """Returns a distinct name for each value: inputs and captured leaves keep theirs, the others get %0, %1, …."""
        names = {value: name for name, value in self.inputs.items()}
        taken = set(names.values())
        for value in self.captured:
            if value not in names:
                label = self.labels[value]
                # A model may name an input "weight", like one of its parameters.
                names[value] = next(n for n in chain([label], (f"{label}_{i}" for i in count(1))) if n not in taken)
                taken.add(names[value])
        for node in self.nodes:
            for index in range(len(node.outputs)):
                names[node.value(index)] = f"%{len(names) - len(self.inputs) - len(self.captured)}"
        return names

    def __str__(self) -> str:
        names = self.names()
        lines = [f"graph({', '.join(f'{name}: {_type(value)}' for name, value in self.inputs.items())})"]
        for value, tensor in self.captured.items():
            kind = "parameter" if getattr(tensor, "requires_grad", False) else "constant"
            lines.append(f"  {names[value]}: {_type(value)}  {kind}")
        for node in self.nodes:
            outputs = ", ".join(names[node.value(i)] for i in range(len(node.outputs)))
            types = ", ".join(f"{dtype}{_dims(shape)}" for shape, dtype in node.outputs)
            inputs = ", ".join(names[v] if type(v) is Value else repr(v) for v in node.inputs)
            attrs = ", ".join(f"{name}={_attribute(attr)}" for name, attr in node.attrs.items())
            call = f"{node.op.name}({inputs}{'; ' if attrs else ''}{attrs})"
            lines.append(f"  {outputs}: {types} = {call}{f'  # {node.scope}' if node.scope else ''}")
        lines.append(f"  return {', '.join(f'{name}={names[value]}' for name, value in self.outputs.items())}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes: ({', '.join(self.inputs)}) -> ({', '.join(self.outputs)})>"


_PARTS = ("inputs", "outputs", "captured", "labels", "structure", "reads", "measured", "sizes", "trained", "notes")
"""The arguments of the constructor."""


def _dims(shape: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _type(value: Value) -> str:
    return f"{value.dtype}{_dims(value.shape)}"


def _attribute(attr: Any) -> str:
    return str(attr) if isinstance(attr, np.dtype) else repr(attr)
