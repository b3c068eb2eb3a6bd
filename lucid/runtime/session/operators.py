"""Operators: the time axis of an operator's outputs, if it takes each step of a sequence by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["Nodes", "Shape", "time_axis"]

Shape = tuple[int | str | None, ...]

Axes = Mapping[str, int]
"""The time axis of each value that has one."""

_POINTWISE = {
    *("Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd"),
    *("BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu"),
    *("Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish"),
    *("Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish"),
    *("Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign"),
    *("Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tan", "Tanh", "ThresholdedRelu", "Where"),
    *("Xor"),
}
"""The operators that compute each element by itself, from inputs that they broadcast."""


class Nodes:
    """What is known about the values that nodes read.

    Attributes:
        shapes: the shape of each value, as far as it is declared or inferred.
        constants: the constants by name.
        opset: the version of the ONNX operator set.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        try:
            graph = onnx.shape_inference.infer_shapes(model).graph
        except Exception:  # onnx raises its own exception types; shapes that it cannot infer stay unknown
            graph = model.graph
        self.shapes = _shapes(graph)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)

    def rank(self, name: str) -> int | None:
        """Returns how many axes a value has, if that is known."""
        shape = self.shapes.get(name)
        return None if shape is None else len(shape)

    def attribute(self, node: onnx.NodeProto, name: str, default: int = 0) -> int:
        """Returns a number among a node's attributes."""
        return next((a.i for a in node.attribute if a.name == name), default)

    def numbers(self, node: onnx.NodeProto, name: str, place: int | None) -> list[int] | None:
        """Returns numbers that are an attribute or, in later opsets, a constant input."""
        for attribute in node.attribute:
            if attribute.name == name:
                return list(attribute.ints)
        array = self.constant(node.input[place]) if place is not None and place < len(node.input) else None
        return None if array is None else [int(n) for n in array.ravel()]

    def dims(self, node: onnx.NodeProto, place: int) -> set[int] | None:
        """Returns the axes of a node's first input that it names, counted from the front."""
        rank, axes = self.rank(node.input[0]), self.numbers(node, "axes", place)
        return {d % rank for d in axes} if rank and axes is not None else None

    def constant(self, name: str) -> np.ndarray[Any, Any] | None:
        """Returns the elements of a constant, unless they are in another file."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)


def time_axis(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    """Returns the time axis of a node's outputs; None if it mixes steps, or no rule says that it does not.

    Args:
        nodes: what is known about the values.
        node: the node; it reads at least one value that has a time axis.
        time: the time axis of each value that has one.
    """
    rule = _broadcast if node.op_type in _POINTWISE else _RULES.get(node.op_type)
    return None if rule is None else rule(nodes, node, time)


def _broadcast(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    """Covers operators that compute each element by itself."""
    names = [name for name in node.input if name]
    if len(names) == 1:
        return time[names[0]]
    shapes = [nodes.shapes.get(name) for name in names]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(names):
        return None
    # The time axis, counted from the right, where other values must have no axis, or one of size one.
    places = {time[name] - len(shape) for name, shape in zip(names, known, strict=True) if name in time}
    place = places.pop()
    fits = [name in time or len(shape) < -place or shape[place] == 1 for name, shape in zip(names, known, strict=True)]
    return max(map(len, known)) + place if not places and all(fits) else None


def _reduced(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    """Covers reductions along other axes."""
    x, dims = node.input[0], nodes.dims(node, 1)
    if x not in time or not dims or time[x] in dims:
        return None
    return time[x] if nodes.attribute(node, "keepdims", 1) else time[x] - sum(d < time[x] for d in dims)


def _matmul(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    """Covers products with a matrix or vector on the right."""
    x, y = node.input
    rank = nodes.rank(x)
    if x not in time or y in time or rank is None or nodes.rank(y) not in (1, 2) or time[x] == rank - 1:
        return None
    return time[x]


def _gemm(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, *rest = node.input
    if any(name in time for name in rest) or time[x] != 0 or nodes.attribute(node, "transA"):
        return None
    bias = nodes.shapes.get(rest[1]) if len(rest) > 1 and rest[1] else ()
    return 0 if bias is not None and (len(bias) < 2 or bias[0] == 1) else None


def _transpose(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    order = nodes.numbers(node, "perm", None)
    return None if order is None else order.index(time[node.input[0]])


def _squeeze(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, dims = node.input[0], nodes.dims(node, 1)
    return None if x not in time or not dims or time[x] in dims else time[x] - sum(d < time[x] for d in dims)


def _unsqueeze(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, axes = node.input[0], nodes.numbers(node, "axes", 1)
    rank = nodes.rank(x)
    if x not in time or axes is None or rank is None:
        return None
    added = {d % (rank + len(axes)) for d in axes}
    return [d for d in range(rank + len(axes)) if d not in added][time[x]]


def _softmax(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, rank = node.input[0], nodes.rank(node.input[0])
    axis = nodes.attribute(node, "axis", -1 if nodes.opset >= 13 else 1)
    # Before opset 13, all axes from this one on are taken together.
    if rank is None or (nodes.opset < 13 and axis % rank != rank - 1):
        return None
    return time[x] if axis % rank != time[x] else None


def _batch_norm(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, *rest = node.input
    return None if time.get(x, 1) == 1 or any(name in time for name in rest) else time[x]


def _layer_norm(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, *rest = node.input
    rank = nodes.rank(x)
    if rank is None or x not in time or any(name in time for name in rest) or any(node.output[1:]):
        return None
    return time[x] if time[x] < nodes.attribute(node, "axis", -1) % rank else None


def _concat(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    places = {time.get(name) for name in node.input}
    rank, place = nodes.rank(node.input[0]), places.pop()
    if places or rank is None or place is None or nodes.attribute(node, "axis") % rank == place:
        return None
    return place


def _split(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, rank = node.input[0], nodes.rank(node.input[0])
    if x not in time or rank is None or nodes.attribute(node, "axis") % rank == time[x]:
        return None
    return time[x]


def _slice(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    x, dims = node.input[0], nodes.dims(node, 3)
    if not dims or any(name in time for name in node.input[1:]) or time[x] in dims:
        return None
    return time[x]


def _gather(nodes: Nodes, node: onnx.NodeProto, time: Axes) -> int | None:
    """Covers rows of a table."""
    table, rows = node.input
    return None if table in time or nodes.attribute(node, "axis") else time[rows]


_RULES: Mapping[str, Callable[[Nodes, onnx.NodeProto, Axes], int | None]] = {
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Gather": _gather,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "ReduceMax": _reduced,
    "ReduceMean": _reduced,
    "ReduceMin": _reduced,
    "ReduceSum": _reduced,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""For each operator that takes rows by themselves, what returns the time axis of its outputs."""


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    found: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            found[value.name] = tuple([d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in dims])
    return found
