"""Result: the measurements of a benchmark, with their targets, as a table and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from .table import table

__all__ = ["Finding", "Result", "Row", "geometric_mean", "ratio", "ratios"]


@dataclass
class Row:
    """One case: one number per round for each contender, seconds unless the result says otherwise."""

    case: str
    values: dict[str, list[float]]

    def middle(self, name: str) -> float | None:
        """Returns the median over the rounds, or None if the contender did not run."""
        return median(self.values[name]) if self.values.get(name) else None


@dataclass
class Finding:
    """A number that has a target.

    Attributes:
        measure: what was measured.
        target: the target.
        value: the number.
        met: whether the target is met; None if the number could not be measured.
    """

    measure: str
    target: str
    value: str
    met: bool | None

    @classmethod
    def at_least(cls, measure: str, target: float, value: float | None, unit: str = " ×") -> Finding:
        """Makes a finding of a number that should be large."""
        return cls(measure, f"≥ {target:g}{unit}", _shown(value, unit), None if value is None else value >= target)

    @classmethod
    def at_most(cls, measure: str, target: float, value: float | None, unit: str = " ×") -> Finding:
        """Makes a finding of a number that should be small."""
        return cls(measure, f"≤ {target:g}{unit}", _shown(value, unit), None if value is None else value <= target)

    @property
    def verdict(self) -> str:
        """Met, missed, or not measured."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


@dataclass
class Result:
    """The measurements of a benchmark.

    Attributes:
        name: the benchmark.
        title: what the rows have in common.
        contenders: the columns, lucid first.
        rows: the numbers.
        findings: the numbers that have a target.
        notes: what was left out, and why.
        options: how it was run.
        machine: where it was run.
        unit: the unit of the table, and how many of it one measured unit is.
        compared: whether columns show the time of each contender relative to the first.
    """

    name: str
    title: str
    contenders: list[str]
    rows: list[Row]
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    unit: tuple[str, float] = ("ms", 1e3)
    compared: bool = True

    def table(self) -> str:
        """Formats rows and findings as text."""
        head = ["case", *(f"{name}, {self.unit[0]}" for name in self.contenders)]
        rest = self.contenders[1:] if self.compared else []
        head += [f"{name} / {self.contenders[0]}" for name in rest]
        lines = [head]
        for row in self.rows:
            numbers = [row.middle(name) for name in self.contenders]
            cells = ["–" if n is None else _three(n * self.unit[1]) for n in numbers]
            times = [ratio(row, name, self.contenders[0]) for name in rest]
            lines.append([row.case, *cells, *("–" if r is None else f"{r:.2f}" for r in times)])
        parts = [table(lines)]
        if self.findings:
            parts.append(table([["measure", "target", "here", ""], *map(_cells, self.findings)]))
        return "\n\n".join([*parts, *(f"note: {note}" for note in self.notes)])

    def save(self, folder: Path) -> Path:
        """Writes the JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Result:
        """Reads the JSON."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["rows"] = [Row(**row) for row in data["rows"]]
        data["findings"] = [Finding(**finding) for finding in data["findings"]]
        data["unit"] = tuple(data["unit"])
        return cls(**data)


def ratio(row: Row, above: str, below: str) -> float | None:
    """Returns the ratio of two contenders' times: the median of the ratios of each round.

    Contenders take turns within a round, so that a temporary slowdown of the machine affects both.
    """
    a, b = row.values.get(above), row.values.get(below)
    return median([x / y for x, y in zip(a, b, strict=True)]) if a and b else None


def ratios(rows: Iterable[Row], above: str, below: str) -> list[float]:
    """Returns the ratio of each row that has both contenders."""
    return [r for row in rows if (r := ratio(row, above, below)) is not None]


def geometric_mean(numbers: Iterable[float | None]) -> float | None:
    """Returns the geometric mean of the numbers that are not None, or None if there are none."""
    logs = [math.log(n) for n in numbers if n is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


def _shown(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{_three(value)}{unit}"


def _three(n: float) -> str:
    """Formats a number with three digits, or more if there are more before the point."""
    return f"{n:.0f}" if abs(n) >= 100 else f"{n:.3g}"


def _cells(finding: Finding | Mapping[str, Any]) -> list[str]:
    assert isinstance(finding, Finding)
    return [finding.measure, finding.target, finding.value, finding.verdict]
