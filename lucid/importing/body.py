"""Body: a graph while it is read, with all that is constant computed."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from ..errors import FileError, ModelImportError
from .loops import count_trips, without_invariants
from .node import Constant, Node, Origin, array_of
from .program import Step, computed
from .registry import IMPORTS

__all__ = ["Body"]

_MOST = 1 << 26
"""The most elements that a constant may be made of; a larger one is computed when the model runs."""

_MADE_LARGE = ("ConstantOfShape", "EyeLike", "Expand", "OneHot", "Pad", "Resize", "Tile")
"""Operators whose results may be larger than what they read."""

_BROADCASTING = ("Add", "Div", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Pow", "Sub", "Sum", "Where")
"""Operators whose results are no larger than what their inputs broadcast to, if they do."""

_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


class Body:
    """A graph while it is read.

    Attributes:
        inputs: the names of its inputs.
        outputs: the names of its outputs.
        nodes: its nodes.
        constants: the constants that it sees, by name; the first map has its own.
        aliases: the value that a name stands for.
        bodies: the graphs of its nodes, by node and attribute.
    """

    def __init__(self, graph: onnx.GraphProto, opset: int, around: Body | None = None) -> None:
        if graph.sparse_initializer:
            raise ModelImportError("from_onnx: the model has sparse tensors, which lucid does not have")
        self.opset = opset
        self.constants: ChainMap[str, Constant] = ChainMap() if around is None else around.constants.new_child()
        self.aliases: ChainMap[str, str] = ChainMap() if around is None else around.aliases.new_child()
        self.nodes: list[Node] = []
        self.bodies: dict[Node, dict[str, Body]] = {}
        self._known: dict[Any, list[Constant]] = {} if around is None else around._known
        held = {tensor.name for tensor in graph.initializer}
        self.inputs = tuple([value.name for value in graph.input if value.name not in held])
        for name in self.inputs:
            if name in self.constants or name in self.aliases:
                raise FileError(f"the value {name!r} is defined twice")
        self._add(graph)
        self.outputs = tuple([self.aliases.get(value.name, value.name) for value in graph.output])

    def walk(self) -> Iterator[tuple[Node, Body]]:
        """Yields all nodes, those of inner graphs included, each with its graph."""
        for node in self.nodes:
            yield node, self
            for body in self.bodies.get(node, {}).values():
                yield from body.walk()

    def _add(self, graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            self.constants[tensor.name] = Constant(tensor.name, array_of(tensor))
        for proto in graph.node:
            for part in without_invariants(proto) if proto.op_type == "Loop" else [proto]:
                self._add_node(part)

    def _add_node(self, proto: onnx.NodeProto) -> None:
        node = Node(proto, self.opset)
        node.inputs = [self.aliases.get(name, name) for name in node.inputs]
        if node.op_type == "Identity":
            self.aliases[node.outputs[0]] = node.inputs[0]
        elif node.op_type == "If" and node.inputs[0] in self.constants:
            taken = node.get("then_branch" if self.constants[node.inputs[0]].array.reshape(-1)[0] else "else_branch")
            self._add(taken)
            for name, value in zip(node.outputs, taken.output, strict=True):
                self.aliases[name] = self.aliases.get(value.name, value.name)
        elif not self._fold(node):
            graphs = {name: value for name, value in node.attributes.items() if isinstance(value, onnx.GraphProto)}
            self.nodes.append(node)
            if graphs:
                self.bodies[node] = {name: Body(value, self.opset, self) for name, value in graphs.items()}
            if node.op_type == "Loop":
                count_trips(node, self.bodies[node]["body"])

    def _fold(self, node: Node) -> bool:
        """Computes a node whose inputs are constants; returns whether its outputs are constants now."""
        found = [self.constants.get(name) if name else None for name in node.inputs]
        if any(name and constant is None for name, constant in zip(node.inputs, found, strict=True)):
            return False
        if node.op_type in _RANDOM or IMPORTS[node.op_type].scoped:
            return False
        arrays = [constant.array for constant in found if constant is not None]
        if _size_of_result(node, arrays) > _MOST:
            return False
        # A node that does the same gives the same constants, so that a weight stays one.
        plain = not any(isinstance(value, np.ndarray) for value in node.attributes.values())
        key = (node.op_type, *found, repr(sorted(node.attributes.items())), len(node.outputs)) if plain else node
        if key not in self._known:
            self._known[key] = _computed(node, tuple(found))
        self.constants.update({name: made for name, made in zip(node.outputs, self._known[key], strict=False) if name})
        return bool(self._known[key])


def _computed(node: Node, given: tuple[Constant | None, ...]) -> list[Constant]:
    """Returns the results of a node as constants; nothing if they are none."""
    names = ["" if constant is None else str(i) for i, constant in enumerate(given)]
    values: dict[str, Any] = {name: constant.array for name, constant in zip(names, given, strict=True) if constant}
    results = computed(Step(node.op_type, node.operation(), tuple(names), tuple(node.outputs)), values)
    if not all(isinstance(result, np.ndarray) for result in results):
        return []
    labels = [given[0].name] if node.op_type == "Cast" and given[0] is not None else [*node.outputs]
    labels += [""] * (len(results) - len(labels))
    return [Constant(labels[i], np.asarray(result), Origin(node, i, given)) for i, result in enumerate(results)]


def _size_of_result(node: Node, arrays: list[Any]) -> float:
    """Returns a bound of the number of elements that a node makes of constants."""
    product = math.prod(max(1, array.size) for array in arrays)
    if node.op_type == "Range":
        start, limit, delta = [float(array.reshape(-1)[0]) for array in arrays]
        return (limit - start) / delta if delta else 0
    if node.op_type == "Concat":
        return sum(array.size for array in arrays)
    if node.op_type in _BROADCASTING:
        try:
            return math.prod(np.broadcast_shapes(*[array.shape for array in arrays]))
        except ValueError:  # a product of matrices, or a mistake
            return product
    if node.op_type not in _MADE_LARGE:
        return product
    # One of these may be a shape or counts.
    numbers = [np.abs(array.astype(np.float64)) for array in arrays if array.dtype.kind in "iuf" and array.size <= 64]
    return product * math.prod(max(1.0, float(np.maximum(array, 1).prod())) for array in numbers)
