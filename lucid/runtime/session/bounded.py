"""Bounded: a model without the guards of its recurrent operators, for inputs whose magnitudes show that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from functools import partial
from math import inf
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from ...export.file.subgraphs import handed_on, nodes_in, subgraphs

__all__ = ["LIMIT", "Bare", "are_bounded", "square", "without_guards"]

Array = np.ndarray[Any, Any]

_GREATEST = 1e12
"""The magnitude up to which inputs are bounded; larger ones, infinities and NaN are left to the guards."""

LIMIT = _GREATEST * _GREATEST
"""The bound of the product of a row with itself."""

_COUNT = 1e12
"""More elements than a tensor has."""

_MOVES = {
    *("Concat", "Expand", "Flatten", "Gather", "Identity", "Relu", "Reshape", "Slice", "Split", "Squeeze"),
    *("Abs", "Neg", "ReduceMean", "Transpose", "Unsqueeze"),
}
"""The operators whose results are no larger than their first input, or all of them in a Concat."""

_WITHIN_ONE = ("Erf", "Sigmoid", "Softmax", "Tanh")
"""The operators whose results are between -1 and 1, if their input is finite."""

_STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
"""The positions of the initial states among an operator's inputs."""


class Bare(NamedTuple):
    """A model without guards.

    Attributes:
        proto: the model.
        inputs: the names of the inputs that must be bounded.
    """

    proto: onnx.ModelProto
    inputs: frozenset[str]


def are_bounded(arrays: Sequence[Array], places: Iterable[int]) -> bool:
    """Returns whether no element of the arrays at these places is NaN, infinite or larger than the bound."""
    return all(square(arrays[i].ravel())() < LIMIT for i in places)


def square(row: Array) -> Callable[[], float]:
    """Returns a function that multiplies a row with itself, for one thread at a time: NaN or infinite if an element is.

    A product is the fastest sum of all elements. The context makes NumPy silent about an overflow, and costs a tenth of
    what `np.errstate` does in each call.
    """
    context = Context()
    context.run(np.seterr, all="ignore")
    return partial(context.run, row.dot, row)


def without_guards(model: onnx.ModelProto) -> Bare | None:
    """Removes each guard that cannot fail if the inputs are bounded; returns None if there is none.

    A guard is an If that returns the results of a recurrent operator if the magnitudes of what it reads add up to less
    than a limit. The If takes longer than a step of a small operator.
    """
    if not any(node.op_type == "If" for node in model.graph.node):
        return None
    bounds = _Bounds(model.graph)
    makers = bounds.makers
    renamed: dict[str, str] = {}
    removed: set[str] = set()
    read: set[str] = set()
    for node in model.graph.node:
        kept = handed_on(node)
        total = makers.get(node.input[0]) if kept else None
        if total is None or total.op_type != "Less":
            continue
        limit, sources = bounds.constant(total.input[1]), _summed(total.input[0], makers)
        if sources and sum(bounds.of(name) for name in sources) * _COUNT < limit:
            removed.add(node.output[0])
            renamed.update(zip(kept, node.output, strict=True))
            for name in sources:
                read |= bounds.origins(name)
    if not removed:
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes = [node for node in copy.graph.node if not removed.intersection(node.output)]
    for node in nodes:
        _rename(node, renamed)
    used = {value.name for value in copy.graph.output}
    needed = []
    for node in reversed(nodes):
        if used.intersection(node.output):
            needed.append(node)
            used.update(name for inner in nodes_in(node) for name in inner.input)
    del copy.graph.node[:]
    copy.graph.node.extend(needed[::-1])
    return Bare(copy, frozenset(read))


