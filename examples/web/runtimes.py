"""The table of runtimes in docs/training_anywhere.md: ``python -m examples.web.runtimes [TASK …]`` makes it anew.

Each runtime takes a few steps of each task; its losses are compared with those of eager training. If tasks are named,
the other columns stay where all of their cells are right and the versions are the same.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import lucid
from examples.train_anywhere.batches import write_binary, write_json, write_npz
from lucid import nn
from lucid.nn.functional import cross_entropy

from .engines import Engine, EngineError, Page, engines
from .npm import onnxruntime_web
from .tasks import Task, gestures_task, vowels_task

__all__ = ["STEPS", "cells", "judged", "prepared"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training_anywhere.md"
START, END = "<!-- runtimes -->", "<!-- end of runtimes -->"

EPOCHS = 2
TOLERANCE = 1e-4
ROWS = 6  # of the first batch; the second one has half as many


class Classifier(nn.Module):
    """Reads a sequence (N, T, 3) with a layer, and maps its last output to two scores."""

    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(size, 2)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        out = self.layer(x)
        out = out[0] if isinstance(out, tuple) else out
        scores: lucid.Tensor = self.head(out[:, -1])
        return scores


class Convolution(nn.Module):
    """A convolution over time and batch normalization: (N, T, 3) to (N, T, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        return self.norm(self.conv(x.transpose(1, 2))).relu().transpose(1, 2)


class Attention(nn.Module):
    """An encoder layer of a transformer: (N, T, 3) to (N, T, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        encoded: lucid.Tensor = self.encoder(self.embed(x))
        return encoded


def task(layer: Callable[[], nn.Module]) -> Callable[[], Task]:
    """Returns a function that makes a classifier with a layer, and its batch."""

    def make() -> Task:
        lucid.manual_seed(0)
        model = Classifier(layer(), 8)

        def loss(model: Any, x: Any, y: Any) -> lucid.Tensor:
            return cross_entropy(model(x), y)

        batch = lucid.randn(ROWS, 5, 3), lucid.tensor([0, 1, 0, 1, 1, 0])
        return Task(model, loss, lucid.optim.Adam(model.parameters(), lr=0.01), batch)

    return make


STEPS: dict[str, Callable[[], Task]] = {
    "RNN": task(lambda: nn.RNN(3, 8, batch_first=True)),
    "LSTM": task(lambda: nn.LSTM(3, 8, batch_first=True)),
    "GRU": task(lambda: nn.GRU(3, 8, batch_first=True)),
    "Conv1d": task(Convolution),
    "attention": task(Attention),
    "vowels": vowels_task,
    "gestures": gestures_task,
}
"""The tasks of the table, by their titles."""


def prepared(folder: Path, titles: Iterable[str]) -> dict[str, list[float]]:
    """Writes the files of some tasks, and batches for all drivers; returns the losses of eager training."""
    expected = {}
    for title in titles:
        task = STEPS[title]()
        step = task.export(folder / f"{title}.train.onnx")
        batches = [tuple(x[:rows] for x in task.batch) for rows in (ROWS, ROWS // 2)]
        arrays = [dict(zip(step.contract["batch"], (x.numpy() for x in batch), strict=True)) for batch in batches]
        write_npz(folder / f"{title}.npz", arrays)
        write_json(folder / f"{title}.json", arrays)
        write_binary(folder / f"{title}.bin", arrays)
        expected[title] = [float(np.mean([task.train(*batch) for batch in batches])) for _ in range(EPOCHS)]
    return expected


def judged(engine: Engine, folder: Path, title: str, expected: Sequence[float]) -> str:
    """Runs a task; returns "✓", and how many of all nodes ran on the GPU, or "wrong: …" or "fails: …"."""
    try:
        outcome = engine.run(folder, title, EPOCHS)
    except EngineError as error:
        return f"fails: {error}"
    if len(outcome.losses) != len(expected) or not np.allclose(outcome.losses, expected, rtol=TOLERANCE, atol=1e-6):
        return f"wrong: losses {_listed(outcome.losses)} instead of {_listed(expected)}"
    other = {provider: count for provider, count in outcome.shares.items() if provider != "CPU"}
    return f"✓ {sum(other.values())}/{sum(outcome.shares.values())}" if other else "✓"


def _listed(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.4f}" for loss in losses)


def row(title: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join([title, *cells])} |"


def table(rows: Mapping[str, Sequence[str]], versions: str) -> str:
    """Returns the table, with lines below that name the versions, and say what is wrong."""
    lines = [row("", list(STEPS)), row("---", ["---"] * len(STEPS))]
    lines += [row(title, [cell.split(":")[0] for cell in cells]) for title, cells in rows.items()]
    notes = [
        f"- {title}, {task}: {cell}"
        for title, cells in rows.items()
        for task, cell in zip(STEPS, cells, strict=True)
        if ":" in cell
    ]
    return "\n".join([*lines, "", versions, *([""] if notes else []), *notes])


def cells() -> dict[str, dict[str, str]]:
    """Returns the cells of the table as it is in the page, by row and column."""
    text = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


def kept(titles: Sequence[str], versions: str) -> set[str]:
    """Returns the columns that stay if some are to be made anew."""
    if not titles or versions not in PAGE.read_text(encoding="utf-8"):
        return set()
    rows = cells().values()
    return {task for task in STEPS if task not in titles and all(row.get(task, "")[:1] == "✓" for row in rows)}


def versions_of(found: Iterable[Engine]) -> str:
    """Returns the line that names what the table was made with."""
    web = json.loads((onnxruntime_web().parent / "package.json").read_text())["version"]
    browser = next(engine.browser.version for engine in found if isinstance(engine, Page))
    return (
        f"Made with onnxruntime {onnxruntime.__version__}, onnxruntime-web {web} and Chromium "
        f"{browser.split('.')[0]}, whose WebGPU was SwiftShader: a GPU in software."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.web.runtimes", description="Makes the table of runtimes.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(STEPS)}; without one, all")
    titles = parser.parse_args().tasks
    if unknown := sorted(set(titles) - set(STEPS)):
        parser.error(f"there is no task {', '.join(unknown)}; the tasks are {', '.join(STEPS)}")
    with tempfile.TemporaryDirectory() as scratch, engines(Path(scratch)) as (found, lacking):
        if lacking:
            sys.exit("\n".join(f"error: {title} is missing: {reason}" for title, reason in lacking.items()))
        versions = versions_of(found)
        old, known = kept(titles, versions), cells()
        folder = Path(scratch) / "steps"
        folder.mkdir()
        expected = prepared(folder, [title for title in STEPS if title not in old])
        rows: dict[str, list[str]] = {}
        for engine in found:
            rows[engine.title] = [
                known[engine.title][title] if title in old else judged(engine, folder, title, expected[title])
                for title in STEPS
            ]
            print(row(engine.title, rows[engine.title]), flush=True)
    whole = re.compile(f"(?<={START}\n).*(?={END})", re.DOTALL)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(whole.sub(lambda _: f"\n{table(rows, versions)}\n\n", page), encoding="utf-8")


if __name__ == "__main__":
    main()
