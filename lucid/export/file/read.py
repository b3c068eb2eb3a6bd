"""Reads model files without trusting them.

A file is checked before onnx or onnxruntime uses it: declared sizes must match the bytes that are present, and external
data must be in plain files in the model's own folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ...errors import FileError
from .claims import check_digests
from .digest import messages
from .layout import LIMIT
from .tensors import Contents, check_tensor
from .wiring import check_wiring

__all__ = ["folder_of", "load", "parse", "read"]


def load(path: str | os.PathLike[str], *, verify: bool = True) -> ir.Model:
    """Reads a model, and checks it against its digests if lucid wrote it.

    Args:
        path: the model.
        verify: whether to check the digests, and to read external data now; if not, it is read when it is used.

    Raises:
        FileError: it cannot be read, is not an ONNX model, is damaged, or refers to files that are not its own.
        VerificationError: it was altered after lucid wrote it, or lost its digests.
    """
    proto = read(path)
    try:
        check_wiring(proto)
    except FileError as error:
        raise FileError(f"{os.fspath(path)} is damaged: {error}") from error
    if verify:
        check_digests(proto, Contents(folder_of(path)), os.fspath(path), "load(..., verify=False) reads")
    try:
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, folder_of(path))
        if verify:
            ir.external_data.load_to_model(model)
    except Exception as error:  # onnx_ir raises many exception types for invalid models
        raise FileError(f"{os.fspath(path)} is damaged: {error}") from error
    return model


def read(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Reads a model as protobuf and checks it; external data is checked but not read.

    Raises:
        FileError: it cannot be read, is not an ONNX model, is damaged, or refers to files that are not its own.
    """
    name = os.fspath(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{name} is not a file")
        if status.st_size > LIMIT:
            raise FileError(f"{name} is not an ONNX model: it has {status.st_size:,} bytes; protobuf allows {LIMIT:,}")
        with open(path, "rb") as file:
            data = file.read()
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise FileError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(data, name, folder_of(path))


def parse(data: bytes, name: str = "the model", folder: Path | None = None) -> onnx.ModelProto:
    """Parses the bytes of a file and checks the model.

    Args:
        data: the bytes.
        name: its name in messages.
        folder: the folder that may hold its external data; if None, it may have none.

    Raises:
        FileError: it is not an ONNX model, is damaged, or refers to files that are not its own.
    """
    if not data:
        raise FileError(f"{name} is empty")
    if data[4:8] == b"ORTM":
        raise FileError(
            f"{name} is in onnxruntime's own format, which cannot be checked; use the ONNX file that it was made from"
        )
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
    """Returns the folder of a model and its external data."""
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
    # protobuf returns a text that is not UTF-8 as bytes.
    for text in texts:
        if isinstance(text, bytes):
            raise FileError(f"it has a text that is not UTF-8: {text[:40]!r}")
