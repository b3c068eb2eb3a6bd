"""Choice: the fastest way for a class of shapes, found piece by piece while calls are answered."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ExportError
from ...malloc import return_pages
from .autotune import fastest
from .candidate import Candidate, Way
from .parts import Shapes

if TYPE_CHECKING:
    from .dispatch import Signature

__all__ = ["Choice"]

Array = np.ndarray[Any, Any]

_PIECE = 0.1
"""The seconds after which a piece ends; an export always ends one."""


_LONG = 0.05
"""The seconds of a call from which on its memory counts more than the time that it takes to get it from the system."""


class Choice:
    """The choice of the fastest way for a class of shapes.

    It is made in pieces, one in each call: an export runs the model's code, so no other thread may make it while the
    program trains the model. Between two pieces the model may change; what the choice knows does not depend on that.

    Args:
        signature: what exports the model.
        first: the candidate that serves meanwhile.
        arrays: inputs; they are copied, since the program may overwrite them.
        shapes: their shapes.
        kept: the way that was the fastest in an earlier process, if the first candidate is only a stage of it.

    Attributes:
        way: the way of that candidate; once the choice stands, the fastest.
    """

    def __init__(
        self,
        signature: Signature,
        first: Candidate,
        arrays: Sequence[Array],
        shapes: Shapes,
        kept: Way | None = None,
    ) -> None:
        self.way = first.way
        self.arrays = [array.copy() for array in arrays]
        self.shapes = shapes
        self._signature = signature
        self._steps = self._chosen(first) if kept is None else self._resumed(kept)
        self._begun = False

    def advance(self, signature: Signature, whole: bool) -> bool:
        """Makes the next piece, or all that are left if `whole`; returns whether the choice stands.

        Args:
            signature: what exports the model as it is now.
            whole: whether to make all of them.
        """
        self._signature = signature
        end = inf if whole else time.perf_counter() + _PIECE
        elsewhere = True
        try:
            while True:
                exported = self._steps.send(elsewhere if self._begun else None)
                self._begun, elsewhere = True, False
                if not whole and (exported or time.perf_counter() > end):
                    return False
        except StopIteration as stop:
            self.way = stop.value
            return True

    def made(self, way: Way) -> Candidate:
        """Returns the candidate for a way, of the model as it is now."""
        return self._signature.made_for(way, self.arrays, self.shapes)

    def _resumed(self, way: Way) -> Generator[bool, bool | None, Way]:
        """Exports the model for a way that is known to be the fastest; returns another if it does not apply."""
        self.made(way)
        yield True
        return self.made(way).way

    def _chosen(self, first: Candidate) -> Generator[bool, bool | None, Way]:
        """Exports the model with every lowering that suits these inputs, and times the candidates.

        Yields:
            Whether it has exported the model.
        """
        lowerings, given = [], (self.arrays, self.shapes)
        for way in self._signature.whole_ways(first, *given):
            # The lowering may not apply to this model, such as the RNN operator in float64.
            with suppress(ExportError):
                before = self._signature.exports
                self.made(way)
                lowerings.append(way.lowering)
            if self._signature.exports > before:
                yield True
        entrants = [_Entrant(self, way) for way in self._signature.ways(first, lowerings, *given)]
        for entrant in entrants:
            before = self._signature.exports
            entrant.run(*given)
            return_pages()
            yield self._signature.exports > before
        rounds = 3 if self._signature.compiled.trains else 2
        best = yield from fastest(entrants, *given, rounds)
        for way in self._signature.further(best.way):
            if self.made(way).way == way:
                yield True
                other = _Entrant(self, way)
                best = other if self._signature.is_ahead(way) else (yield from fastest([best, other], *given, rounds))
        return best.way


class _Entrant:
    """A way in the course of a choice: its candidate is looked up each time, since the model may have changed."""

    def __init__(self, choice: Choice, way: Way) -> None:
        self._choice = choice
        self.way = way
        self.steady = way.threads == 1
        self.frugal = way.lowering == "numpy"
        self._taken = 0.0

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> None:
        self._choice.made(self.way).run(arrays, shapes)

    def seconds(self, arrays: Sequence[Array], shapes: Shapes) -> float:
        if self._taken > _LONG:
            return_pages()  # those of the candidate before, which would add up
        self._taken = self._choice.made(self.way).seconds(arrays, shapes)
        return self._taken
