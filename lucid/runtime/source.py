"""Where a model comes from, looked at before onnxruntime is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import onnx
from google.protobuf.message import DecodeError

from ..errors import FileError
from ..export.exported import Exported

__all__ = ["Source", "read_model"]


class Source(NamedTuple):
    """A model that was read.

    Attributes:
        name: what to call it in messages.
        proto: the model, without the tensors that are kept in other files.
        model: what onnxruntime is to load: the bytes, or the path where there are other files.
    """

    name: str
    proto: onnx.ModelProto
    model: bytes | str


def read_model(model: str | os.PathLike[str] | Exported | bytes) -> Source:
    """Read a model, and refuse what is none, and data outside of its folder.

    Raises:
        FileError: it cannot be read, is not an ONNX model, or asks for a file that is not beside it.
        TypeError: it is neither a path, an `Exported` nor bytes.
    """
    if isinstance(model, Exported):
        name, data, folder = "the exported model", model.serialize(), None
    elif isinstance(model, (bytes, bytearray, memoryview)):
        name, data, folder = "the model", bytes(model), None
    elif isinstance(model, (str, os.PathLike)):
        name, folder = repr(os.fspath(model)), os.path.dirname(os.path.abspath(model))
        try:
            with open(model, "rb") as file:
                data = file.read()
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            raise FileError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    else:
        raise TypeError(f"expected the path of a model, an Exported or bytes; got {type(model).__name__}")
    proto = _parsed(data, name)
    locations = _external(proto)
    if not locations:
        return Source(name, proto, data)
    if folder is None:
        raise FileError(f"{name} keeps tensors in other files ({locations[0]}), so it can be loaded from its path only")
    for location in locations:
        _check_location(location, folder, name)
    return Source(name, proto, os.path.abspath(os.fspath(model)))  # type: ignore[arg-type]


def _parsed(data: bytes, name: str) -> onnx.ModelProto:
    if not data:
        raise FileError(f"{name} is empty")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise FileError(f"{name} is not an ONNX model, or is damaged: {error}") from error
    if not proto.ir_version or not proto.opset_import or not (proto.graph.node or proto.graph.output):
        raise FileError(f"{name} is not an ONNX model, or is damaged: it has no version, operator set or graph")
    return proto


def _external(proto: onnx.ModelProto) -> list[str]:
    """The files that the model's tensors are kept in, as it names them."""
    locations: dict[str, None] = {}
    for tensor in _tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            locations[entries.get("location", "")] = None
    return list(locations)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor, wherever it stands."""
    graphs: list[Any] = [proto.graph, *(t.initialization for t in proto.training_info)]
    graphs += [t.algorithm for t in proto.training_info]
    nodes = [node for function in proto.functions for node in function.node]
    attributes = [a for function in proto.functions for a in function.attribute_proto]
    while graphs or nodes or attributes:
        if graphs:
            graph = graphs.pop()
            nodes.extend(graph.node)
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        elif nodes:
            attributes.extend(nodes.pop().attribute)
        else:
            attribute = attributes.pop()
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            graphs.extend([attribute.g, *attribute.graphs])


def _check_location(location: str, folder: str, name: str) -> None:
    """Refuse a file that is not a plain one in the model's folder or below."""
    parts = location.replace("\\", "/").split("/")
    if not location or os.path.isabs(location) or not parts[0] or ".." in parts or ":" in parts[0] or "\0" in location:
        raise FileError(f"{name} asks for data in {location!r}; only files in the model's own folder are read")
    path = folder
    for part in parts:
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise FileError(f"{name} asks for data in {location!r}, which is a link; only plain files are read")
    if not os.path.isfile(path):
        raise FileError(f"{name} keeps tensors in {location!r}, but there is no such file beside it")
