"""Weights: the external weights of a model in memory of the session's own.

onnxruntime would map the data file. If it is overwritten later, the model would change while it runs, and if it is cut
off, the process would end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ...errors import FileError
from ...export.file.digest import messages
from ...export.file.layout import LIMIT
from ...export.file.tensors import Contents

__all__ = ["Weights"]


class Weights:
    """Returns the elements of tensors, and keeps those of external weights: what was checked is what runs.

    Args:
        proto: the model; what onnxruntime cannot be given separately moves into it.
        folder: its folder.

    Attributes:
        values: the external weights that were asked for, as onnxruntime takes them.

    Raises:
        FileError: the elements cannot be read.
    """

    def __init__(self, proto: onnx.ModelProto, folder: Path) -> None:
        self.values: dict[str, Any] = {}
        self._read = Contents(folder)
        self._proto = proto
        total = 0
        for tensor in (*_elsewhere(proto), *(t for t in proto.graph.initializer if not _plain(t))):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                data = self._read.raw(tensor)
                total += len(data)
                if total > LIMIT:
                    raise FileError(f"external tensors of subgraphs take {total:,} bytes; {LIMIT:,} at most are read")
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
                tensor.raw_data = data

    def __call__(self, tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
        array = self._read(tensor)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            self.values[tensor.name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        return array

    def take(self) -> dict[str, Any]:
        """Returns all external weights, read now if they were not asked for."""
        for tensor in self._proto.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL and tensor.name not in self.values:
                self(tensor)
        return self.values


def _plain(tensor: onnx.TensorProto) -> bool:
    """Returns whether NumPy has the dtype, and the tensor has elements."""
    return tensor.data_type in _PLAIN and 0 not in tensor.dims


_PLAIN = frozenset(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(code)) for code in "efdbhilqBHILQ?")


def _elsewhere(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yields the tensors that are not initializers of the main graph."""
    for message in (proto, proto.graph):
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE and field.name not in ("graph", "initializer"):
                for part in (value,) if isinstance(value, Message) else value:
                    yield from (m for m in messages(part) if isinstance(m, onnx.TensorProto))
