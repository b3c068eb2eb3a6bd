"""Kept: the fastest ways, kept in a file for the next start of a program."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, get_args

from ...errors import FileError
from ...export.lowering.plan import Lowering
from ...files import atomic_write
from .candidate import Way

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Kept"]

_FORMAT = "lucid.choices"
_VERSION = 1

_MOST = 1000
"""The most choices in a file; the oldest are dropped."""

_MOST_BYTES = 1 << 24
"""The largest file that is read: a thousand choices take less than a MiB."""


class Kept:
    """The choices in a JSON file, each under the digest of what it was made for.

    It is written as a whole or not at all. Processes that write at the same time add to each other's choices; on
    Windows, which has no such locks, one of two choices of the same moment may be lost, but never the file.

    Args:
        path: the file; an empty one is made if there is none.
        who: the name of the function that was called, for messages.

    Raises:
        FileError: there is something else in the file.
        OSError: the folder does not exist, or cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], who: str) -> None:
        self._path = os.path.realpath(path)
        self._who = who
        folder = os.path.dirname(self._path)
        try:
            if not os.path.isdir(folder):
                raise FileNotFoundError(errno.ENOENT, "the folder does not exist")
            with self._locked(), tempfile.TemporaryFile(dir=folder):
                pass  # a later choice can be written
            self._ways = {key: _way(entry["way"]) for key, entry in self._read().items()}
        except FileError:
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(error.errno, f"{who}: no choices can be kept there: {why}", os.fspath(path)) from error

    def find(self, facts: Mapping[str, Any]) -> Way | None:
        """Returns the way that was the fastest in a program, or an earlier process, of which the same is true."""
        return self._ways.get(_digest(facts))

    def keep(self, facts: Mapping[str, Any], way: Way) -> None:
        """Adds a choice to the file; warns if that is not possible any more, since the program runs well without."""
        key = _digest(facts)
        if self._ways.get(key) == way:
            return
        self._ways[key] = way
        try:
            with self._locked():
                entries = self._read()
                entries.pop(key, None)
                entries[key] = {"way": way._asdict(), **_shown(facts)}
                self._write(dict(list(entries.items())[-_MOST:]))
        except OSError as error:
            warnings.warn(f"{self._who}: a choice is not kept: {error}", RuntimeWarning, stacklevel=2)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds the file for this process, so that no other one writes; makes it if there is none."""
        while True:
            with open(self._path, "ab") as file:
                if fcntl is None:
                    break  # Windows cannot replace an open file
                fcntl.flock(file, fcntl.LOCK_EX)
                # A writer that held it replaced the file, so this one is no longer that of the path.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), os.stat(self._path)):
                        yield
                        return
        yield

    def _write(self, entries: Mapping[str, Any]) -> None:
        text = json.dumps({"format": _FORMAT, "version": _VERSION, "choices": entries}, indent=1)
        with atomic_write(self._path) as file:
            file.write(text.encode())

    def _read(self) -> dict[str, Any]:
        """Returns the entries of the file by digest.

        Raises:
            FileError: it is not a file of choices.
        """
        try:
            if os.path.getsize(self._path) > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
            with open(self._path, "rb") as file:
                text = file.read()
            if not text:
                return {}  # it was just made
            found = json.loads(text)
            if not isinstance(found, dict) or found.get("format") != _FORMAT:
                raise ValueError(f"it has no 'format': {_FORMAT!r}")
            if found.get("version") != _VERSION:
                raise ValueError(f"its version is {found.get('version')!r}, and this lucid reads {_VERSION}")
            entries: dict[str, Any] = found["choices"]
            for entry in entries.values():
                _way(entry["way"])
            return entries
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FileError(
                f"{self._who}: {self._path} is no file of choices, or is damaged: {error}; delete it, or name another"
            ) from error


def _way(entry: Any) -> Way:
    """Returns the way that an entry describes.

    Raises:
        KeyError, TypeError, ValueError: it describes none.
    """
    way = Way(entry["lowering"], entry["threads"], entry["parts"], entry["updates"])
    counts = [n for n in (way.threads, way.parts) if n is not None]
    if way.lowering not in (*get_args(Lowering)[1:], "numpy") or type(way.updates) is not bool or way.parts is None:
        raise ValueError(f"{entry} is no way to run a model")
    if any(type(n) is not int or not 1 <= n <= 4096 for n in counts):
        raise ValueError(f"{entry} has numbers of threads or parts that no machine has")
    return way


def _digest(facts: Mapping[str, Any]) -> str:
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the facts that a reader of the file looks for."""
    return {name: facts[name] for name in ("model", "call", "inputs", "machine", "versions")}
