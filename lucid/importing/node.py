"""Node: a node of an ONNX graph while it is read; and Constant: a tensor that is known when a model is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import onnx
from onnx import numpy_helper

from ..errors import ModelImportError
from .registry import Operation
from .values import Array

__all__ = ["Constant", "Node", "Origin", "array_of", "scope_of"]


class Constant:
    """A tensor that is known when a model is loaded.

    Attributes:
        name: its name in the file.
        array: its elements.
        origin: how it is computed from others; None for a tensor of the file.
    """

    def __init__(self, name: str, array: Array, origin: Origin | None = None) -> None:
        self.name = name
        self.array = array
        self.origin = origin

    @property
    def is_weight(self) -> bool:
        """Whether it may be a weight or a buffer: floats along some axis."""
        return self.array.dtype.kind == "f" and self.array.ndim > 0 and self.array.size > 0

    def sources(self) -> set[Constant]:
        """Returns the tensors of the file that it is computed from and that may be weights; itself if it is one."""
        found, left = set(), [self]
        while left:
            constant = left.pop()
            if constant.origin is None:
                found.add(constant)
            elif constant.origin.node.op_type not in ("Shape", "Size"):
                left += [given for given in constant.origin.given if given is not None]
        return {constant for constant in found if constant.is_weight}


class Origin(NamedTuple):
    """How a constant is computed: a node, which of its results it is, and the constants that the node reads."""

    node: Node
    result: int
    given: tuple[Constant | None, ...]


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
    """

    def __init__(self, proto: onnx.NodeProto, opset: int) -> None:
        self.op_type = proto.op_type
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
