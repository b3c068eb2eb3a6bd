"""Checks the tensors of a file, and reads their elements."""

from __future__ import annotations

import math
import stat
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from ...errors import FileError

__all__ = ["Contents", "check_tensor", "elements"]

_KEPT_IN = {
    "FLOAT": ("float_data", 1),
    "COMPLEX64": ("float_data", 2),
    "DOUBLE": ("double_data", 1),
    "COMPLEX128": ("double_data", 2),
    "INT64": ("int64_data", 1),
    "UINT32": ("uint64_data", 1),
    "UINT64": ("uint64_data", 1),
    "STRING": ("string_data", 1),
}
"""The field for the elements of a tensor without raw data, and the numbers per element; default: int32_data, one."""

_FIELDS = (*dict.fromkeys(field for field, _ in _KEPT_IN.values()), "int32_data")
"""The fields that can hold elements, apart from raw_data."""

_MOST_AXES = 64
"""NumPy's maximum."""

_KEYS = {"location", "offset", "length", "checksum"}


class _Place(NamedTuple):
    """The location of a tensor's external data."""

    location: str
    offset: int
    length: int


class Contents:
    """Returns the elements of the tensors of a checked model; external data is read, one tensor at a time.

    Args:
        folder: the folder of the model.

    Raises:
        FileError: at the call, the elements cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
        try:
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                return elements(tensor)
            dtype = _dtype(tensor)
            place = _place(tensor)
            if dtype.bitwidth < 8 or not place.length:
                raw = self.raw(tensor)
                return elements(onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=raw))
            numpy = dtype.numpy()
            # The dtypes that NumPy lacks have no byte order, and no machine that supports them is big-endian.
            numpy = numpy.newbyteorder("<") if numpy.kind != "V" else numpy
            return self._bytes(place).view(numpy).reshape(tuple(tensor.dims))
        except Exception as error:  # onnx_ir raises many exception types for invalid models
            raise FileError(f"tensor {tensor.name!r} cannot be read: {error}") from error

    def raw(self, tensor: onnx.TensorProto) -> bytes:
        """Returns the bytes of an external tensor."""
        return self._bytes(_place(tensor)).tobytes()

    def _bytes(self, place: _Place) -> np.ndarray[Any, Any]:
        # Not mapped: to read a file that is cut off meanwhile would end the process.
        read = np.fromfile(self.folder / place.location, np.uint8, place.length, offset=place.offset)
        if read.size != place.length:
            raise FileError(f"{place.location!r} ends early: it was changed while it was read")
        return read


def elements(tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
    """Returns the elements of a tensor without external data, alike in all onnx versions, unlike numpy_helper."""
    return np.asarray(ir.serde.deserialize_tensor(tensor).numpy())


def check_tensor(tensor: onnx.TensorProto, folder: Path | None) -> None:
    """Checks that a tensor is consistent and that its elements are in an allowed place.

    Args:
        tensor: the tensor.
        folder: the folder of the model; None if it came as bytes, without external data.

    Raises:
        FileError: it is not; the message gives the reason.
    """
    if len(tensor.dims) > _MOST_AXES:
        raise FileError(f"tensor {tensor.name!r} has {len(tensor.dims):,} axes; {_MOST_AXES} at most are read")
    if any(n < 0 for n in tensor.dims):
        raise FileError(f"tensor {tensor.name!r} has a negative size: {list(tensor.dims)}")
    if tensor.HasField("segment"):
        raise FileError(f"tensor {tensor.name!r} is a segment of a larger one, which no runtime reads")
    dtype = _dtype(tensor)
    count = math.prod(tensor.dims)
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        if tensor.data_location != onnx.TensorProto.EXTERNAL or dtype == ir.DataType.STRING:
            raise FileError(f"tensor {tensor.name!r} must stand in the model itself, but names another file")
        if tensor.HasField("raw_data") or any(getattr(tensor, field) for field in _FIELDS):
            raise FileError(f"tensor {tensor.name!r} names another file, but has elements in the model itself, too")
        _check_place(tensor, -(-count * dtype.bitwidth // 8), folder)
    elif tensor.HasField("raw_data"):
        expected = 0 if dtype == ir.DataType.STRING else -(-count * dtype.bitwidth // 8)
        if len(tensor.raw_data) != expected:
            raise FileError(
                f"tensor {tensor.name!r}, {dtype}{list(tensor.dims)}, must have {expected:,} bytes; it has "
                f"{len(tensor.raw_data):,}"
            )
    else:
        field, each = _KEPT_IN.get(dtype.name, ("int32_data", 1))
        packed = 8 // dtype.bitwidth if dtype.name != "STRING" and dtype.bitwidth < 8 else 1
        expected = -(-count * each // packed)
        if len(getattr(tensor, field)) != expected:
            raise FileError(
                f"tensor {tensor.name!r}, {dtype}{list(tensor.dims)}, must have {expected:,} elements; it has "
                f"{len(getattr(tensor, field)):,}"
            )


def _dtype(tensor: onnx.TensorProto) -> ir.DataType:
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        dtype = ir.DataType.UNDEFINED
    if dtype == ir.DataType.UNDEFINED:
        raise FileError(f"tensor {tensor.name!r} has a dtype that does not exist: {tensor.data_type}")
    return dtype


def _place(tensor: onnx.TensorProto) -> _Place:
    """Returns the declared location of the elements; offset and length are -1 if they are not numbers."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) < len(tensor.external_data) or entries.keys() - _KEYS:
        keys = [entry.key for entry in tensor.external_data]
        raise FileError(f"tensor {tensor.name!r} says in more ways than one where it stands: {keys}")
    offset, length = (entries.get(key, "0") for key in ("offset", "length"))
    numbers = [int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1 for text in (offset, length)]
    return _Place(entries.get("location", ""), *numbers)


def _check_place(tensor: onnx.TensorProto, size: int, folder: Path | None) -> None:
    """Checks that the elements are in a plain file in the model's folder or below it, at the declared place."""
    location, offset, length = _place(tensor)
    what = f"tensor {tensor.name!r} stands in {location!r}"
    if folder is None:
        raise FileError(f"{what}, a file beside the model, so the model can be read from its path only")
    # Parsed as a Windows path: that finds paths that leave the folder on any system. The characters are special on some
    # system, and onnxruntime takes "*/_ORT_MEM_ADDR_/*" for an address in its own memory.
    parts = PureWindowsPath(location).parts
    if not parts or PureWindowsPath(location).anchor or ".." in parts or set(location) & set(':*?"<>|\\\0'):
        raise FileError(f"{what}, which is not in the model's own folder")
    path = folder
    for part in parts:
        path = path / part
        try:
            status = path.lstat()
        except OSError as error:
            raise FileError(
                f"{what}, which cannot be read: {error.strerror}; a model and its data file must be copied together"
            ) from error
        if stat.S_ISLNK(status.st_mode):
            raise FileError(f"{what}, which is a link; only plain files are read")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{what}, which is not a plain file")
    if status.st_nlink > 1:
        raise FileError(f"{what}, a file with another name too, perhaps outside of the model's folder; copy it")
    if length != size:
        raise FileError(f"{what}, which must hold {size:,} bytes of it; the model says {length:,}")
    if not 0 <= offset <= offset + length <= status.st_size:
        raise FileError(f"{what} at {offset:,} with {length:,} bytes; that file has {status.st_size:,}")