class _Bounds:
    """Bounds of the magnitudes of values in a graph, if its inputs are bounded; infinity where nothing is known."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = {
            value.name
            for value in graph.input
            if value.name not in self.constants and value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        }
        self.known: dict[str, float] = {"": 0.0}
        for node in graph.node:
            bound = self.made(node)
            self.known.update((name, bound) for name in node.output if name)

    def of(self, name: str) -> float:
        """Returns the bound of a value."""
        if name not in self.known:
            self.known[name] = _GREATEST if name in self.inputs else self.weight(name)
        return self.known[name]

    def made(self, node: onnx.NodeProto) -> float:
        """Returns the bound of what a node computes."""
        if node.domain not in ("", "ai.onnx"):
            return inf
        if node.op_type in _STATES:
            # States stay between -1 and 1 or below the initial ones; a cell grows by one at most in each step.
            return _COUNT + sum(self.of(node.input[i]) for i in _STATES[node.op_type] if i < len(node.input))
        if node.op_type in _MOVES:
            return max(self.of(name) for name in (node.input if node.op_type == "Concat" else node.input[:1]))
        if node.op_type in _WITHIN_ONE:
            return 1.0 if self.of(node.input[0]) < inf else inf
        if node.op_type in ("Add", "Sub"):
            return self.of(node.input[0]) + self.of(node.input[1])
        if node.op_type == "Mul":
            return self.of(node.input[0]) * self.of(node.input[1])
        if node.op_type == "MatMul":
            return self.of(node.input[0]) * self.weight(node.input[1])
        if node.op_type == "LayerNormalization" and self.of(node.input[0]) < _COUNT * _COUNT**0.25:
            # Its epsilon keeps it from a division by 0, and its squares do not overflow.
            epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
            return _COUNT * self.weight(node.input[1]) + sum(map(self.weight, node.input[2:])) if epsilon > 0 else inf
        if node.op_type == "BatchNormalization":
            return self.normalized(node)
        if kept := handed_on(node):
            return max(self.of(name) for name in kept)
        return inf

    def normalized(self, node: onnx.NodeProto) -> float:
        """Returns the bound of a BatchNormalization by constants."""
        x, scale, bias, mean, variance = node.input
        if max(self.of(x), *map(self.weight, (scale, bias, mean, variance))) == inf or len(node.output) > 1:
            return inf
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        least = float(numpy_helper.to_array(self.constants[variance]).min(initial=1)) + epsilon
        if least <= 0:
            return inf
        return (self.of(x) + self.weight(mean)) * self.weight(scale) / least**0.5 + self.weight(bias)

    def weight(self, name: str) -> float:
        """Returns the sum of the magnitudes in a constant; infinity for anything else."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or tensor.external_data:
            return inf
        with np.errstate(all="ignore"):
            total = float(np.abs(numpy_helper.to_array(tensor)).sum(dtype=np.float64))
        return total if total < inf else inf

    def constant(self, name: str) -> float:
        """Returns the value of a constant without axes; otherwise a number below all bounds."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.dims or tensor.data_type != onnx.TensorProto.FLOAT or tensor.external_data:
            return -1.0
        return float(numpy_helper.to_array(tensor))

    def origins(self, name: str) -> set[str]:
        """Returns the inputs that a value depends on."""
        found, left, seen = set(), [name], set()
        while left:
            name = left.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.inputs:
                found.add(name)
            elif name in self.makers:
                left += [value for inner in nodes_in(self.makers[name]) for value in inner.input]
        return found


def _summed(name: str, makers: dict[str, onnx.NodeProto]) -> list[str]:
    """Returns the values whose magnitudes are added up to a total; nothing if it is something else."""
    node = makers.get(name)
    parts = [makers.get(part) for part in node.input] if node is not None and node.op_type == "Sum" else [node]
    if any(part is None or part.op_type != "ReduceL1" for part in parts):
        return []
    return [part.input[0] for part in parts if part is not None]


def _rename(node: onnx.NodeProto, names: dict[str, str]) -> None:
    for inner in nodes_in(node):
        for field in (inner.input, inner.output):
            for i, name in enumerate(field):
                if name in names:
                    field[i] = names[name]
    for graph in subgraphs(node):
        for value in graph.output:
            value.name = names.get(value.name, value.name)
