"""Converts models to float32, float16 or int8."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from ..errors import ExportError
from .names import Names
from .quantization import quantize

__all__ = ["PRECISIONS", "Converted", "Precision", "convert"]

Precision = Literal["float32", "float16", "int8"]

PRECISIONS = ("float32", "float16", "int8")

_NARROWED = {
    "float32": {ir.DataType.DOUBLE: ir.DataType.FLOAT},
    "float16": {ir.DataType.DOUBLE: ir.DataType.FLOAT16, ir.DataType.FLOAT: ir.DataType.FLOAT16},
}
"""The narrower dtype of each dtype that is converted, by precision."""


class Converted(NamedTuple):
    """A model in another precision.

    Attributes:
        model: the model.
        kept: with "int8", the names of the weights that stay float32.
    """

    model: ir.Model
    kept: tuple[str, ...] = ()


def convert(model: ir.Model, precision: Precision | None, float32_io: bool) -> Converted:
    """Converts a model to another precision.

    Args:
        model: the model; it is not changed.
        precision: None returns the model itself; "float32" converts float64; "float16" converts all floats: weights,
            intermediate values, and the bodies of scans; "int8" converts the weights of products and tables, except
            small ones, and quantizes the other operand of each product at run time. All else stays float32.
        float32_io: with "float16", whether the inputs and outputs of the model are float32.

    Raises:
        ExportError: it cannot be converted; the message gives the reason.
    """
    if precision is None:
        return Converted(model)
    converted = model.clone()
    if precision == "int8":
        _Narrower(converted, _NARROWED["float32"]).narrow()
        return Converted(converted, quantize(converted))
    narrower = _Narrower(converted, _NARROWED[precision])
    narrower.narrow()
    if precision == "float16" and float32_io:
        narrower.keep_inputs()
        narrower.keep_outputs()
    return Converted(converted)


class _Narrower:
    """Converts floats to narrower dtypes, in a model's main graph and in all its subgraphs."""

    def __init__(self, model: ir.Model, narrowed: dict[ir.DataType, ir.DataType]) -> None:
        self.model = model
        self.narrowed = narrowed
        self.graphs = list(model.graphs())
        self.before: dict[ir.Value, ir.DataType] = {}
        values = [v for graph in self.graphs for v in (*graph.inputs, *graph.initializers.values())]
        values += [v for graph in self.graphs for node in graph for v in node.outputs]
        self.values = values
        self.names = Names([*(value.name for value in values), *(node.name for graph in self.graphs for node in graph)])

    def narrow(self) -> None:
        """Converts everything, including inputs and outputs; an operator that lacks the dtype gets Casts around it."""
        for value in self.values:
            if value.dtype in self.narrowed:
                self.before[value] = value.dtype
                value.dtype = self.narrowed[value.dtype]
            if value.const_value is not None and value.is_initializer():
                value.const_value = self.tensor(value.const_value, str(value.name))
        for graph in self.graphs:
            for node in list(graph):
                self.attributes(node)
                self.bridge(node)

    def keep_inputs(self) -> None:
        """Restores the inputs to float32."""
        graph = self.model.graph
        for value in graph.inputs:
            if value in self.before:
                users = list(value.uses())
                cast = self.cast(value, ir.DataType.FLOAT16)
                value.dtype = ir.DataType.FLOAT
                if users:
                    graph.insert_before(next(iter(graph)), cast)
                for user, index in users:
                    user.replace_input_with(index, cast.outputs[0])

    def keep_outputs(self) -> None:
        """Restores the outputs to float32."""
        graph = self.model.graph
        for index, value in enumerate(graph.outputs):
            if value in self.before:
                cast = self.cast(value, ir.DataType.FLOAT)
                graph.append(cast)
                self.exchange(graph, index, cast)

    def exchange(self, graph: ir.Graph, index: int, cast: ir.Node) -> None:
        """Replaces a graph output with the result of the Cast that reads it, including its name."""
        (old,), (new,) = cast.inputs, cast.outputs
        assert old is not None
        name, old.name = old.name, new.name
        new.name = name
        graph.outputs[index] = new

    def tensor(self, tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
        """Returns a constant in the narrower dtype.

        Raises:
            ExportError: an element is too large for it, or a single number becomes zero.
        """
        if tensor.dtype not in self.narrowed:
            return tensor
        wide = tensor.numpy()
        dtype = self.narrowed[tensor.dtype].numpy()
        with np.errstate(over="ignore"):
            array = wide.astype(dtype)
        lost = np.isinf(array) & np.isfinite(wide)
        if lost.any():
            raise ExportError(
                f"to_onnx: {name} holds {wide[lost].flat[0]:g}, beyond the greatest {dtype}, {np.finfo(dtype).max:g}; "
                "scale it, or keep the model in float32"
            )
        if array.size == 1 and array.any() != wide.any():
            raise ExportError(
                f"to_onnx: {name} is {wide.flat[0]:g}, which becomes zero in {dtype}; use a larger number, or keep the "
                "model in float32"
            )
        return ir.tensor(array, name=tensor.name)

    def attributes(self, node: ir.Node) -> None:
        """Narrows the dtypes and tensors in a node's attributes."""
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR:
                node.attributes[name] = ir.AttrTensor(name, self.tensor(attribute.as_tensor(), f"{node.name}.{name}"))
            elif name in ("to", "dtype") and attribute.type == ir.AttributeType.INT:
                dtype = ir.DataType(attribute.as_int())
                node.attributes[name] = ir.AttrInt64(name, int(self.narrowed.get(dtype, dtype)))

    def bridge(self, node: ir.Node) -> None:
        """Adds Casts around a node whose operator does not accept the narrow dtype, or always returns the wide one."""
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        inputs = [slot for slot in _slots(node, "inputs") if slot.value in self.before]
        outputs = [slot for slot in _slots(node, "outputs") if slot.value in self.before]
        lacking = {slot.kind for slot in (*inputs, *outputs) if _name(slot.value.dtype) not in slot.allowed}
        for index, value, kind, _ in inputs:
            if kind in lacking:
                cast = self.cast(value, self.before[value])
                graph.insert_before(node, cast)
                node.replace_input_with(index, cast.outputs[0])
        for _, value, kind, _ in outputs:
            if kind in lacking:
                users = list(value.uses())
                wide = self.before.pop(value)
                cast = self.cast(value, value.dtype)
                value.dtype = self.before[cast.outputs[0]] = wide
                graph.insert_after(node, cast)
                for user, index in users:
                    user.replace_input_with(index, cast.outputs[0])
                for index, output in enumerate(graph.outputs):
                    if output is value:
                        self.exchange(graph, index, cast)

    def cast(self, value: ir.Value, dtype: Any) -> ir.Node:
        """Returns a Cast of a value, not yet in any graph."""
        result = ir.Value(name=self.names.fresh(f"{value.name}_{dtype.name.lower()}"), shape=value.shape)
        result.dtype = dtype
        name = self.names.fresh(f"{value.name}/Cast")
        return ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(dtype))], outputs=[result], name=name)


class _Slot(NamedTuple):
    """An input or output of a node: its index, its value, the name of its type, and the allowed types."""

    place: int
    value: ir.Value
    kind: str
    allowed: set[str]


def _slots(node: ir.Node, side: Literal["inputs", "outputs"]) -> list[_Slot]:
    """Returns a node's inputs or outputs with the constraints of its operator; none if the operator is unknown."""
    assert node.graph is not None
    version = node.version or node.graph.opset_imports.get(node.domain, 0)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return []
    formal = getattr(schema, side)
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    slots = []
    for index, value in enumerate(getattr(node, side)):
        if value is not None and formal:
            kind = formal[min(index, len(formal) - 1)].type_str
            slots.append(_Slot(index, value, kind, allowed.get(kind, {kind})))
    return slots


def _name(dtype: ir.DataType | None) -> str:
    """Returns a dtype's name in ONNX's operator schemas."""
    return "" if dtype is None else f"tensor({dtype.name.lower()})"
