"""Atomic file writes."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["atomic_write"]

_SUFFIX = ".part"


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path`, and moves it to `path` when it is complete and on the disk.

    At any moment `path` holds either the old file or the new one, even after an exception, a killed process or a power
    cut. An exception leaves no temporary file behind; that of a killed process is removed by the next write to the same
    path.

    Args:
        path: the file to write; its folder must exist. A symbolic link is followed.

    Yields:
        The file to write to, open in binary mode.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.

    Example:
        >>> import os, tempfile
        >>> from lucid.files import atomic_write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(os.path.join(folder, "a.txt")) as file:
        ...         written = file.write(b"whole")
        ...     os.listdir(folder)
        ['a.txt']
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
    _remove_abandoned(target)
    file = _create(target)
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, file.name)
        if fcntl is None:
            file.close()  # Windows cannot move an open file
        os.replace(file.name, target)
    except BaseException:
        with suppress(OSError):  # closing writes the buffered rest, which fails again if the disk is full
            file.close()
        with suppress(FileNotFoundError):
            os.unlink(file.name)
        raise
    finally:
        file.close()
    _sync(target.parent)


def _create(target: Path) -> BinaryIO:
    """Creates an empty file beside the target, locked for as long as this process keeps it open."""
    while True:
        try:
            file = open(target.with_name(f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}"), "xb")  # noqa: SIM115
        except FileExistsError:
            continue
        if fcntl is None:
            return file
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(file.name):  # else another writer removed it as abandoned before it was locked
            return file
        file.close()


def _remove_abandoned(target: Path) -> None:
    """Removes the files of killed processes, whose locks the kernel has released."""
    if fcntl is None:
        return
    for name in os.listdir(target.parent):
        if name.startswith(f".{target.name}.") and name.endswith(_SUFFIX):
            with suppress(OSError), open(target.with_name(name), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(file.name)


def _sync(folder: Path) -> None:
    """Syncs the folder, so that the new name survives a power cut, where the system allows opening a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
