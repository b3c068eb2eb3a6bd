"""The page `docs/performance.md`: the part of it that comes from the last full run.

`python -m benchmarks.page` writes it again from the JSON in benchmarks/out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .options import parse
from .result import Result, ratio
from .table import markdown
from .worker import ROOT

__all__ = ["BEGIN", "END", "ORDER", "fill", "section"]

BEGIN = "<!-- the last full run: written by `python -m benchmarks`, do not edit -->"
END = "<!-- the end of the last full run -->"
ORDER = ("train", "parts", "infer", "export", "stream", "imports", "memory", "overhead", "scaling")


def section(results: Sequence[Result]) -> str:
    """The last run in Markdown: the machine, the targets, and a table for each benchmark."""
    machine = results[0].machine
    lines = ["| machine | |\n| --- | --- |", *(f"| {name} | {text} |" for name, text in machine.items())]
    parts = ["\n".join(lines)]
    if any(result.machine != machine for result in results):
        parts.append("Not all benchmarks ran on the same day, commit or machine; the one described ran the first.")
    rows = [["measure", "target", "here", ""]]
    rows += [[f.measure, f.target, f.value, f.verdict] for result in results for f in result.findings]
    parts += ["### Beside the targets", markdown(rows)]
    for result in results:
        parts += [f"### {result.title}", markdown(_rows(result)), *(f"Note: {note}." for note in result.notes)]
    return "\n\n".join(parts)


def _rows(result: Result) -> list[list[str]]:
    unit, scale = result.unit
    first, *others = result.contenders
    compared = " (ratio)" if result.compared else ""
    rows = [["case", f"{first}, {unit}", *(f"{name}, {unit}{compared}" for name in others)]]
    for row in result.rows:
        cells = [row.case]
        for name in result.contenders:
            value = row.middle(name)
            times = ratio(row, name, first) if compared and name != first else None
            shown = "–" if value is None else f"{value * scale:.3g}" if value * scale < 100 else f"{value * scale:.0f}"
            cells.append(shown if times is None else f"{shown} ({times:.2f})")
        rows.append(cells)
    return rows


def fill(text: str, new: str) -> str:
    """The page with the section between the marks replaced.

    Raises:
        ValueError: the page does not have both marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page must have the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{new}\n\n{END}{after}"


def write(folder: Path, page: Path = ROOT / "docs" / "performance.md") -> bool:
    """Write the section anew from the JSON in a folder, if a whole full run stands there."""
    paths = [folder / f"{name}.json" for name in ORDER]
    if not all(path.exists() for path in paths):
        return False
    results = [Result.load(path) for path in paths]
    if any(result.options["quick"] or result.options["only"] for result in results):
        return False
    page.write_text(fill(page.read_text(encoding="utf-8"), section(results)), encoding="utf-8")
    return True


if __name__ == "__main__":
    if not write(parse("Write docs/performance.md from the last full run.").out):
        raise SystemExit("there is no full run of all benchmarks in that folder")
