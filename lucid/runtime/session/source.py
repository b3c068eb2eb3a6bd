"""Source: a model that is read and checked before onnxruntime loads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from ...errors import FileError
from ...export.exported import Exported
from ...export.file.claims import check_digests
from ...export.file.count import MOST_NODES, MOST_NODES_OF_LUCID, count_nodes
from ...export.file.digest import messages
from ...export.file.metadata import INTERFACE, RANGES, STREAMING
from ...export.file.read import folder_of, parse, read
from ...proof.ranges import listed
from .weights import Weights

__all__ = ["Source", "read_model"]


class Source(NamedTuple):
    """A model that was read and checked.

    Attributes:
        name: its name in messages.
        proto: the model; external data is not in it.
        model: the bytes that onnxruntime loads.
        weights: the external weights, as onnxruntime takes them.
        streaming: the record of how it streams that lucid wrote; None if there is none, or if it was not verified.
        ranges: the record of the elements that inputs may hold.
        interface: the record of its lengths and states; None if there is none.
        files: the files that it was read from: the model's own and those of external weights.
    """

    name: str
    proto: onnx.ModelProto
    model: bytes
    weights: Mapping[str, Any] = {}
    streaming: str | None = None
    ranges: str = "[]"
    interface: str | None = None
    files: tuple[str, ...] = ()

    def written(self) -> list[tuple[int, int] | None]:
        """Returns the time and the size of each file, as it is now; None for one that is gone."""
        found: list[tuple[int, int] | None] = []
        for file in self.files:
            try:
                status = os.stat(file)
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size))
        return found


def read_model(model: str | os.PathLike[str] | Exported | bytes, verify: bool = True) -> Source:
    """Reads and checks a model.

    Args:
        model: its path, an `Exported`, or the bytes of a file.
        verify: whether to check a file that lucid wrote against its digests, and to limit the number of nodes.

    Raises:
        FileError: it cannot be read, is not an ONNX model, is damaged, refers to files that are not its own, or has
            too many nodes.
        VerificationError: it was altered after lucid wrote it, or lost its digests.
        TypeError: it is none of these.
    """
    if isinstance(model, Exported):
        data = model.serialize()
        streaming, interface = json.dumps(model.streaming.as_dict()), json.dumps(model.interface.as_dict())
        ranges = json.dumps(listed(model.ranges))
        return Source("the exported model", onnx.ModelProto.FromString(data), data, {}, streaming, ranges, interface)
    files: tuple[str, ...] = ()
    if isinstance(model, (bytes, bytearray, memoryview)):
        name, folder = "the model", Path()
        proto = parse(bytes(model), name)
    elif isinstance(model, (str, os.PathLike)):
        name, folder = os.fspath(model), folder_of(model)
        proto = read(model)
        files = (name, *(str(folder / place) for place in _places(proto)))
    else:
        raise TypeError(f"expected the path of a model, an Exported or bytes; got {type(model).__name__}")
    weights = Weights(proto, folder)
    written = check_digests(proto, weights, name, "Session(..., verify=False) runs") if verify else {}
    if verify:
        _check_count(proto, name, MOST_NODES_OF_LUCID if written else MOST_NODES)
    recorded = {entry.key: entry.value for entry in proto.metadata_props}
    records = (written.get(STREAMING), recorded.get(RANGES, "[]"), recorded.get(INTERFACE))
    # onnxruntime does not read it again from its path, so it runs what was checked.
    return Source(name, proto, proto.SerializeToString(), weights.take(), *records, files)


def _places(proto: onnx.ModelProto) -> list[str]:
    """Returns the names of the files of external weights."""
    tensors = [m for m in messages(proto) if isinstance(m, onnx.TensorProto)]
    return sorted({entry.value for t in tensors for entry in t.external_data if entry.key == "location"})


def _check_count(proto: onnx.ModelProto, name: str, most: int) -> None:
    """Refuses a model that onnxruntime would load for hours."""
    try:
        count = count_nodes(proto)
    except FileError as error:
        raise FileError(f"{name} is damaged or not to be trusted: {error}") from error
    if count > most:
        raise FileError(
            f"{name} has {count:.3g} nodes if its functions are written out; {most:,} at most are loaded, since "
            "onnxruntime can take hours for more; Session(..., verify=False) loads a model that you trust"
        )
