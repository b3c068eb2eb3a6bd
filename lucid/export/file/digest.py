"""Computes digests of a model that do not depend on the layout of its file.

The order of protobuf fields, the order of named items, and external data make no difference; any name, attribute,
shape, dtype, weight or metadata does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

__all__ = ["Digests", "Initializer", "altered", "digests", "graph_digest", "initializers", "messages"]

GRAPH = "lucid.graph.sha256"
WEIGHTS = "lucid.weights.sha256"
TENSORS = "lucid.weights.tensors"

Contents = Callable[[onnx.TensorProto], np.ndarray[Any, Any]]
"""Returns the elements of a tensor, wherever they are stored."""

_SCALAR = (str, bytes, int, float)

_ELEMENTS = {
    "data_location",
    "double_data",
    "external_data",
    "float_data",
    "int32_data",
    "int64_data",
    "raw_data",
    "string_data",
    "uint64_data",
}
"""The fields of a tensor that hold its elements, or say where they are."""

_SORTED = {
    "attribute": "name",
    "initializer": "name",
    "metadata_props": "key",
    "opset_import": "domain",
    "value_info": "name",
}
"""The repeated fields whose order has no meaning, and the key to sort each by."""


class Digests(NamedTuple):
    """The digests of a model, in hexadecimal.

    Attributes:
        graph: SHA-256 of everything except the elements of the initializers and the digests themselves.
        weights: SHA-256 of the digests of all initializers.
        tensors: for each initializer, the first 16 digits of the SHA-256 of its name, dtype, shape and elements.
    """

    graph: str
    weights: str
    tensors: dict[str, str]

    @property
    def metadata(self) -> dict[str, str]:
        """The digests as entries of a file's metadata."""
        return {GRAPH: self.graph, WEIGHTS: self.weights, TENSORS: json.dumps(self.tensors, sort_keys=True)}


class Initializer(NamedTuple):
    """An initializer of a graph or subgraph.

    Attributes:
        name: its name; if that is taken, prefixed with its graph's name and a number.
        tensor: its tensor.
    """

    name: str
    tensor: onnx.TensorProto


def digests(proto: onnx.ModelProto, contents: Contents) -> Digests:
    """Returns the digests of a model.

    Args:
        proto: the model; the elements of its initializers may be external.
        contents: returns the elements of a tensor.
    """
    whole = sha256()
    tensors = {}
    for name, tensor in sorted(initializers(proto), key=lambda item: item.name):
        digest = _tensor_digest(name, contents(tensor))
        tensors[name] = digest[:16]
        whole.update(digest.encode())
    return Digests(graph_digest(proto, contents), whole.hexdigest(), tensors)


def graph_digest(proto: onnx.ModelProto, contents: Contents) -> str:
    """Returns the digest of everything except the elements of the initializers and the digests themselves."""
    hasher = _Hasher(contents)
    hasher.message(proto)
    return hasher.hash.hexdigest()


def altered(found: Mapping[str, str], recorded: Mapping[str, str]) -> list[str]:
    """Returns the names of the tensors whose digests differ, or that only one side has."""
    return sorted(name for name in found.keys() | recorded.keys() if found.get(name) != recorded.get(name))


def initializers(proto: onnx.ModelProto) -> Iterator[Initializer]:
    """Yields all initializers, including those of subgraphs, each under a unique name."""
    seen: set[str] = set()
    for message in messages(proto):
        if isinstance(message, onnx.GraphProto):
            for tensor in message.initializer:
                name, count = tensor.name, 0
                while name in seen:
                    count += 1
                    name = f"{message.name}/{count}/{tensor.name}"
                seen.add(name)
                yield Initializer(name, tensor)


def messages(message: Message) -> Iterator[Message]:
    """Yields a message and all messages inside it, the outer ones first. Tensors are not entered."""
    yield message
    if isinstance(message, onnx.TensorProto):
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in (value,) if isinstance(value, Message) else value:
                yield from messages(part)


class _Hasher:
    """Feeds messages to a hash, so that two of them give the same bytes only if they are equal."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.hash = sha256()

    def message(self, message: Message, elements: bool = True) -> None:
        if isinstance(message, onnx.TensorProto):
            fields = _without_elements(message)
            if elements:
                self.text(_tensor_digest(message.name, self.contents(message)))
        else:
            fields = message.ListFields()
        for field, value in fields:
            self.text(f"field {field.number}")
            if isinstance(value, (Message, *_SCALAR)):
                self.value(value)
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                self.messages(field.name, value, message)
            else:
                self.text(repr(list(value)))
        self.unknown(UnknownFieldSet(message))
        self.text("end")

    def messages(self, name: str, values: Any, owner: Message) -> None:
        if name in _SORTED:
            values = sorted(values, key=lambda value: str(getattr(value, _SORTED[name])))
        if isinstance(owner, onnx.ModelProto) and name == "metadata_props":
            values = [value for value in values if value.key not in (GRAPH, WEIGHTS, TENSORS)]
        self.text(f"{len(values)} messages")
        initializers = isinstance(owner, onnx.GraphProto) and name == "initializer"
        for value in values:
            self.message(value, elements=not initializers)

    def value(self, value: Any) -> None:
        if isinstance(value, Message):
            self.message(value)
        else:
            self.text(value if isinstance(value, (str, bytes)) else repr(value))

    def unknown(self, fields: Any) -> None:
        """Hashes the fields that the installed onnx does not know: a newer runtime may."""
        for field in fields:
            self.text(f"unknown {field.field_number} {field.wire_type}")
            if isinstance(field.data, (int, bytes)):
                self.value(field.data)
            else:
                self.unknown(field.data)

    def text(self, text: str | bytes) -> None:
        encoded = text.encode() if isinstance(text, str) else text
        self.hash.update(len(encoded).to_bytes(8, "little"))
        self.hash.update(encoded)


def _without_elements(tensor: onnx.TensorProto) -> list[tuple[Any, Any]]:
    """Returns the fields of a tensor except its elements; listing all fields would copy the elements."""
    fields = [field for field in tensor.DESCRIPTOR.fields if field.name not in _ELEMENTS]
    values = [(field, getattr(tensor, field.name)) for field in fields]
    return [(field, value) for field, value in values if not isinstance(value, _SCALAR) or tensor.HasField(field.name)]


def _tensor_digest(name: str, array: np.ndarray[Any, Any]) -> str:
    """Returns the digest of a name, a dtype, a shape and the elements in little-endian order, without copying them."""
    digest = sha256(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
    if array.dtype.kind == "O":
        for element in array.ravel():
            encoded = element if isinstance(element, bytes) else str(element).encode()
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
        array = array.astype(array.dtype.newbyteorder("<"))
    # A view as bytes: some of ONNX's dtypes do not support the buffer protocol.
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
