"""Where a model comes from, looked at before onnxruntime is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import onnx

from ...errors import VerificationError
from ...export.exported import Exported
from ...export.file.digest import GRAPH, TENSORS, WEIGHTS, digests, messages
from ...export.file.metadata import PREFIX
from ...export.file.read import folder_of, parse, read
from ...export.file.tensors import Contents

__all__ = ["Source", "read_model"]


class Source(NamedTuple):
    """A model that was read.

    Attributes:
        name: what to call it in messages.
        proto: the model; weights beside it are not read.
        model: what onnxruntime is to load: the bytes, or the path where there are weights beside it.
    """

    name: str
    proto: onnx.ModelProto
    model: bytes | str


def read_model(model: str | os.PathLike[str] | Exported | bytes, verify: bool = True) -> Source:
    """Read a model, and refuse what is none, what is damaged, and weights that are not its own.

    Args:
        model: its path, an `Exported`, or the bytes of a file.
        verify: whether to hold a file that has lucid's digests against them.

    Raises:
        FileError: it cannot be read, is no ONNX model, is damaged, or asks for files that are not its own.
        VerificationError: it was altered after lucid wrote it.
        TypeError: it is none of these.
    """
    if isinstance(model, Exported):
        data = model.serialize()
        return Source("the exported model", onnx.ModelProto.FromString(data), data)
    if isinstance(model, (bytes, bytearray, memoryview)):
        name, folder, data = "the model", Path(), bytes(model)
        proto = parse(data, name)
    elif isinstance(model, (str, os.PathLike)):
        name, folder = os.fspath(model), folder_of(model)
        proto, data = read(model), b""
    else:
        raise TypeError(f"expected the path of a model, an Exported or bytes; got {type(model).__name__}")
    if verify:
        _verify(proto, folder, name)
    if not data and _stands_alone(proto):
        # Not read again from its path: what was checked is what runs.
        data = proto.SerializeToString()
    return Source(name, proto, data or os.path.abspath(name))


def _verify(proto: onnx.ModelProto, folder: Path, name: str) -> None:
    recorded = {entry.key: entry.value for entry in proto.metadata_props}
    if not any(key.startswith(PREFIX) for key in recorded):
        return
    found = digests(proto, Contents(folder))
    parts = []
    if recorded.get(WEIGHTS) != found.weights or recorded.get(TENSORS) != found.metadata[TENSORS]:
        parts.append("the weights")
    if recorded.get(GRAPH) != found.graph:
        parts.append("the graph or the metadata")
    if parts:
        raise VerificationError(
            f"{name} is not as lucid wrote it: {' and '.join(parts)} do not fit the digests in it; "
            "Session(..., verify=False) runs a model that was altered on purpose"
        )


def _stands_alone(proto: onnx.ModelProto) -> bool:
    return not any(
        message.data_location == onnx.TensorProto.EXTERNAL
        for message in messages(proto)
        if isinstance(message, onnx.TensorProto)
    )
