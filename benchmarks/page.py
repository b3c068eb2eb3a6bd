"""The last full run in the documentation: a summary in docs/performance.md, all tables in docs/performance-appendix.md.

`python -m benchmarks.page` writes both again from the JSON in benchmarks/out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .options import parse
from .place import ROOT
from .result import Result, ratio
from .table import markdown

__all__ = ["APPENDIX", "BEGIN", "END", "MIXED", "ORDER", "SUMMARY", "fill", "section", "summary", "write"]

SUMMARY = ROOT / "docs" / "performance.md"
APPENDIX = ROOT / "docs" / "performance-appendix.md"

BEGIN = "<!-- the last full run: written by `python -m benchmarks`, do not edit -->"
MIXED = "Not all benchmarks ran on the same day, commit or machine"
END = "<!-- the end of the last full run -->"
ORDER = (
    "train",
    "loops",
    "parts",
    "infer",
    "files",
    "first",
    "export",
    "stream",
    "imports",
    "memory",
    "overhead",
    "scaling",
)


def summary(results: Sequence[Result]) -> str:
    """The last run in short: the machine in one line, and each ratio with its worst size beside its mean."""
    machine = "; ".join(f"{name} {text}" for name, text in results[0].machine.items())
    cells: dict[str, list[str]] = {}
    for finding in (finding for result in results for finding in result.findings):
        measure, _, part = finding.measure.rpartition(", ")
        if part not in ("mean", "worst size"):
            measure = finding.measure
        missed = "" if finding.met else f", {finding.verdict}"
        row = cells.setdefault(measure, ["", ""])
        row[part == "worst size"] = f"{finding.value} ({finding.target}){missed}"
    head = ["measure", "value (target)", "worst size (target)"]
    table = markdown([head, *([measure, *row] for measure, row in cells.items())])
    return "\n\n".join([f"Measured on: {machine}.", *_mixed(results), table])


def section(results: Sequence[Result]) -> str:
    """The last run in full: the machine, the targets, and a table for each benchmark."""
    machine = results[0].machine
    lines = ["| machine | |\n| --- | --- |", *(f"| {name} | {text} |" for name, text in machine.items())]
    parts = ["\n".join(lines), *_mixed(results)]
    rows = [["measure", "target", "here", ""]]
    rows += [[f.measure, f.target, f.value, f.verdict] for result in results for f in result.findings]
    parts += ["### Beside the targets", markdown(rows)]
    for result in results:
        parts += [f"### {result.title}", markdown(_rows(result)), *(f"Note: {note}." for note in result.notes)]
    return "\n\n".join(parts)


def _mixed(results: Sequence[Result]) -> list[str]:
    """A warning if the benchmarks did not all run in the same place and on the same day."""
    if all(result.machine == results[0].machine for result in results):
        return []
    return [f"{MIXED}. The machine described ran the first one."]


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


def fill(text: str, new: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with the section between two marks replaced.

    Raises:
        ValueError: the page does not have both marks.
    """
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last):
        raise ValueError(f"the page must have the lines {begin!r} and {end!r}")
    return f"{before}{begin}\n\n{new}\n\n{end}{after}"


def write(folder: Path, short: Path = SUMMARY, appendix: Path = APPENDIX) -> bool:
    """Write both pages again from the JSON in a folder, if the folder has a complete full run.

    Returns:
        Whether it has one.

    Raises:
        ValueError: a page does not have both marks; neither page is changed then.
    """
    paths = [folder / f"{name}.json" for name in ORDER]
    if not all(path.exists() for path in paths):
        return False
    results = [Result.load(path) for path in paths]
    if any(result.options["quick"] or result.options["only"] for result in results):
        return False
    pages = ((short, summary(results)), (appendix, section(results)))
    filled = [(page, fill(page.read_text(encoding="utf-8"), new)) for page, new in pages]
    for page, text in filled:
        page.write_text(text, encoding="utf-8")
    return True


if __name__ == "__main__":
    if not write(parse("Write the last full run into docs/performance.md and its appendix.").out):
        raise SystemExit("there is no full run of all benchmarks in that folder")
