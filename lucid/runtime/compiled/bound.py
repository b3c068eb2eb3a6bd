"""Bound: runs a training step on the memory of its state, without copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from ...errors import LucidError
from ...export.training.state import PREFIX
from ..session.buffer import OPTIONS
from ..session.fork import watch
from ..session.session import Session
from ..session.spec import resolve
from .parts import Shapes

__all__ = ["Bound"]

Array = np.ndarray[Any, Any]

_KEPT = 64
"""The number of input shapes that are known to fit."""


class Bound:
    """Runs a session whose inputs are arrays that mostly stay the same: they are bound to onnxruntime once.

    The next values of a state have buffers, which the next call overwrites. They are never the memory of an input:
    onnxruntime may write a new parameter before the last operator has read the old one.

    Args:
        session: the session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._forked()
        watch(self)

    def _forked(self) -> None:
        """Drops what is bound: it belongs to a session of the parent."""
        self._io: Any = None
        self._inputs: list[Array | None] = [None] * len(self._session.inputs)
        self._outputs: list[Array | None] = []
        self._shapes: set[Shapes] = set()

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """Runs the model.

        Args:
            arrays: the inputs in order.
            shapes: their shapes.

        Raises:
            ShapeError: an input does not fit. LucidError: onnxruntime failed.
        """
        session = self._session
        if not session.binds or shapes not in self._shapes:
            results = session.run(arrays, shapes)
            if len(self._shapes) >= _KEPT:
                self._shapes.clear()
            self._shapes.add(shapes)
            return results
        session.check_elements(arrays)
        try:
            return self._run(arrays)
        except Exception as error:  # onnxruntime raises its own exception types
            self._io = None
            raise LucidError(f"onnxruntime failed on inputs of shapes {list(shapes)}: {error}") from error

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        if self._io is None:
            self._bind()
        io = self._io
        bound = self._inputs
        for i, (spec, array) in enumerate(zip(self._session.inputs, arrays, strict=True)):
            if array is not bound[i]:
                # Kept, since onnxruntime does not. What is not contiguous is copied, and hence bound anew each time.
                bound[i] = kept = np.asarray(array, order="C")
                io.bind_ortvalue_input(spec.name, onnxruntime.OrtValue.ortvalue_from_numpy(kept))
        free = [i for i, buffer in enumerate(self._outputs) if buffer is None]
        for i in free:  # anew: onnxruntime would reuse the memory of the last run
            io.bind_output(self._session.outputs[i].name)
        self._session._session.run_with_iobinding(io, OPTIONS)
        results = list(self._outputs)
        if free:
            values = io.get_outputs()
            for i in free:
                results[i] = np.asarray(values[i].numpy())
        return results  # type: ignore[return-value]

    def _bind(self) -> None:
        """Binds buffers to the next values of the state."""
        self._io = self._session._session.io_binding()
        self._inputs = [None] * len(self._session.inputs)
        self._outputs = []
        for spec in self._session.outputs:
            shape = resolve(spec, {}) if spec.name.startswith(PREFIX) else None
            buffer = None if shape is None else np.zeros(shape, spec.dtype)
            self._outputs.append(buffer)
            if buffer is None:
                self._io.bind_output(spec.name)  # in order, since onnxruntime returns them in the order of binding
            else:
                self._io.bind_ortvalue_output(spec.name, onnxruntime.OrtValue.ortvalue_from_numpy(buffer))
