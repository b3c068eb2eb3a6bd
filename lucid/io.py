"""Saving and loading of tensors in the safetensors format: names, shapes, dtypes and bytes, but no code.

A file that lucid writes has a digest in its metadata, of the whole file, and loads only if it fits. Files of other
writers have none: what they declare is checked, but not whether a bit of their elements has changed.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from .errors import DtypeError, FileError
from .files import atomic_write
from .tensor import Tensor, around

__all__ = ["Contents", "load", "open_file", "read", "save", "write"]

_DIGEST = "lucid.sha256"
"""The key of the digest in the metadata: the SHA-256 of the file with zeros in place of the digest's own digits."""

_BLANK = "0" * 64

_SHARED = "lucid.shared"
"""The key of the names in the metadata that stand for the tensor of another name, as JSON."""

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
    """Writes tensors to a safetensors file with a digest, atomically.

    A tensor that stands under several names, as a tied weight, is stored once, under the first of them; `load` gives it
    back under each, with memory of its own. Other readers find the first name alone. Tensors that share memory in part,
    as views do, are written one by one.

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

    A file that lucid wrote is checked against its digest, which covers all of it. A file of another writer has no
    digest: damage to its elements is not found.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is truncated or not a safetensors file, or was altered after lucid wrote it.
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
        if key in (_DIGEST, _SHARED):
            raise ValueError(f"save: lucid's own metadata is stored as {key!r}; choose another key")
    plain = {}
    first: dict[Any, str] = {}
    shared: dict[str, str] = {}
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if name == "__metadata__":
            raise ValueError("save: the format keeps the name '__metadata__' for itself")
        if dtype not in _KNOWN:
            raise DtypeError(
                f"save: {name!r} has dtype {array.dtype}; a file holds floats up to 64 bits, integers and bools"
            )
        place = (array.__array_interface__["data"][0], array.shape, array.strides, dtype)
        if array.size and first.setdefault(place, name) != name:
            shared[name] = first[place]
        else:
            plain[name] = np.asarray(array, dtype, order="C")
    # Not save_file: it replaces the given file with one of its own, which would not be synced to the disk.
    # The elements are safetensors'; the header is written here, since the order of its metadata would be random.
    data = memoryview(serialize(plain))
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:start].tobytes())
    texts = dict(sorted({**metadata, _DIGEST: _BLANK, **({_SHARED: json.dumps(shared)} if shared else {})}.items()))
    text = json.dumps({"__metadata__": texts, **entries}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    hasher = sha256(header)
    hasher.update(data[start:])
    at = _place(header)
    with atomic_write(path) as file:
        file.write(header[:at] + hasher.hexdigest().encode() + header[at + len(_BLANK) :])
        file.write(data[start:])


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        arrays: the arrays by name.
        metadata: the texts stored with them.
        digest: the digest that was checked; None if the file has none.
    """

    arrays: dict[str, np.ndarray[Any, Any]]
    metadata: dict[str, str]
    digest: str | None


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """Reads the arrays and the metadata of a safetensors file; raises what `load` raises."""
    contents = open_file(path)
    return contents.arrays, contents.metadata


def open_file(path: str | os.PathLike[str]) -> Contents:
    """Reads a safetensors file, and checks its digest if it has one; raises what `load` raises."""
    from safetensors import SafetensorError, deserialize

    name = os.fspath(path)
    data = _bytes(path)
    try:
        entries = dict(deserialize(data))  # type: ignore[no-untyped-call]
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata: dict[str, str] = header.pop("__metadata__", None) or {}
        names = [(key, entries[key]) for key in header]
    except (SafetensorError, ValueError, KeyError, RecursionError, OverflowError) as error:
        raise FileError(f"{name} is truncated or not a safetensors file: {error}") from error
    digest = metadata.pop(_DIGEST, None)
    if digest is not None:
        found = _digest(data)
        if found != digest:
            raise FileError(
                f"{name} was altered after lucid wrote it: its digest is {digest[:16]}…, but that of its contents is "
                f"{found[:16]}…; use an intact copy, or remove {_DIGEST!r} from the metadata of a file that was edited "
                "on purpose"
            )
    try:
        arrays = {key: _array_from(key, entry) for key, entry in names}
    except DtypeError:
        raise
    except (ValueError, OverflowError) as error:
        raise FileError(f"{name} has tensors with shapes that no array can have: {error}") from error
    try:
        for key, other in json.loads(metadata.pop(_SHARED, "{}")).items():
            arrays[key] = arrays[other].copy()
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise FileError(f"{name} is damaged: its names of shared tensors make no sense ({error!r})") from error
    return Contents(arrays, metadata, digest)


def _bytes(path: str | os.PathLike[str]) -> bytes:
    """Reads a plain file; one that never ends, such as a pipe or a device, is refused."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{os.fspath(path)} is a pipe, a device or a socket, not a file")
    with open(path, "rb") as file:
        return file.read(status.st_size + 1)


def _place(data: bytes) -> int:
    """Returns where the digits of the digest stand in a file; -1 if they are not written as lucid writes them."""
    before = f'"{_DIGEST}":"'.encode()
    # In a text a quotation mark is escaped, so this finds the key alone.
    place = data.find(before, 8, 8 + int.from_bytes(data[:8], "little"))
    return place + len(before) if place >= 0 else -1


def _digest(data: bytes) -> str:
    """Returns the digest of a file, with zeros in place of the digest in it."""
    place = _place(data)
    if place < 0:
        return sha256(data).hexdigest()
    hasher = sha256(memoryview(data)[:place])
    hasher.update(_BLANK.encode())
    hasher.update(memoryview(data)[place + len(_BLANK) :])
    return hasher.hexdigest()


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
