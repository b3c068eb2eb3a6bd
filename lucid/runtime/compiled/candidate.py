"""Candidate: an export loaded into a session, for autotuning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from ...errors import ExportError, LucidError, ShapeError
from ...export.exported import Exported
from ...ops.generator import default_generator
from ..session.device import Device
from ..session.fork import unload
from ..session.session import Session
from .bound import Bound
from .flattened import Flattened
from .parts import Parts, Shapes
from .replayed import Replayed, is_replayable

__all__ = ["Candidate", "Way"]

Array = np.ndarray[Any, Any]

_TURN = 0.01
"""The seconds for which each candidate is timed."""

_LONG = 0.05
"""A call that takes more seconds than this is not repeated."""

_NO_SEED = np.zeros((), np.int64)
"""The seed of calls that are timed."""


class Way(NamedTuple):
    """A way to run a model.

    Attributes:
        lowering: the lowering of recurrent layers; "numpy" if the graph runs in NumPy.
        threads: the number of threads per operator; None for onnxruntime's default.
        parts: the number of parts that a batch is split into, if possible; they run side by side.
        updates: whether the graph of a training step also updates the parameters.
    """

    lowering: str
    threads: int | None
    parts: int = 1
    updates: bool = False

    @property
    def exported(self) -> str:
        """The lowering that the model is exported with."""
        return "scan" if self.lowering == "numpy" else self.lowering


class Candidate:
    """An export loaded into a session.

    Attributes:
        way: the way to run it; its fields are attributes, too.
        steady: whether there is one thread per operator, so that no operator waits for other threads.
        flat: the exported function.
        draws: the number of its random draws in a call; if it has any, a call is a `step`.
    """

    def __init__(self, exported: Exported, device: str | Device, way: Way, flat: Flattened) -> None:
        self.exported = exported
        self.way = way
        self.lowering, self.threads, self.parts, _ = way
        self.steady = way.threads == 1
        self.flat = flat
        # Autotuning results survive a change of the model, after which batches may no longer be separable.
        separation = exported.separation if way.parts > 1 else None
        model = exported if separation is None else exported.part()
        # A training step allocates dozens of arrays of whole sequences, and an arena would keep them in each session.
        self.session = Session(model, device, threads=way.threads, arena=not exported.parameters)
        self._bound: Bound | None = None
        self._run = self.session.run
        if separation is not None:
            self._run = Parts(self.session, separation, way.parts).run
        elif way.lowering == "numpy":
            if (graph := exported._graph) is None or not is_replayable(graph):
                raise ExportError("the model has come to hold a scan, which NumPy does not run op by op")
            self._run = Replayed(graph, self.session).run
            unload(self.session)
        elif way.updates:
            self._bound = Bound(self.session)
            self._run = self._bound.run
        self._parameters = tuple(exported.parameters.values())
        self._shapes: Shapes = tuple([parameter.shape for parameter in self._parameters])
        if (resident := flat.runner(self.session, exported.parameters)) is not None:
            self._run, self._parameters = resident.run, ()
        self.draws = exported.draws
        if self.draws:
            self._shapes = (*self._shapes, ())

    def run(self, arrays: Sequence[Array], shapes: Shapes, seed: Array = _NO_SEED) -> list[Array]:
        """Runs the function on these inputs, on the current values of its parameters, and with a seed if it draws."""
        if self._parameters:
            arrays = [*arrays, *[parameter._data for parameter in self._parameters]]
        if self.draws:
            arrays = [*arrays, seed]
        return self._run(arrays, shapes + self._shapes)

    def unload(self) -> None:
        """Frees onnxruntime's session; the next run loads it."""
        if self._bound is not None:
            self._bound.unbind()
        unload(self.session)

    def step(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """Runs the function, which draws, as the next step of lucid's generator.

        Raises:
            LucidError: the generator is no longer counter-based.
        """
        generator = default_generator()
        if generator._counter() is None:
            raise LucidError(
                "the compiled model draws random numbers, which a file does only as a counter-based generator; seed it "
                "by lucid.manual_seed(seed, generator='counter')"
            )
        generator.begin_step()
        counter = generator._counter()
        assert counter is not None
        counter.draw = self.draws
        return self.run(arrays, shapes, counter.key._data)

    def takes(self, shapes: Shapes) -> bool:
        """Returns whether the session accepts inputs of these shapes."""
        try:
            self.session.check(shapes + self._shapes)
        except ShapeError:
            return False
        return True

    def seconds(self, arrays: Sequence[Array], shapes: Shapes) -> float:
        """Returns the median time of a call: a call on several threads rarely reaches its minimum."""

        def timed() -> float:
            begin = time.perf_counter()
            self.flat.rehearse(self.run(arrays, shapes))
            return time.perf_counter() - begin

        if (once := timed()) > _LONG:
            return once
        again = timed()  # the first two calls allocate the buffers
        if again > _TURN:
            return again
        taken, end = [timed(), timed(), timed()], time.perf_counter() + _TURN
        while time.perf_counter() < end:
            taken.append(timed())
        return median(taken)
