"""Parts: where the time of a training step goes."""

from __future__ import annotations

import cProfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import CodeType
from typing import Any

import lucid

from .case import Case, cases
from .command import command
from .contenders.lucid import train
from .contenders.numpy import training_products
from .options import Options
from .result import Result, Row
from .rounds import chosen, say

__all__ = ["measure"]

OPS = {"tanh": "rnn", "relu": "rnn", "lstm": "lstm", "gru": "gru"}
PARTS = ("forward", "backward", "other products", "Adam")
COLUMNS = ("step", *PARTS, "rest", "all products alone")
PACKAGE = Path(lucid.__file__).parent


def measure(options: Options) -> Result:
    """Measures a training step's forward loop, backward loop, other matrix products, Adam, and the rest."""
    rows = []
    for case in chosen(cases(options.quick, stacked=False), options):
        rows.append(Row(str(case), taken_apart(case, options)))
        say(f"{case}: " + ", ".join(f"{name} {1e3 * median(n):.3g}" for name, n in rows[-1].values.items()) + " ms")
    note = (
        "the parts add up to the step, which a profiler watches; the products alone are all matrix products of a step, "
        "those in the loops included"
    )
    return Result("parts", "Where the time of a training step goes", list(COLUMNS), rows, notes=[note], compared=False)


def taken_apart(case: Case, options: Options) -> dict[str, list[float]]:
    """Returns the seconds of a step and of its parts, round by round."""
    step, products = train(case).run, training_products(case).run
    for run in (step, step, products):
        run()
    calls = max(2, round(options.seconds / min(seconds(step, 1) for _ in range(3))))
    found: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for _ in range(options.rounds):
        # Without built-in functions, the profiler does almost nothing within a loop over time.
        profile = cProfile.Profile(builtins=False)
        profile.enable()
        whole = seconds(step, calls)
        profile.disable()
        parts = dict.fromkeys(PARTS, 0.0)
        for entry in profile.getstats():
            if (part := part_of(entry.code, OPS[case.kind])) is not None:
                parts[part] += entry.totaltime / calls
        found["step"].append(whole)
        for part, taken in parts.items():
            found[part].append(taken)
        found["rest"].append(whole - sum(parts.values()))
        found["all products alone"].append(seconds(products, calls))
    return found


def part_of(code: CodeType | str, op: str) -> str | None:
    """Returns the part that a function computes, or None; these functions do not call each other."""
    if not isinstance(code, CodeType) or not Path(code.co_filename).is_relative_to(PACKAGE):
        return None
    place = Path(code.co_filename).relative_to(PACKAGE).parent.name, code.co_name
    known = {
        ("ops", op): "forward",
        ("ops", f"{op}_backward"): "backward",
        ("ops", "matmul"): "other products",
        ("ops", "weight_gradient"): "other products",
        ("ops", "recurrent_weight_gradient"): "other products",
        ("optim", "step"): "Adam",
    }
    return known.get(place)


def seconds(run: Callable[[], Any], calls: int) -> float:
    """Returns the mean seconds of `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


if __name__ == "__main__":
    command(measure)
