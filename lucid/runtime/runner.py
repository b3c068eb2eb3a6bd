"""Runner: an export in a session, and which of several is the fastest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..export.exported import Exported
from .device import Device
from .flat import Flat
from .parts import Parts, Shapes
from .session import Session

__all__ = ["Runner", "fastest"]

Array = np.ndarray[Any, Any]

_TURN = 0.01
"""For how many seconds each candidate is timed."""

_LONG = 0.1
"""From how many seconds on a call, repeated once, says enough."""

_ROUNDS = 5.0
"""After how many seconds no further round begins."""

_SETTLE = 0.06
"""After how many seconds the threads of a session are at rest: they spin for a while, waiting for more to do."""


class Runner:
    """An export in a session.

    Attributes:
        lowering: how recurrent layers were lowered.
        threads: over how many threads the session spreads an operator; None for onnxruntime's own choice.
        parts: into how many parts a batch is cut, if it can be; they run side by side.
        flat: the function that was exported.
    """

    def __init__(
        self, exported: Exported, device: str | Device, threads: int | None, parts: int, lowering: str, flat: Flat
    ) -> None:
        self.exported = exported
        # A choice outlives a change of the model, after which batches may not be separable any more.
        separation = exported.separation if parts > 1 else None
        model = exported if separation is None else exported.part()
        # A training step makes arrays by the dozen of whole sequences, and several sessions would keep as many of them.
        self.session = Session(model, device, threads=threads, arena=not exported.parameters)
        self.lowering = lowering
        self.threads = threads
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


def fastest(runners: Sequence[Runner], arrays: Sequence[Array], shapes: Shapes, rounds: int) -> Runner:
    """Which of them takes the least time. Each has a turn, and the better half of them, two at least, one more in each
    further round: a slow moment of the machine shall decide nothing. Where calls are long there are fewer rounds."""
    taken = dict.fromkeys(runners, float("inf"))
    left = list(runners)
    begin = time.perf_counter()
    for _ in range(rounds if len(left) > 1 else 0):
        if time.perf_counter() - begin > _ROUNDS:
            break
        for runner in left:
            # The threads of one session, that still spin, slow down another several times.
            time.sleep(_SETTLE)
            taken[runner] = min(taken[runner], runner.seconds(arrays, shapes))
        left = sorted(left, key=taken.__getitem__)[: max(2, (len(left) + 1) // 2)]
    return left[0]
