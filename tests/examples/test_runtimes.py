"""The table of runtimes in docs/training_anywhere.md is as its command makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.web.engines import PAGES, Engine, Outcome, engines, placed
from examples.web.runtimes import STEPS, cells, judged, prepared

TITLES = ["Python", "C", "Node", *PAGES]


def test_the_table_has_all_runtimes_and_tasks() -> None:
    table = cells()
    assert list(table) == TITLES
    for row in table.values():
        assert list(row) == list(STEPS)
        assert {cell.split()[0] for cell in row.values()} <= {"✓", "wrong", "fails"}


class Said(Engine):
    """An engine that says what it is told to."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("said")
        self.outcome = outcome

    def run(self, folder: Path, name: str, epochs: int) -> Outcome:
        return self.outcome


def test_what_a_cell_says(tmp_path: Path) -> None:
    log = [
        "All nodes placed on [CPUExecutionProvider]. Number of nodes: 3",
        "something else",
        "Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 9",
    ]
    assert placed(log) == {"CPU": 3, "WebGpu": 9}
    assert judged(Said(Outcome([1.0, 0.5], {})), tmp_path, "RNN", [1.0, 0.5]) == "✓"
    assert judged(Said(Outcome([1.0, 0.5], placed(log))), tmp_path, "RNN", [1.00005, 0.5]) == "✓ 9/12"
    assert judged(Said(Outcome([1.0, 0.5], {})), tmp_path, "RNN", [1.0, 0.501]).startswith("wrong: ")
    assert judged(Said(Outcome([], {})), tmp_path, "RNN", [1.0, 0.5]).startswith("wrong: ")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Engine], dict[str, str]]]:
    with engines(tmp_path_factory.mktemp("engines")) as (some, lacking):
        yield {engine.title: engine for engine in some}, lacking


@pytest.mark.slow
@pytest.mark.parametrize(
    "title",
    [pytest.param(t, marks=pytest.mark.exhaustive if t in [*PAGES][1:] else ()) for t in TITLES],
)
def test_a_cell_is_true(title: str, found: tuple[dict[str, Engine], dict[str, str]], tmp_path: Path) -> None:
    """WebGPU in software takes half a minute for a cell."""
    there, lacking = found
    if title in lacking:
        pytest.skip(lacking[title])
    engine, task = there[title], "RNN"
    expected = prepared(tmp_path, [task])[task]
    assert judged(engine, tmp_path, task, expected) == cells()[title][task]
    # A damaged file fails, and is not passed over.
    (tmp_path / f"{task}.train.onnx").write_bytes(b"no model")
    assert judged(engine, tmp_path, task, expected).startswith("fails: ")
