"""Layout: a model's structure, and the weights that can be stored in a data file."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from .digest import Digests, digests, initializers
from .tensors import elements

__all__ = ["LIMIT", "Layout", "fits", "lay_out"]

LIMIT = 2**31 - 1
"""The maximum number of bytes that protobuf can write."""

_SMALL = 1024
"""Tensors of fewer bytes stay in the model: shape inference reads sizes and axes from them."""

_PAGE, _LARGE = 4096, 2**20
"""Tensors of 1 MiB or more start at a page boundary, so that onnxruntime can map them into memory."""


class Layout(NamedTuple):
    """A model whose large initializers are references into a data file.

    Attributes:
        proto: the model; `name_data` sets the name of the data file.
        tensors: the contents of the data file, by offset.
        bytes: an upper bound, close to the actual size, on the size of the model as a single file.
    """

    proto: onnx.ModelProto
    tensors: dict[int, ir.TensorProtocol]
    bytes: int

    def contents(self, tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
        """Returns the elements of one of the model's tensors."""
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            offset = next(int(entry.value) for entry in tensor.external_data if entry.key == "offset")
            return self.tensors[offset].numpy()
        return elements(tensor)

    def digests(self) -> Digests:
        """Returns the digests of the model."""
        return digests(self.proto, self.contents)

    def write_data(self, file: BinaryIO) -> None:
        """Writes the data file."""
        for offset, tensor in self.tensors.items():
            file.write(b"\0" * (offset - file.tell()))
            array = tensor.numpy()
            if array.dtype.byteorder == ">" or array.dtype.itemsize * array.size != tensor.nbytes:
                file.write(tensor.tobytes())  # packed or big-endian: the bytes differ from those in memory
            else:
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def name_data(self, location: str) -> None:
        """Sets the name of the data file in the model."""
        for _, tensor in initializers(self.proto):
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location


def fits(model: ir.Model, limit: int = LIMIT) -> bool:
    """Returns whether a model can be written as a single file."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    # The structure never reaches a GiB, and measuring it is slow.
    return (limit == LIMIT and weights < limit // 2) or lay_out(model).bytes <= limit


def lay_out(model: ir.Model) -> Layout:
    """Separates a model's large weights from its structure, without copying them."""
    clone = model.clone()
    tensors: dict[int, ir.TensorProtocol] = {}
    end = 0
    for value in (value for graph in clone.graphs() for value in graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.nbytes < _SMALL or tensor.dtype == ir.DataType.STRING:
            continue
        align = _PAGE if tensor.nbytes >= _LARGE else 16
        offset = -(-end // align) * align
        end = offset + tensor.nbytes
        tensors[offset] = tensor
        assert isinstance(tensor.shape, ir.Shape)
        value.const_value = ir.ExternalTensor(
            "weights", offset, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=str(value.name)
        )
    proto = ir.to_proto(clone)
    # A reference takes more bytes than the header of the tensor that it replaces.
    return Layout(proto, tensors, proto.ByteSize() + sum(tensor.nbytes for tensor in tensors.values()))
