"""Node: a node of an ONNX graph while it is read; and Constant: a tensor that is known when a model is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import onnx
from onnx import numpy_helper

from ..errors import ModelImportError
from .registry import Operation
from .values import Array

__all__ = ["Constant", "Node", "array_of", "scope_of"]


class Constant:
    """A tensor that is known when a model is loaded.

    Attributes:
        name: its name in the file.
        array: its elements.
        readers: the nodes that read it, each with the position of its input.
        kept: whether an output of the graph is this constant.
    """

    def __init__(self, name: str, array: Array) -> None:
        self.name = name
        self.array = array
        self.readers: list[tuple[Node, int]] = []
        self.kept = False


class Node:
    """A node, whose graphs and constants are replaced while the model is read.

    Attributes:
        op_type: the operator.
        name: its name.
        attributes: its attributes: numbers, texts, lists, arrays and protobuf graphs.
        inputs: the names of its inputs, "" for one that is left out.
        outputs: the names of its outputs.
        opset: the version of the operator set.
        scope: the path of the module that it comes from; "" for the model itself.
        form: how it is computed, a name in the table of imports.
    """

    def __init__(self, proto: onnx.NodeProto, opset: int) -> None:
        self.op_type = self.form = proto.op_type
        self.name = proto.name
        self.attributes: dict[str, Any] = {a.name: _attribute(a) for a in proto.attribute}
        self.inputs = list(proto.input)
        self.outputs = list(proto.output)
        self.opset = opset
        self.scope = scope_of(proto)

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an attribute, or the default."""
        return self.attributes.get(name, default)

    @property
    def is_linear(self) -> bool:
        """Whether a Gemm is a linear layer: neither scaled nor with its first matrix transposed."""
        return not self.get("transA", 0) and self.get("alpha", 1.0) == self.get("beta", 1.0) == 1.0

    def operation(self, graphs: Mapping[str, Any] | None = None) -> Operation:
        """Returns the node without its inputs, with programs in place of graphs."""
        attributes = {**self.attributes, **(graphs or {})}
        return Operation(self.op_type, self.name, attributes, self.opset, len(self.outputs), self.scope)

    def __str__(self) -> str:
        return f"{self.op_type} {self.name!r}" if self.name else self.op_type


def scope_of(proto: onnx.NodeProto) -> str:
    """Returns the path of the module that a node comes from; "" for the model itself."""
    scopes = next((entry.value for entry in proto.metadata_props if entry.key.endswith("name_scopes")), None)
    if scopes is not None:  # PyTorch's exporter: ['', 'encoder', 'encoder.rnn', 'gru']
        parts = re.findall(r"'([^']*)'", scopes)
        return parts[-2] if len(parts) > 1 else ""
    path: list[str] = []
    for part in filter(None, proto.name.strip("/").split("/")[:-1]):
        # PyTorch's older exporter repeats the name of a list of modules: /layers/layers.0/linear/Gemm.
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    if attribute.type == attribute.GRAPH:
        return attribute.g
    if attribute.type == attribute.TENSOR:
        return array_of(attribute.t)
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [text.decode("utf-8", "replace") for text in value]
    return value


def array_of(proto: onnx.TensorProto) -> Array:
    """Returns the elements of a tensor, which may have a dtype that lucid's tensors do not have, such as bfloat16."""
    if proto.data_type == proto.STRING:
        raise ModelImportError(f"the tensor {proto.name!r} holds texts, which lucid has no tensors for")
    array = numpy_helper.to_array(proto)
    if array.dtype.kind == "c":
        raise ModelImportError(f"the tensor {proto.name!r} is complex, which lucid has no tensors for")
    return array
