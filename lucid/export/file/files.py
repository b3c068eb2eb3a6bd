"""Files of models: written whole or not at all, and read with distrust.

What a file says of itself is checked before onnx or onnxruntime act on it: sizes against the bytes that are there, and
that weights beside the model are plain files in its own folder.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ...errors import FileError
from ...files import atomic_write
from .digest import messages
from .layout import LIMIT, fits, lay_out
from .tensors import check_tensor
from .wiring import check_wiring

__all__ = ["folder_of", "load", "parse", "read", "staged", "write"]

# --- writing


def write(model: ir.Model, path: str | os.PathLike[str], external_data: bool | None = None, limit: int = LIMIT) -> None:
    """Write a model, all of it or nothing.

    Weights that are kept beside the model stand in ``<name of the model>.<digest>.data``. That name depends on what
    they are, so the old model has the old weights until the moment when the new one takes its place, and a crash leaves
    one pair or the other. The old weights are removed last.

    Args:
        model: the model.
        path: where to write it.
        external_data: whether the weights stand in a file beside it; if None, only where one file would be too large.
        limit: what too large is, in bytes.

    Raises:
        FileError: one file is asked for, and the model is too large for it.
        OSError: the disk is full, the folder does not exist, and so on; what stood at `path` still stands there.
    """
    layout = lay_out(model)
    if external_data is None:
        external_data = layout.bytes > limit
    elif not external_data and layout.bytes > limit:
        raise FileError(
            f"a model of {layout.bytes:,} bytes is too large for one file: protobuf writes {limit:,} bytes at most; "
            "without external_data=False the weights stand in a file beside it"
        )
    target = Path(os.path.realpath(path))
    old = _data_files(target)
    new: Path | None = None
    if external_data and layout.tensors:
        new = target.with_name(f"{target.name}.{layout.digests().weights[:16]}.data")
        layout.name_data(new.name)
        with atomic_write(new) as file:
            layout.write_data(file)
        data = layout.proto.SerializeToString(deterministic=True)
    else:
        data = ir.to_proto(model).SerializeToString(deterministic=True)
    try:
        with atomic_write(target) as file:
            file.write(data)
    except BaseException:
        if new is not None and new not in old:
            new.unlink(missing_ok=True)
        raise
    for left in old - {new}:
        with suppress(OSError):  # somebody else removed it, or may not: the model is whole either way
            left.unlink()


@contextmanager
def staged(model: ir.Model, limit: int = LIMIT) -> Iterator[bytes | str]:
    """A model as onnx and onnxruntime take it: its bytes, or the path of a temporary file if it is too large."""
    if fits(model, limit):
        yield ir.to_proto(model).SerializeToString(deterministic=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        write(model, path, limit=limit)
        yield path


def _data_files(path: Path) -> set[Path]:
    """The files of weights that the model at `path` refers to and that lucid wrote."""
    named = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}\.data")
    beside = {name for name in os.listdir(path.parent) if named.fullmatch(name)} if path.parent.is_dir() else set()
    if not beside:
        return set()
    try:
        tensors = [m for m in messages(read(path)) if isinstance(m, onnx.TensorProto)]
    except FileError:
        return set()
    used = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    return {path.with_name(name) for name in beside & used}


# --- reading


def load(path: str | os.PathLike[str]) -> ir.Model:
    """Read a model; its weights are read when they are used, if they stand beside it.

    Raises:
        FileError: it cannot be read, is no ONNX model, is damaged, or asks for files that are not its own.
    """
    proto = read(path)
    try:
        check_wiring(proto)
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, folder_of(path))
    except Exception as error:  # onnx_ir raises many types for what it does not understand
        raise FileError(f"{os.fspath(path)} is damaged: {error}") from error
    return model


def read(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read a model as protobuf and check it; weights beside it are checked but not read.

    Raises:
        FileError: it cannot be read, is no ONNX model, is damaged, or asks for files that are not its own.
    """
    name = os.fspath(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{name} is not a file")
        if status.st_size > LIMIT:
            raise FileError(f"{name} is no ONNX model: it has {status.st_size:,} bytes, protobuf {LIMIT:,} at most")
        with open(path, "rb") as file:
            data = file.read()
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise FileError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(data, name, folder_of(path))


def parse(data: bytes, name: str = "the model", folder: Path | None = None) -> onnx.ModelProto:
    """The model in the bytes of a file, checked.

    Args:
        data: the bytes.
        name: what to call it in messages.
        folder: where its weights may stand; if None, they must stand in it.

    Raises:
        FileError: it is no ONNX model, is damaged, or asks for files that are not its own.
    """
    if not data:
        raise FileError(f"{name} is empty")
    try:
        proto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise FileError(f"{name} is not an ONNX model, or is damaged: {error}") from error
    if proto.ir_version < 1 or not proto.opset_import or not (proto.graph.node or proto.graph.output):
        raise FileError(f"{name} is not an ONNX model, or is damaged: it has no version, operator set or graph")
    try:
        for message in messages(proto):
            _check_texts(message)
            if isinstance(message, onnx.TensorProto):
                check_tensor(message, folder)
    except (FileError, UnicodeDecodeError) as error:
        raise FileError(f"{name} is damaged or not to be trusted: {error}") from error
    return proto


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Where a model's own files stand."""
    return Path(os.path.abspath(path)).parent


def _check_texts(message: Message) -> None:
    if isinstance(message, onnx.TensorProto):
        texts: list[Any] = [message.name, message.doc_string]
        for entry in (*message.external_data, *message.metadata_props):
            texts += [entry.key, entry.value]
    else:
        texts = []
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_STRING:
                texts += [value] if isinstance(value, (str, bytes)) else value
    # protobuf hands over as bytes what is not UTF-8.
    for text in texts:
        if isinstance(text, bytes):
            raise FileError(f"it has a text that is not UTF-8: {text[:40]!r}")
