"""Scaling: how the cost of a training step grows with time, batch and hidden size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .case import Case
from .command import command
from .contender import Contender
from .options import Options
from .picture import curves
from .result import Result
from .rounds import compare
from .train import CONTENDERS

__all__ = ["draw", "exponent", "measure"]

BASE = Case("tanh", 100, 32, 64, 128)
SWEEPS = {
    "time": ("T", (25, 50, 100, 200, 400, 800)),
    "batch": ("N", (1, 4, 16, 32, 64, 128, 256)),
    "hidden": ("H", (16, 32, 64, 128, 256, 512)),
}


def measure(options: Options) -> Result:
    """Measures a training step of the tanh layer with one size changed at a time, and fits the exponents."""
    cases = [varied(field, n) for field, n in _points(options.quick)]
    rows, notes = compare(CONTENDERS, cases, options)
    contenders: Sequence[Contender] = [c for c in CONTENDERS if any(c.name in row.values for row in rows)]
    by_case = {row.case: row for row in rows}
    for field, (letter, sizes) in SWEEPS.items():
        fitted = []
        for contender in contenders:
            points = [
                (n, value)
                for n in sizes
                if (row := by_case.get(str(varied(field, n)))) is not None
                and (value := row.middle(contender.name)) is not None
            ]
            if len(points) > 1:
                fitted.append(f"{contender.name} {exponent(points):.2f}, {exponent(points[-3:]):.2f} at the top")
        notes.append(f"exponent of {letter}, all sizes and the largest three: {'; '.join(fitted)}")
    title = f"Training step, tanh, one size changed at a time (from T, N, I, H = {str(BASE)[5:]})"
    return Result("scaling", title, [c.name for c in contenders], rows, [], notes)


def varied(field: str, n: int) -> Case:
    """Returns the base case with one size changed."""
    sizes: dict[str, Any] = {field: n}
    return replace(BASE, **sizes)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Returns the slope of the straight line through the logarithms of sizes and costs, by least squares."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def draw(result: Result, folder: Path) -> Path | None:
    """Draws one panel per size, in logarithmic scales."""
    place = {row.case: i for i, row in enumerate(result.rows)}
    panels = []
    for field, (letter, sizes) in SWEEPS.items():
        found = [(n, place.get(str(varied(field, n)))) for n in sizes]
        points = [(float(n), row) for n, row in found if row is not None]
        if points:
            panels.append((letter, points))
    return curves(result, panels, folder)


def _points(quick: bool) -> list[tuple[str, int]]:
    """Returns each size once: the base case belongs to all three sweeps."""
    found = [(field, n) for field, (_, sizes) in SWEEPS.items() for n in (sizes[:3] if quick else sizes)]
    base = [("time", BASE.time)]
    return base + [(field, n) for field, n in found if n != getattr(BASE, field)]


if __name__ == "__main__":
    command(measure, draw)
