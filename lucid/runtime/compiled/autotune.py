"""Autotuning: times candidate sessions and keeps the fastest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .candidate import Candidate
from .parts import Shapes

__all__ = ["fastest"]

Array = np.ndarray[Any, Any]

_SETTLE = 0.06
"""The seconds after which the threads of a session are idle: they spin for a while, waiting for work."""

_WARM = 0.02
"""The seconds for which a core that was idle is slow."""

_BUDGET = 5.0
"""The seconds after which no further round starts."""

_SHORT, _LEAD = 0.1, 1.2
"""Below `_SHORT` seconds, a multithreaded call must be faster than a single-threaded one by the factor `_LEAD`.

A call consists of hundreds of small operators. If the host of a virtual machine moves the cores apart, each handover of
an operator to another core takes microseconds longer, and a multithreaded call twice as long, for minutes.
"""


def fastest(candidates: Sequence[Candidate], arrays: Sequence[Array], shapes: Shapes, rounds: int) -> Candidate:
    """Returns the candidate that takes the least time on these inputs.

    Candidates with one thread per operator are timed first, one after the other. The fastest is then compared with each
    of the others, side by side: a machine may be twice as slow a moment later.

    Args:
        candidates: the candidates.
        arrays: the inputs.
        shapes: their shapes.
        rounds: the maximum number of timings per candidate.
    """
    if len(candidates) == 1:
        return candidates[0]
    given = arrays, shapes
    steady = [candidate for candidate in candidates if candidate.steady]
    spread = [candidate for candidate in candidates if not candidate.steady]
    if not steady:
        return _knocked_out(spread, given, rounds, _SETTLE)[0]
    time.sleep(_SETTLE)
    _warmed(steady[0], given)
    best, taken = _knocked_out(steady, given, rounds)
    ahead = {best: 1.0}
    for candidate in spread:
        if taken > _SHORT:
            ahead[candidate] = _ratio(taken, candidate.seconds(*given))
        else:
            ahead[candidate] = _lead(candidate, best, given, rounds)
    return max(ahead, key=ahead.__getitem__)


def _knocked_out(
    left: Sequence[Candidate], given: tuple[Any, Any], rounds: int, pause: float = 0.0
) -> tuple[Candidate, float]:
    """Times all candidates, then the faster half of them, but at least two, again in each further round.

    Several rounds keep a slow moment of the machine from deciding. If calls are long, there are fewer rounds.

    Args:
        left: the candidates.
        given: the inputs and their shapes.
        rounds: the number of rounds.
        pause: the seconds to wait before timing each candidate, so that the previous one's threads become idle; they
            make another session several times slower.

    Returns:
        The fastest candidate, and its time in seconds.
    """
    taken = dict.fromkeys(left, float("inf"))
    begin = time.perf_counter()
    for _ in range(rounds):
        for candidate in left:
            time.sleep(pause)
            taken[candidate] = min(taken[candidate], candidate.seconds(*given))
        left = sorted(left, key=taken.__getitem__)[: max(2, (len(left) + 1) // 2)]
        if time.perf_counter() - begin > _BUDGET:
            break
    return left[0], taken[left[0]]


def _lead(candidate: Candidate, best: Candidate, given: tuple[Any, Any], rounds: int) -> float:
    """Returns the least of several measurements of a candidate's speedup over the best, divided by `_LEAD`."""
    least = float("inf")
    for _ in range(rounds):
        time.sleep(_SETTLE)
        _warmed(best, given)
        least = min(least, _ratio(best.seconds(*given), candidate.seconds(*given)) / _LEAD)
        if least < 1.0:
            break
    return least


def _ratio(own: float, other: float) -> float:
    return own / max(other, 1e-9)  # a coarse clock may not advance in that time


def _warmed(candidate: Candidate, given: tuple[Any, Any]) -> None:
    end = time.perf_counter() + _WARM
    while time.perf_counter() < end:
        candidate.run(*given)
