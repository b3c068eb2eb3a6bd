"""History: the ratios of every full run, one line of JSON a run, in benchmarks/history.jsonl.

`python -m benchmarks` appends its own. `python -m benchmarks.history` prints what the last run on each machine lost and
won; with `--from-git` it first adds the runs that the pages on performance had in earlier commits.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import picture
from .page import APPENDIX, BEGIN, END, MIXED, SUMMARY
from .place import ROOT
from .result import Finding, Result
from .table import table

__all__ = ["PATH", "Run", "append", "by_machine", "changes", "drawn", "from_git", "of_results", "parse", "read"]

PATH = ROOT / "benchmarks" / "history.jsonl"

GROUPS = {"training": "^(training|loops?)", "inference and files": "export|file|inference|streaming"}
"""What the names of the measures of a picture have in common."""

CHANGED = 0.1
"""The share of a ratio from which on a change is printed: two runs of the same commit differ by less in most rows."""


@dataclass(frozen=True)
class Run:
    """A full run.

    Attributes:
        day: its day.
        commit: the commit that was measured.
        machine: processor, cores, versions and so on, by name.
        ratios: the value and the target of each measure that is a ratio.
    """

    day: str
    commit: str
    machine: dict[str, str]
    ratios: dict[str, tuple[float, str]]

    @property
    def place(self) -> str:
        """What runs must share to be compared: the processor and its cores."""
        return f"{self.machine['processor']}; cores {self.machine.get('cores', '?')}"

    @classmethod
    def of(cls, machine: dict[str, str], findings: Iterable[Finding]) -> Run:
        """Makes the entry of a run; findings in other units than × are left out: seconds are of one machine alone."""
        about = {name: text for name, text in machine.items() if name not in ("day", "commit")}
        times = [f for f in findings if re.fullmatch(r"\S+ ×", f.value)]
        ratios = {f.measure: (float(f.value.removesuffix(" ×")), f.target) for f in times}
        return cls(machine["day"], machine.get("commit", ""), about, ratios)

    def distance(self, measure: str) -> float:
        """Returns how far a ratio is from its target: above 1 it is met, and more is better."""
        value, target = self.ratios[measure]
        sign, number, _ = target.split()
        return value / float(number) if sign == "≥" else float(number) / value


def read(path: Path = PATH) -> list[Run]:
    """Returns all runs, the oldest first.

    Raises:
        ValueError: a line is not a run.
    """
    runs = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            entry["ratios"] = {measure: (float(value), target) for measure, (value, target) in entry["ratios"].items()}
            runs.append(Run(**entry))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"line {number} of {path.name} is not a run: {error}") from error
    return runs


def append(runs: Sequence[Run], path: Path = PATH) -> None:
    """Adds runs at the end of the file, which is written whole or not at all.

    Raises:
        ValueError: the file has a line that is not a run; it is left as it is.
    """
    read(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    text += "".join(json.dumps(asdict(run), ensure_ascii=False) + "\n" for run in runs)
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def of_results(results: Sequence[Result]) -> Run:
    """Returns the entry of a run that has just ended."""
    return Run.of(results[0].machine, [finding for result in results for finding in result.findings])


def by_machine(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Returns the runs of each machine, the oldest first."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.place, []).append(run)
    return found


def changes(before: Run, after: Run) -> list[tuple[str, float, float, float]]:
    """Returns the measures that changed by more than `CHANGED`: name, both ratios, and after / before as distances from
    the target, the largest loss first."""
    found = []
    for measure in before.ratios.keys() & after.ratios.keys():
        # The target of the later run for both: a target may have been moved.
        old = Run(before.day, before.commit, {}, {measure: (before.ratios[measure][0], after.ratios[measure][1])})
        share = after.distance(measure) / old.distance(measure)
        if not 1 / (1 + CHANGED) <= share <= 1 + CHANGED:
            found.append((measure, before.ratios[measure][0], after.ratios[measure][0], share))
    return sorted(found, key=lambda change: (change[3], change[0]))


def drawn(runs: Sequence[Run]) -> list[str]:
    """Draws the runs of one machine, and returns pictures as SVG: how far each ratio was from its target of the time.

    The pictures are of training, of what onnxruntime runs, and of the rest.
    """
    measures = list(dict.fromkeys(measure for run in runs for measure in run.ratios))
    groups: dict[str, list[str]] = {name: [] for name in (*GROUPS, "the rest")}
    for measure in measures:
        group = next((group for group, words in GROUPS.items() if re.search(words, measure)), "the rest")
        groups[group].append(measure)
    ticks = [f"{run.day[5:]}\n{run.commit}" for run in runs]
    return [
        picture.lines(
            group,
            ticks,
            [(name, [run.distance(name) if name in run.ratios else None for run in runs]) for name in names],
            "times the target, if more is better",
        )
        for group, names in groups.items()
        if names
    ]


def from_git() -> list[Run]:
    """Returns the full runs that the pages on performance had in the commits of this branch, the oldest first."""
    runs: dict[tuple[str, str, str], Run] = {}
    for page in (SUMMARY, APPENDIX):
        name = page.relative_to(ROOT).as_posix()
        for commit in _git("log", "--reverse", "--format=%H", "--", name).split():
            run = parse(_git("show", f"{commit}:{name}")) if _git("ls-tree", commit, name) else None
            if run is not None:
                runs[run.day, run.commit, run.place] = run
    return sorted(runs.values(), key=lambda run: run.day)


def parse(page: str) -> Run | None:
    """Returns the full run in a page; None if it has none, or one of several days, commits or machines."""
    section = page.partition(BEGIN)[2].partition(END)[0]
    machine = dict(re.findall(r"^\| ([\w.]+) \| ([^|]+) \|$", section.partition("###")[0], re.MULTILINE))
    rows = re.findall(r"^\| (.+?) \| ([≥≤] [^|]+) \| ([^|]+) \| (?:met|missed) \|$", section, re.MULTILINE)
    if MIXED in section or not rows or not {"processor", "day"} <= machine.keys():
        return None
    return Run.of(machine, [Finding(measure, target, value, None) for measure, target, value in rows])


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def main(arguments: Sequence[str] | None = None, path: Path = PATH) -> None:
    parser = argparse.ArgumentParser(description="What the last full run on each machine lost and won.")
    parser.add_argument("--from-git", action="store_true", help="first add the missing runs of earlier commits")
    if parser.parse_args(arguments).from_git:
        known = {(run.day, run.commit, run.place) for run in read(path)}
        append([run for run in from_git() if (run.day, run.commit, run.place) not in known], path)
    for place, runs in by_machine(read(path)).items():
        print(f"\n{place}: {len(runs)} run{'s' * (len(runs) != 1)}, the last of {runs[-1].day}, {runs[-1].commit}")
        found = changes(*runs[-2:]) if len(runs) > 1 else []
        if found:
            rows = [[measure, f"{a:g}", f"{b:g}", "won" if share > 1 else "lost"] for measure, a, b, share in found]
            print(table([["measure", runs[-2].commit, runs[-1].commit, ""], *rows]))


if __name__ == "__main__":
    main()
