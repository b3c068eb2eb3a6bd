"""Nodes: a graph as it is drawn, read from a trace or from an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import onnx
from onnx.shape_inference import InferenceError, infer_shapes

from ..export.training.state import PREFIX
from ..importing.node import scope_of
from ..tracer.graph import Graph
from ..tracer.node import Value

__all__ = ["Drawn", "Step", "of_graph", "of_model"]


class Step(NamedTuple):
    """A node.

    Attributes:
        label: its op or operator.
        scope: the path of the module that it comes from.
        inputs: the values that it reads.
        outputs: the values that it computes.
    """

    label: str
    scope: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class Drawn(NamedTuple):
    """What is drawn.

    Attributes:
        inputs: for each input, the label that it is drawn with, which several may share.
        outputs: for each output, its label and its value.
        steps: the nodes that depend on inputs, in an order in which they can run.
        shapes: the shapes that are known, as text, by value.
    """

    inputs: dict[Any, str]
    outputs: tuple[tuple[str, Any], ...]
    steps: tuple[Step, ...]
    shapes: dict[Any, str]


def of_graph(graph: Graph) -> Drawn:
    """Reads a trace."""
    steps = []
    shapes = {value: _shape(value.shape) for value in graph.inputs.values()}
    for node in graph.nodes:
        outputs = [node.value(i) for i in range(len(node.outputs))]
        shapes.update((value, _shape(value.shape)) for value in outputs)
        read = tuple([value for value in node.inputs if type(value) is Value])
        steps.append(Step(node.op.name, node.scope, read, tuple(outputs)))
    inputs = {value: name for name, value in graph.inputs.items()}
    return Drawn(inputs, tuple(graph.outputs.items()), _live(steps, inputs), shapes)


def of_model(proto: onnx.ModelProto) -> Drawn:
    """Reads an ONNX model; the nodes of a training step that no module has are the gradients and the update."""
    graph = proto.graph
    constants = {tensor.name for tensor in graph.initializer}
    steps = [
        Step(node.op_type, scope_of(node), tuple(_read(node)), tuple(filter(None, node.output))) for node in graph.node
    ]
    inputs = {value.name: value.name for value in graph.input if value.name not in constants}
    outputs = [(value.name, value.name) for value in graph.output]
    states = {name.removeprefix(PREFIX) for name, _ in outputs if name.startswith(PREFIX)} & inputs.keys()
    if states and any(name == "loss" for name, _ in outputs):
        steps = _staged(steps, inputs.keys() - states, states)
        inputs = {name: "state" if name in states else label for name, label in inputs.items()}
        outputs = [("next state" if name.startswith(PREFIX) else name, value) for name, value in outputs]
    return Drawn(inputs, tuple(outputs), _live(steps, inputs), _known_shapes(proto))


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Yields what a node reads, also in its graphs."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs) if attribute.type in _GRAPHS else ():
            own = {value.name for value in (*graph.input, *graph.initializer)}
            own.update(name for inner in graph.node for name in inner.output)
            read = [name for inner in graph.node for name in _read(inner)]
            yield from (name for name in (*read, *(value.name for value in graph.output)) if name not in own)


_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def _staged(steps: Sequence[Step], batch: Iterable[str], states: set[str]) -> list[Step]:
    """Divides the nodes of a training step without a scope into those of the loss, the gradients and the update.

    The loss depends on the batch and on parameters. What depends on any other part of the state belongs to the update.
    """
    loss = {"loss"}
    for step in reversed(steps):
        if not loss.isdisjoint(step.outputs):
            loss.update(step.inputs)
    update = states - loss
    staged = []
    for step in steps:
        scope = step.scope
        if not update.isdisjoint(step.inputs):
            update.update(step.outputs)
            scope = scope or "update"
        elif loss.isdisjoint(step.outputs):
            scope = scope or "backward"
        staged.append(step._replace(scope=scope))
    return staged


def _live(steps: Iterable[Step], inputs: Iterable[Any]) -> tuple[Step, ...]:
    """Returns the nodes that depend on inputs; the others compute constants."""
    known, live = set(inputs), []
    for step in steps:
        if not known.isdisjoint(step.inputs):
            known.update(step.outputs)
            live.append(step)
    return tuple(live)


def _known_shapes(proto: onnx.ModelProto) -> dict[str, str]:
    """Returns the shapes in a model, and those that follow from them."""
    # A model of more than 2 GiB, or with operators that onnx does not know, keeps those that it has.
    with suppress(InferenceError, ValueError, RuntimeError):
        proto = infer_shapes(proto)
    graph = proto.graph
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            found[value.name] = _shape(
                [n.dim_value if n.HasField("dim_value") else n.dim_param or "?" for n in tensor.shape.dim]
            )
    return found


def _shape(shape: Iterable[Any]) -> str:
    return f"({', '.join(map(str, shape))})"
