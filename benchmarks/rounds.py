"""Rounds: contenders take one turn each per round, so that medians and ratios are robust to drift of the machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import count
from statistics import median
from typing import Any

from .agreement import TOLERANCE, disagreement
from .contender import Contender, available
from .options import Options
from .result import Row
from .worker import Worker, WorkerError

__all__ = ["LeftOut", "chosen", "compare", "prepare", "say", "take_turns"]

SETTLE = 0.1
"""Seconds before each turn, and before a contender is prepared: threads of OpenMP, OpenBLAS and ONNX Runtime spin for a
while after their last work, those of ONNX Runtime for 50 ms."""

MOST_CALLS = 2000


def compare(
    contenders: Sequence[Contender], cases: Iterable[Any], options: Options, tolerance: float = TOLERANCE
) -> tuple[list[Row], list[str]]:
    """Runs all contenders on all cases; returns a row per case, and notes on what was left out.

    On each case, a contender must agree with the first one that can do it at all, or it is not timed.
    """
    found, notes = available(contenders, options.against)
    left_out = LeftOut()
    rows = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(contender)) for contender in found]
        for case in chosen(cases, options):
            ready = prepare(workers, case, left_out, tolerance)
            rows.append(Row(str(case), take_turns(ready, options)))
            middles = (f"{name} {1e3 * median(seconds):.3g}" for name, seconds in rows[-1].values.items())
            say(f"{case}: {', '.join(middles)} ms")
    return rows, notes + left_out.notes()


class LeftOut:
    """The contenders that were left out, of which cases, and why."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str], list[str]] = {}

    def add(self, name: str, case: Any, why: str, details: str = "") -> None:
        """Adds an entry; the details are printed when the reason is new."""
        if (name, why) not in self._cases and details:
            say(details)
        self._cases.setdefault((name, why), []).append(str(case))

    def notes(self) -> list[str]:
        """Returns one sentence per reason."""
        return [f"{name} is left out of {'; '.join(cases)}: {why}" for (name, why), cases in self._cases.items()]


def chosen(cases: Iterable[Any], options: Options) -> list[Any]:
    """Returns the requested cases."""
    return [case for case in cases if options.only in str(case)]


def prepare(workers: Sequence[Worker], case: Any, left_out: LeftOut, tolerance: float = TOLERANCE) -> list[Worker]:
    """Returns the workers that can do the case and agree; each of the others is noted."""
    ready = []
    reference = None
    for worker in workers:
        time.sleep(SETTLE)
        try:
            worker.prepare(case)
            results = worker.results()
        except WorkerError as error:
            left_out.add(worker.contender.name, case, str(error), error.details)
            continue
        if results:
            wrong = "" if reference is None else disagreement(results, reference, tolerance)
            if wrong:
                left_out.add(worker.contender.name, case, f"it {wrong}")
                continue
            reference = reference or results
        ready.append(worker)
    return ready


def take_turns(workers: Sequence[Worker], options: Options) -> dict[str, list[float]]:
    """Returns the median seconds of a call for each contender and round; the first one to run changes every round."""
    calls = {}
    for worker in workers:
        worker.time(2)
        once = min(worker.time(3))
        calls[worker.contender.name] = max(1, min(MOST_CALLS, round(options.seconds / once)))
    taken: dict[str, list[float]] = {worker.contender.name: [] for worker in workers}
    end = time.perf_counter() + (options.case_seconds if workers else 0)
    for i in count():
        if i >= options.rounds and time.perf_counter() > end:
            break
        first = i % max(1, len(workers))
        for worker in [*workers[first:], *workers[:first]]:
            time.sleep(SETTLE)
            n = calls[worker.contender.name]
            taken[worker.contender.name].append(median(worker.time(n, warm=min(3, n - 1))))
    return taken


def say(text: str) -> None:
    """Prints progress to stderr, apart from the results."""
    print(text, file=sys.stderr, flush=True)
