"""Saving and loading of tensors in the safetensors format: names, shapes, dtypes and bytes, but no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import DtypeError, FileError
from .files import atomic_write
from .tensor import Tensor, around

__all__ = ["load", "read", "save", "write"]

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


def save(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors to a safetensors file, atomically.

    Tensors that share memory are written one by one, and no longer share it when loaded.

    Args:
        state_dict: Tensors or NumPy arrays by name, such as ``model.state_dict()``.
        path: the file; an existing one is replaced.
        metadata: strings to store with them, see `lucid.io.read`.

    Raises:
        TypeError: an entry is not a tensor, or a name or an entry of the metadata is not a string.
        DtypeError: the format, or lucid, does not support the dtype.
        FileNotFoundError: the folder does not exist.

    Source: https://huggingface.co/docs/safetensors

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "weights.safetensors")
        ...     lucid.save({"w": lucid.tensor([1.0, 2.0])}, path)
        ...     lucid.load(path)
        {'w': tensor([1., 2.])}
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"save: expected a mapping from names to tensors; got {type(state_dict).__name__}")
    write({name: _array_of(name, value) for name, value in state_dict.items()}, path, metadata or {})


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file. bfloat16, which NumPy lacks, becomes float32.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is truncated or not a safetensors file.
        DtypeError: it has tensors of a dtype that NumPy lacks.
    """
    return {name: around(array) for name, array in read(path)[0].items()}


def write(
    arrays: Mapping[str, np.ndarray[Any, Any]], path: str | os.PathLike[str], metadata: Mapping[str, str]
) -> None:
    """Writes arrays and metadata to a safetensors file; raises what `save` raises."""
    from safetensors.numpy import save as serialize

    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"save: metadata must be strings by strings; got {key!r}: {type(value).__name__}")
    plain = {}
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if name == "__metadata__":
            raise ValueError("save: the format keeps the name '__metadata__' for itself")
        if dtype not in _KNOWN:
            raise DtypeError(
                f"save: {name!r} has dtype {array.dtype}; a file holds floats up to 64 bits, integers and bools"
            )
        plain[name] = np.asarray(array, dtype, order="C")
    # Not save_file: it replaces the given file with one of its own, which would not be synced to the disk.
    data = serialize(plain, metadata=dict(metadata) or None)
    with atomic_write(path) as file:
        file.write(data)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """Reads the arrays and the metadata of a safetensors file; raises what `load` raises."""
    from safetensors import SafetensorError, deserialize

    with open(path, "rb") as file:
        data = file.read()
    try:
        entries = dict(deserialize(data))  # type: ignore[no-untyped-call]
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise FileError(f"{os.fspath(path)} is truncated or not a safetensors file: {error}") from error
    metadata: dict[str, str] = header.pop("__metadata__", {})
    return {name: _array_from(name, entries[name]) for name in header}, metadata


def _array_of(name: Any, value: Any) -> np.ndarray[Any, Any]:
    if not isinstance(name, str):
        raise TypeError(f"save: names must be strings; got {name!r}")
    if not isinstance(value, (Tensor, np.ndarray, np.generic)):
        raise TypeError(
            f"save: {name!r} is no tensor but {type(value).__name__}; numbers and nested states go into "
            "lucid.save_checkpoint"
        )
    return value._data if isinstance(value, Tensor) else np.asarray(value)


def _array_from(name: str, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    kind, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if kind == "BF16":
        # bfloat16 is the upper half of a float32.
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view(np.float32).reshape(shape)
    if kind not in _DTYPES:
        raise DtypeError(
            f"load: {name!r} has dtype {kind}, which NumPy lacks; convert it before, for example to float32"
        )
    array = np.frombuffer(data, _DTYPES[kind]).reshape(shape)
    return array if array.flags.writeable else array.copy()


_KNOWN = frozenset(np.dtype(code) for code in _DTYPES.values())
