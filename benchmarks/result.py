"""Result: what a benchmark measured, with its targets, as a table and as JSON."""

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
    """One case: for each contender one number a round, seconds unless the result says otherwise."""

    case: str
    values: dict[str, list[float]]

    def middle(self, name: str) -> float | None:
        """The median over the rounds, if the contender took part."""
        return median(self.values[name]) if self.values.get(name) else None


@dataclass
class Finding:
    """A number that there is a target for.

    Attributes:
        measure: what was measured.
        target: what it should be.
        value: what it is.
        met: whether it is what it should be; None if it could not be measured.
    """

    measure: str
    target: str
    value: str
    met: bool | None

    @classmethod
    def at_least(cls, measure: str, target: float, value: float | None, unit: str = " ×") -> Finding:
        """A number that should be large."""
        return cls(measure, f"≥ {target:g}{unit}", _shown(value, unit), None if value is None else value >= target)

    @classmethod
    def at_most(cls, measure: str, target: float, value: float | None, unit: str = " ×") -> Finding:
        """A number that should be small."""
        return cls(measure, f"≤ {target:g}{unit}", _shown(value, unit), None if value is None else value <= target)

    @property
    def verdict(self) -> str:
        """Met, missed, or not measured."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


@dataclass
class Result:
    """What a benchmark measured.

    Attributes:
        name: the benchmark.
        title: what the rows have in common.
        contenders: the columns, lucid first.
        rows: the numbers.
        findings: those that there is a target for.
        notes: what was left out, and why.
        options: how it was run.
        machine: where it was run.
        unit: the unit that the table shows, and how many of them one measured unit is.
        compared: whether columns show how many times more than the first contender each takes.
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
        """Rows and findings as text."""
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
        """Write the JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read the JSON."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["rows"] = [Row(**row) for row in data["rows"]]
        data["findings"] = [Finding(**finding) for finding in data["findings"]]
        data["unit"] = tuple(data["unit"])
        return cls(**data)


def ratio(row: Row, above: str, below: str) -> float | None:
    """How many times what one contender takes the other takes: the median of the ratios of each round.

    Contenders take turns within a round, so that whatever slows the machine down for a while slows both.
    """
    a, b = row.values.get(above), row.values.get(below)
    return median([x / y for x, y in zip(a, b, strict=True)]) if a and b else None


def ratios(rows: Iterable[Row], above: str, below: str) -> list[float]:
    """The ratio of each row that has both contenders."""
    return [r for row in rows if (r := ratio(row, above, below)) is not None]


def geometric_mean(numbers: Iterable[float | None]) -> float | None:
    """The geometric mean of those numbers that there are, or None if there are none."""
    logs = [math.log(n) for n in numbers if n is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


def _shown(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{_three(value)}{unit}"


def _three(n: float) -> str:
    """Three digits, but never less than what stands before the point."""
    return f"{n:.0f}" if abs(n) >= 100 else f"{n:.3g}"


def _cells(finding: Finding | Mapping[str, Any]) -> list[str]:
    assert isinstance(finding, Finding)
    return [finding.measure, finding.target, finding.value, finding.verdict]
