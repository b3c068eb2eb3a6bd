"""Loader: reads a model, and loads it in onnxruntime, as often as it takes."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

import numpy as np
import onnxruntime

from ...errors import FileError, LucidError, RuntimeUnavailableError
from ...export.exported import Exported
from ...export.file.empty import aborts, without_aborts
from .bounded import without_guards
from .device import Device, load_libraries, require, select, turn
from .source import Source, read_model

__all__ = ["Loader"]


class Loader:
    """Reads a model, and loads it in onnxruntime.

    A model is loaded without those guards of its recurrent operators that hold if its inputs are bounded. It is loaded
    once more, as it is, for other inputs, and anew in a forked child.

    Args:
        model: its path, an `Exported`, or the bytes of a file.
        verify: whether to check a file that lucid wrote against its digests.
        threads: the number of threads within an operator; None for onnxruntime's choice.
        arena: whether onnxruntime keeps memory between calls.

    Attributes:
        guarded: the inputs that must be bounded, once the model was read.
        aborts: whether the model would end the process if its batch is empty.
    """

    def __init__(
        self, model: str | os.PathLike[str] | Exported | bytes, verify: bool, threads: int | None, arena: bool
    ) -> None:
        self._model = bytes(model) if isinstance(model, (bytearray, memoryview)) else model
        self._verify = verify
        self._threads = threads
        self._arena = arena
        self._written: list[tuple[int, int] | None] | None = None
        self._digest: str | None = None
        self.guarded: frozenset[str] = frozenset()
        self.aborts = False

    @property
    def arguments(self) -> tuple[Any, bool, int | None, bool]:
        """What another loader of the same model takes; a path is absolute, since another process may run elsewhere."""
        model = os.path.abspath(self._model) if isinstance(self._model, (str, os.PathLike)) else self._model
        return model, self._verify, self._threads, self._arena

    def digest(self) -> str:
        """Returns the SHA-256 of what onnxruntime loads: the graph, its metadata and its weights.

        Raises:
            LucidError: its file was changed between the first reading and the first digest.
        """
        if self._digest is None:
            source = self._read()
            found = sha256(source.model)
            for name, weight in sorted(source.weights.items()):
                found.update(name.encode())
                found.update(np.ascontiguousarray(weight.numpy()).data)
            self._digest = found.hexdigest()
        return self._digest

    def read(self) -> Source:
        """Returns the model as it is loaded for inputs that are bounded.

        Raises:
            FileError, VerificationError, TypeError: see `read_model`.
            LucidError: its file was changed since it was read first.
        """
        source = self._read()
        self.aborts = aborts(source.proto)
        bare = None if source.weights else without_guards(source.proto)
        if bare is None:
            return source
        self.guarded = bare.inputs
        return source._replace(proto=bare.proto, model=bare.proto.SerializeToString())

    def load(self, source: Source, device: Device) -> Any:
        """Returns onnxruntime's session of a model that was read.

        Raises:
            FileError: onnxruntime does not load it.
            RuntimeUnavailableError: there is no such device.
        """
        options = onnxruntime.SessionOptions()
        # Errors are raised as exceptions; logging would show them a second time.
        options.log_severity_level = 4
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        options.enable_cpu_mem_arena = options.enable_mem_pattern = self._arena
        said = load_libraries(device)
        if source.weights:
            options.add_external_initializers(list(source.weights), list(source.weights.values()))
        providers = select(device, options)
        try:
            with turn(device):
                session = onnxruntime.InferenceSession(source.model, options, providers=providers)
        except Exception as error:  # onnxruntime raises its own exception types
            if device.kind != "cpu" and self._loads(source):
                raise RuntimeUnavailableError(
                    f"device {str(device)!r} asked for, but onnxruntime cannot load {source.name} there: {error}; or "
                    "use device='cpu'"
                ) from error
            raise FileError(f"{source.name} cannot be loaded by onnxruntime: {error}") from error
        require(device, session, said)
        return session

    def _loads(self, source: Source) -> bool:
        """Returns whether the model loads on the CPU, so that a failure is the device's."""
        try:
            self.load(source, Device("cpu"))
        except FileError:
            return False
        return True

    def load_whole(self, device: Device) -> Any:
        """Returns onnxruntime's session of the model with its guards, whose operators also accept an empty batch.

        Raises:
            LucidError: its file was changed since it was read first.
        """
        source = self._read()
        return self.load(source._replace(model=without_aborts(source.proto).SerializeToString()), device)

    def _read(self) -> Source:
        source = read_model(self._model, self._verify)
        written = source.written()
        if self._written is not None and written != self._written:
            raise LucidError(
                f"Session: {source.name} has changed since this session was created, and has to be read once more, for "
                "a forked process or for numbers beyond 1e12; create the session anew"
            )
        self._written = written
        return source
