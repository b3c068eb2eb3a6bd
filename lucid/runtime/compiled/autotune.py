"""Autotuning: times candidates and finds the fastest."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from .parts import Shapes

__all__ = ["Timed", "fastest"]

Array = np.ndarray[Any, Any]

_SETTLE = 0.06
"""The seconds after which the threads of a session are idle: they spin for a while, waiting for work."""

_WARM = 0.02
"""The seconds for which a core that was idle is slow."""

_BUDGET = 5.0
"""The seconds of timing after which no further round starts."""

_SHORT, _LEAD = 0.1, 1.2
"""Below `_SHORT` seconds, a multithreaded call must be faster than a single-threaded one by the factor `_LEAD`.

A call consists of hundreds of small operators. If the host of a virtual machine moves the cores apart, each handover of
an operator to another core takes microseconds longer, and a multithreaded call twice as long, for minutes.
"""


_FRUGAL = 1.1
"""Above `_SHORT` seconds, by what factor a call may take longer that takes much less memory."""


class Timed(Protocol):
    """What can be timed.

    Attributes:
        steady: whether it runs on one thread per operator.
        frugal: whether it takes much less memory than the others.
    """

    @property
    def steady(self) -> bool: ...

    @property
    def frugal(self) -> bool: ...

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> Any:
        """Runs once."""

    def seconds(self, arrays: Sequence[Array], shapes: Shapes) -> float:
        """Returns the time of a call."""


T = TypeVar("T", bound=Timed)


def fastest(
    candidates: Sequence[T], arrays: Sequence[Array], shapes: Shapes, rounds: int
) -> Generator[bool, bool | None, T]:
    """Finds the candidate that takes the least time on these inputs; the generator returns it.

    Candidates with one thread per operator are timed first, one after the other. The fastest is then compared with each
    of the others, side by side: a machine may be twice as slow a moment later.

    Args:
        candidates: the candidates.
        arrays: the inputs.
        shapes: their shapes.
        rounds: the maximum number of timings per candidate.

    Yields:
        False after each timing. It is sent whether the program did something else meanwhile.
    """
    if len(candidates) == 1:
        return candidates[0]
    given = arrays, shapes
    steady = [candidate for candidate in candidates if candidate.steady]
    spread = [candidate for candidate in candidates if not candidate.steady]
    if not steady:
        best, _ = yield from _knocked_out(spread, given, rounds)
        return best
    best, taken = yield from _knocked_out(steady, given, rounds)
    ahead = {best: 1.0}
    for candidate in spread:
        if taken > _SHORT:
            ahead[candidate] = _ratio(taken, candidate.seconds(*given)) * (_FRUGAL if candidate.frugal else 1.0)
            yield False
        else:
            ahead[candidate] = yield from _lead(candidate, best, given, rounds)
    return max(ahead, key=ahead.__getitem__)


def _knocked_out(
    left: Sequence[T], given: tuple[Any, Any], rounds: int
) -> Generator[bool, bool | None, tuple[T, float]]:
    """Times all candidates, then the faster half of them, but at least two, again in each further round.

    Several rounds keep a slow moment of the machine from deciding. If calls are long, there are fewer rounds. Threads
    of an earlier candidate, or of the program, that still spin make a session several times slower, so they are given
    time to become idle.

    Args:
        left: the candidates; either all are steady or none is.
        given: the inputs and their shapes.
        rounds: the number of rounds.

    Returns:
        The fastest candidate, and its time in seconds.
    """
    taken = dict.fromkeys(left, float("inf"))
    spent = 0.0
    restless: bool | None = True
    for _ in range(rounds):
        for candidate in left:
            if restless or not candidate.steady:
                time.sleep(_SETTLE)
            if restless and candidate.steady:
                _warmed(candidate, given)
            begin = time.perf_counter()
            taken[candidate] = min(taken[candidate], candidate.seconds(*given))
            spent += time.perf_counter() - begin
            restless = yield False
        left = sorted(left, key=taken.__getitem__)[: max(2, (len(left) + 1) // 2)]
        if spent > _BUDGET:
            break
    return left[0], taken[left[0]]


def _lead(candidate: T, best: T, given: tuple[Any, Any], rounds: int) -> Generator[bool, bool | None, float]:
    """Returns the least of several measurements of a candidate's speedup over the best, divided by `_LEAD`."""
    least = float("inf")
    for _ in range(rounds):
        time.sleep(_SETTLE)
        _warmed(best, given)
        least = min(least, _ratio(best.seconds(*given), candidate.seconds(*given)) / _LEAD)
        yield False
        if least < 1.0:
            break
    return least


def _ratio(own: float, other: float) -> float:
    return own / max(other, 1e-9)  # a coarse clock may not advance in that time


def _warmed(candidate: Timed, given: tuple[Any, Any]) -> None:
    end = time.perf_counter() + _WARM
    while time.perf_counter() < end:
        candidate.run(*given)
