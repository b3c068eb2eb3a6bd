"""Bound: runs a training step on the memory of its state, without copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime

from ...errors import LucidError
from ...export.training.state import PREFIX
from ..session.buffer import caller
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

    Outputs of fixed shape have buffers, which the next call overwrites: those that are not the next values of a state
    are copied. A buffer is never the memory of an input: onnxruntime may write a new parameter before the last operator
    has read the old one.

    Args:
        session: the session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.unbind()
        watch(self)

    def _forked(self) -> None:
        self.unbind()  # it belongs to a session of the parent

    def unbind(self) -> None:
        """Drops what is bound."""
        self._io: Any = None
        self._call: Callable[[], None]
        self._inputs: list[Array | None] = []
        self._outputs: list[Array | None] = []
        # The outputs that are returned as copies, and those that have no buffer.
        self._copied: list[int] = []
        self._free: list[int] = []
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
        if shapes not in self._shapes:
            results = session.run(arrays, shapes)
            if len(self._shapes) >= _KEPT:
                self._shapes.clear()
            # An empty batch, and elements that must be bounded, are for the session, which has other graphs for them.
            # So is another device: onnxruntime copies an input there when it is bound, not when the model runs.
            bare = session.device.kind == "cpu" and not session.guarded
            if bare and not any(0 in shape for shape in shapes):
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
        for i in self._free:  # anew: onnxruntime would reuse the memory of the last run
            io.bind_output(self._session.outputs[i].name)
        self._call()
        results: list[Any] = self._outputs.copy()
        for i in self._copied:
            results[i] = results[i].copy()
        if self._free:
            values = io.get_outputs()
            for i in self._free:
                results[i] = np.asarray(values[i].numpy())
        return results

    def _bind(self) -> None:
        """Binds buffers to the outputs of fixed shape."""
        session = self._session
        self._io = io = session._session.io_binding()
        self._call = caller(session._session, io)
        self._inputs = [None] * len(session.inputs)
        self._outputs, self._copied, self._free = [], [], []
        for i, spec in enumerate(session.outputs):
            shape = resolve(spec, {})
            buffer = None if shape is None else np.zeros(shape, spec.dtype)
            self._outputs.append(buffer)
            if buffer is None:
                self._free.append(i)
                io.bind_output(spec.name)  # in order, since onnxruntime returns them in the order of binding
                continue
            io.bind_ortvalue_output(spec.name, onnxruntime.OrtValue.ortvalue_from_numpy(buffer))
            if not spec.name.startswith(PREFIX):
                self._copied.append(i)
