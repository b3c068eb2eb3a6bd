"""Overhead: the time that a library adds to one op."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .command import command
from .contender import Contender
from .operation import CALLS, OPERATIONS
from .options import Options
from .result import Finding, Result, Row
from .rounds import compare

__all__ = ["CONTENDERS", "findings", "measure"]

CONTENDERS = (
    Contender("numpy", "numpy:operation"),
    Contender("lucid", "lucid:operation", {"recorded": False}),
    Contender("lucid recorded", "lucid:operation", {"recorded": True}),
    Contender("torch", "torch:operation", {"recorded": False}, peer="torch"),
    Contender("torch recorded", "torch:operation", {"recorded": True}, peer="torch"),
    Contender("jax", "jax:operation", peer="jax"),
)


def measure(options: Options) -> Result:
    """Measures the microseconds of one op on a 4 × 4 array, recorded for gradients and not."""
    rows, notes = compare(CONTENDERS, OPERATIONS, options)
    for row in rows:
        row.values = {name: [s / CALLS for s in seconds] for name, seconds in row.values.items()}
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    title = "One op on a 4 × 4 array; recorded: for gradients"
    return Result("overhead", title, names, rows, findings(rows), notes, unit=("µs", 1e6))


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Returns the findings: the worst op, over NumPy's own call."""

    def added(name: str) -> float | None:
        over = [
            median([1e6 * (a - b) for a, b in zip(row.values[name], row.values["numpy"], strict=True)])
            for row in rows
            if row.values.get(name) and row.values.get("numpy")
        ]
        return max(over, default=None)

    return [
        Finding.at_most("an op under no_grad, over NumPy's own call, worst op", 1.5, added("lucid"), " µs"),
        Finding.at_most("an op recorded, over NumPy's own call, worst op", 4, added("lucid recorded"), " µs"),
    ]


if __name__ == "__main__":
    command(measure)
