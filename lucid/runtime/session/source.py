"""Source: a model that is read and checked before onnxruntime loads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import onnx

from ...errors import VerificationError
from ...export.exported import Exported
from ...export.file.digest import GRAPH, TENSORS, WEIGHTS, digests, messages
from ...export.file.metadata import PREFIX, STREAMING
from ...export.file.read import folder_of, parse, read
from ...export.file.tensors import Contents

__all__ = ["Source", "read_model"]


class Source(NamedTuple):
    """A model that was read and checked.

    Attributes:
        name: its name in messages.
        proto: the model; external data is not read.
        model: what onnxruntime loads: the bytes, or the path if there is external data.
        streaming: the record of how it streams that lucid wrote; None if there is none, or if it was not verified.
    """

    name: str
    proto: onnx.ModelProto
    model: bytes | str
    streaming: str | None = None

    @property
    def folder(self) -> str | None:
        """The folder of its external data; None if all data is in the model."""
        return os.path.dirname(self.model) if isinstance(self.model, str) else None


def read_model(model: str | os.PathLike[str] | Exported | bytes, verify: bool = True) -> Source:
    """Reads and checks a model.

    Args:
        model: its path, an `Exported`, or the bytes of a file.
        verify: whether to check a file that has lucid's digests against them.

    Raises:
        FileError: it cannot be read, is not an ONNX model, is damaged, or refers to files that are not its own.
        VerificationError: it was altered after lucid wrote it.
        TypeError: it is none of these.
    """
    if isinstance(model, Exported):
        data = model.serialize()
        streaming = json.dumps(model.streaming.as_dict())
        return Source("the exported model", onnx.ModelProto.FromString(data), data, streaming)
    if isinstance(model, (bytes, bytearray, memoryview)):
        name, folder, data = "the model", Path(), bytes(model)
        proto = parse(data, name)
    elif isinstance(model, (str, os.PathLike)):
        name, folder = os.fspath(model), folder_of(model)
        proto, data = read(model), b""
    else:
        raise TypeError(f"expected the path of a model, an Exported or bytes; got {type(model).__name__}")
    written = _verified(proto, folder, name) if verify else {}
    if not data and _stands_alone(proto):
        # onnxruntime does not read it again from its path, so it runs what was checked.
        data = proto.SerializeToString()
    return Source(name, proto, data or os.path.abspath(name), written.get(STREAMING))


def _verified(proto: onnx.ModelProto, folder: Path, name: str) -> dict[str, str]:
    """Checks a file against its digests and returns its metadata; nothing if lucid did not write it."""
    recorded = {entry.key: entry.value for entry in proto.metadata_props}
    if not any(key.startswith(PREFIX) for key in recorded):
        return {}
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
    return recorded


def _stands_alone(proto: onnx.ModelProto) -> bool:
    return not any(
        message.data_location == onnx.TensorProto.EXTERNAL
        for message in messages(proto)
        if isinstance(message, onnx.TensorProto)
    )
