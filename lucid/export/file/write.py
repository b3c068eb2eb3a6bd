"""Writes model files as a whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import onnx
import onnx_ir as ir

from ...errors import FileError
from ...files import atomic_write
from .digest import messages
from .layout import LIMIT, fits, lay_out
from .read import read

__all__ = ["staged", "write"]


def write(model: ir.Model, path: str | os.PathLike[str], external_data: bool | None = None, limit: int = LIMIT) -> None:
    """Writes a model as a whole or not at all.

    External data is written to ``<name of the model>.<digest>.data``. The digest is that of the weights, so the old
    model keeps the old weights until the new model replaces it, and a crash leaves one pair or the other. The old
    weights are removed last.

    Args:
        model: the model.
        path: the file to write.
        external_data: whether to store the weights in a file beside it; if None, only if one file would be too large.
        limit: the maximum size of one file, in bytes.

    Raises:
        FileError: a single file is requested, but the model is too large for it.
        OSError: the disk is full, the folder does not exist, and so on; an old file at `path` is left unchanged.
    """
    layout = lay_out(model)
    if external_data is None:
        external_data = layout.bytes > limit
    elif not external_data and layout.bytes > limit:
        raise FileError(
            f"a model of {layout.bytes:,} bytes is too large for one file: protobuf writes {limit:,} bytes at most; "
            "without external_data=False the weights are written to a file beside it"
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
        with suppress(OSError):  # already removed, or not permitted: the model is complete either way
            left.unlink()


@contextmanager
def staged(model: ir.Model, limit: int = LIMIT) -> Iterator[bytes | str]:
    """Yields a model as onnx and onnxruntime accept it: bytes, or the path of a temporary file if it is too large."""
    if fits(model, limit):
        yield ir.to_proto(model).SerializeToString(deterministic=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        write(model, path, limit=limit)
        yield path


def _data_files(path: Path) -> set[Path]:
    """Returns the data files that the model at `path` refers to and that lucid wrote."""
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
