"""Recurrence: finds a model's recurrent operators, and what they require of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import onnx

__all__ = ["Recurrence", "recurrence_of"]

_LAYERS = {"RNN": (5,), "LSTM": (5, 6), "GRU": (5,)}
"""The positions of the initial states among an operator's inputs."""

_PASSES_ON = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")


class Recurrence(NamedTuple):
    """The recurrent operators of a model.

    Attributes:
        time: the sizes that must be at least one: the time axes.
        lengths: the inputs that hold sequence lengths, each with the size that bounds it, if that is known.
        states: for each state of each recurrent operator, the graph's inputs that its initial value depends on.
        backwards: the operators that read time backwards.
    """

    time: tuple[str, ...] = ()
    lengths: Mapping[str, str | int | None] = {}
    states: tuple[tuple[str, frozenset[str]], ...] = ()
    backwards: tuple[str, ...] = ()


def recurrence_of(model: onnx.ModelProto) -> Recurrence:
    """Finds a model's recurrent operators; those inside subgraphs and functions are ignored."""
    graph = model.graph
    layers = [node for node in graph.node if node.op_type in (*_LAYERS, "Scan") and node.domain in ("", "ai.onnx")]
    if not layers:
        return Recurrence()
    makers = {name: node for node in graph.node for name in node.output if name}
    inputs = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    shapes = _shapes(model, [name for node in layers for name in _sequences(node)])
    time: dict[str, None] = {}
    lengths: dict[str, str | int | None] = {}
    states = []
    backwards = []
    for node in layers:
        label = node.name or node.op_type
        steps = None
        for name in _sequences(node):
            shape = shapes.get(name)
            steps = shape[0] if shape else None
            if isinstance(steps, str):
                time[steps] = None
        attributes = {a.name: a for a in node.attribute}
        if node.op_type == "Scan":
            count = len(node.input) - attributes["num_scan_inputs"].i if "num_scan_inputs" in attributes else 0
            initial = list(node.input)[: max(count, 0)]
            directions = attributes["scan_input_directions"].ints if "scan_input_directions" in attributes else ()
            if any(directions):
                backwards.append(label)
        else:
            initial = [node.input[i] if i < len(node.input) else "" for i in _LAYERS[node.op_type]]
            if "direction" in attributes and attributes["direction"].s != b"forward":
                backwards.append(label)
            if len(node.input) > 4 and (source := _origin(node.input[4], makers)) in inputs:
                lengths[source] = steps
        states += [(label, frozenset(_ancestors(name, makers) & inputs)) for name in initial]
    return Recurrence(tuple(time), lengths, tuple(states), tuple(backwards))


def _sequences(node: onnx.NodeProto) -> list[str]:
    """Returns the inputs that a recurrent operator reads step by step."""
    if node.op_type != "Scan":
        return list(node.input[:1])
    count = next((a.i for a in node.attribute if a.name == "num_scan_inputs"), 0)
    return list(node.input[len(node.input) - count :]) if 0 < count <= len(node.input) else []


def _shapes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, tuple[str | int | None, ...]]:
    """Returns the shapes of values, inferred if the model does not declare them."""
    names = set(names)
    found = _declared(model.graph, names)
    if names - found.keys():
        try:
            found |= _declared(onnx.shape_inference.infer_shapes(model).graph, names)
        except Exception:  # shapes that onnx cannot infer stay unknown; onnxruntime checks them
            return found
    return found


def _declared(graph: onnx.GraphProto, names: set[str]) -> dict[str, tuple[str | int | None, ...]]:
    shapes = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.name in names and value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = tuple(
                [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims]
            )
    return shapes


def _origin(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """Returns the value before casts and reshapes."""
    for _ in range(len(makers)):
        node = makers.get(name)
        if node is None or node.op_type not in _PASSES_ON:
            break
        name = node.input[0]
    return name


def _ancestors(name: str, makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """Returns a value and all values that its data depends on; a `Shape` does not depend on its input's data."""
    seen: set[str] = set()
    left = [name] if name else []
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        node = makers.get(name)
        if node is not None and node.op_type != "Shape":
            left.extend(node.input)
    return seen
