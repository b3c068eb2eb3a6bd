"""Candidate: an export in a session."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...export.exported import Exported
from ..session.device import Device
from ..session.session import Session
from .flattened import Flattened
from .parts import Parts, Shapes

__all__ = ["Candidate"]

Array = np.ndarray[Any, Any]

_TURN = 0.01
"""For how many seconds each candidate is timed."""

_LONG = 0.1
"""From how many seconds on a call, repeated once, says enough."""


class Candidate:
    """An export in a session.

    Attributes:
        lowering: how recurrent layers were lowered.
        threads: over how many threads the session spreads an operator; None for onnxruntime's own choice.
        steady: whether that is one, so that no operator waits for other threads.
        parts: into how many parts a batch is cut, if it can be; they run side by side.
        flat: the function that was exported.
    """

    def __init__(
        self, exported: Exported, device: str | Device, threads: int | None, parts: int, lowering: str, flat: Flattened
    ) -> None:
        self.exported = exported
        # A choice outlives a change of the model, after which batches may not be separable any more.
        separation = exported.separation if parts > 1 else None
        model = exported if separation is None else exported.part()
        # A training step makes arrays by the dozen of whole sequences, and several sessions would keep as many of them.
        self.session = Session(model, device, threads=threads, arena=not exported.parameters)
        self.lowering = lowering
        self.threads = threads
        self.steady = threads == 1
        self.parts = parts
        self.flat = flat
        self._run = self.session.run
        if separation is not None:
            self._run = Parts(self.session, separation, parts).run
        self._parameters = tuple(exported.parameters.values())
        self._shapes = tuple([parameter.shape for parameter in self._parameters])

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """What the function gives for such inputs, and for its parameters as they are now."""
        if self._parameters:
            arrays = [*arrays, *[parameter._data for parameter in self._parameters]]
        return self._run(arrays, shapes + self._shapes)

    def takes(self, shapes: Shapes) -> bool:
        """Whether the session takes inputs of such shapes."""
        try:
            self.session.check(shapes + self._shapes)
        except ShapeError:
            return False
        return True

    def seconds(self, arrays: Sequence[Array], shapes: Shapes) -> float:
        """How long a call takes, in the median: at best a call on several threads takes what it rarely does."""

        def timed() -> float:
            begin = time.perf_counter()
            self.run(arrays, shapes)
            return time.perf_counter() - begin

        if timed() > _LONG:
            return timed()
        timed()  # the first two calls make the buffers
        taken, end = [timed(), timed(), timed()], time.perf_counter() + _TURN
        while time.perf_counter() < end:
            taken.append(timed())
        return median(taken)
