"""Which of several candidates is the fastest."""

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
"""After how many seconds the threads of a session are at rest: they spin for a while, waiting for more to do."""

_WARM = 0.02
"""For how many seconds a core that was at rest is slow."""

_BUDGET = 5.0
"""After how many seconds no further round begins."""

_SHORT, _LEAD = 0.1, 1.2
"""A call below so many seconds that is spread over threads has to be faster by so much than one that is not.

On a virtual machine it takes twice as long from one second to the next, and for minutes, where the host moves the cores
apart: to hand over an operator, and hundreds of small ones make a call, takes microseconds more then.
"""


def fastest(candidates: Sequence[Candidate], arrays: Sequence[Array], shapes: Shapes, rounds: int) -> Candidate:
    """Which of them takes the least time on these inputs.

    Those of one thread an operator have their turns first, one after the other. The best of them is then held against
    each of the others, side by side: a machine may be twice as slow a moment later.

    Args:
        candidates: what there is to choose from.
        arrays: the inputs.
        shapes: their shapes.
        rounds: how often each may have to show what it takes.
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
    """Each has a turn, and the better half of them, two at least, one more in each further round: a slow moment of the
    machine shall decide nothing. Where calls are long there are fewer rounds.

    Args:
        left: who takes part.
        given: the inputs.
        rounds: how many there are.
        pause: for how many seconds to wait before each turn, so that the threads of the one before come to rest; they
            slow down another session several times.

    Returns:
        The fastest, and its seconds.
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
    """How much faster than the best a candidate is, the lead that it needs taken off: the least of several times."""
    least = float("inf")
    for _ in range(rounds):
        time.sleep(_SETTLE)
        _warmed(best, given)
        least = min(least, _ratio(best.seconds(*given), candidate.seconds(*given)) / _LEAD)
        if least < 1.0:
            break
    return least


def _ratio(own: float, other: float) -> float:
    return own / max(other, 1e-9)  # a clock may stand still for that long


def _warmed(candidate: Candidate, given: tuple[Any, Any]) -> None:
    end = time.perf_counter() + _WARM
    while time.perf_counter() < end:
        candidate.run(*given)
