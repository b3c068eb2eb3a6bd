"""The table in docs/runtimes.md is as its command makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from examples.runtimes.browser import PAGES, placed
from examples.runtimes.check import ROWS, judged, of_losses, of_outputs, prepared
from examples.runtimes.engine import Engine, EngineError, Outcome, Unsupported
from examples.runtimes.engines import DEPLOY, DRIVERS, LOCAL, TITLES, engines
from examples.runtimes.features import FEATURES
from examples.runtimes.steps import STEPS
from examples.runtimes.table import cells, versions_on_page

WASM = next(iter(PAGES))


def test_the_table_has_all_rows_and_columns() -> None:
    table = cells()
    assert list(table) == ROWS
    for row in table.values():
        assert list(row) == TITLES
        assert {cell.split()[0] for cell in row.values()} <= {"✓", "–", "wrong", "fails"}
    assert {row for row, line in table.items() if line["Java"] == "–"} == set(STEPS)
    assert versions_on_page()
    # Wherever CI looks, everything runs.
    assert {table[row][title][0] for row in FEATURES for title in (*LOCAL, WASM)} == {"✓"}


class Said(Engine):
    """An engine that says what it is told to."""

    def __init__(self, outcome: Outcome | EngineError) -> None:
        super().__init__("said")
        self.outcome = outcome

    def infer(self, folder: Path, name: str, states: Mapping[str, str]) -> Outcome:
        if isinstance(self.outcome, EngineError):
            raise self.outcome
        return self.outcome

    def train(self, folder: Path, name: str, epochs: int) -> Outcome:
        return self.infer(folder, name, {})


GIVEN = [{"y": np.array([1.0, 2.0], np.float32)}]


@pytest.mark.parametrize(
    ("outcome", "cell"),
    [
        (Outcome(GIVEN, {}), "✓"),
        (
            Outcome([{"y": np.array([1.00005, 2.0], np.float32), "more": np.zeros(1)}], {"CPU": 3, "WebGpu": 9}),
            "✓ 9/12",
        ),
        (Outcome([{"y": np.array([1.0, 2.001], np.float32)}], {}), "wrong: y differs by 5.0e-04"),
        (Outcome([{"y": np.array([1.0, np.nan], np.float32)}], {}), "wrong: y differs by nan"),
        (Outcome([{"y": np.array([[1.0, 2.0]], np.float32)}], {}), "wrong: y is ('float32', (1, 2)) instead of "),
        (Outcome([{"y": np.array([1.0, 2.0])}], {}), "wrong: y is ('float64', (2,)) instead of "),
        (Outcome([{}], {}), "wrong: y is None instead of "),
        (Outcome([], {}), "wrong: 0 calls instead of 1"),
        (EngineError("bad file /somewhere/else.cc:3 of it"), "fails: bad file of it"),
        (Unsupported("no program"), "–"),
    ],
)
def test_what_a_cell_says(outcome: Outcome | EngineError, cell: str) -> None:
    found = said_of(Said(outcome))
    assert found == cell or (cell.endswith(" ") and found.startswith(cell))


def said_of(engine: Engine) -> str:
    return judged(lambda: engine.infer(Path(), "", {}), lambda found: of_outputs(found, GIVEN, 1e-4))


def test_what_a_cell_says_of_losses() -> None:
    assert of_losses([1.00005, 0.5], [1.0, 0.5]) is None
    assert of_losses([1.0, 0.501], [1.0, 0.5]) == "losses 1.0000, 0.5010 instead of 1.0000, 0.5000"
    assert of_losses([], [1.0]) is not None


def test_where_nodes_ran() -> None:
    log = [
        "All nodes placed on [CPUExecutionProvider]. Number of nodes: 3",
        "something else",
        "Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 9",
    ]
    assert placed(log) == {"CPU": 3, "WebGpu": 9}


@pytest.mark.slow
def test_files_have_no_operators_but_onnx_own() -> None:
    """A runtime that knows ONNX's operators knows all of lucid's: there is no other domain."""
    for title in list(FEATURES)[::4]:
        proto = FEATURES[title]().exported.proto
        assert [entry.domain for entry in proto.opset_import] == [""]
        assert not proto.functions


def test_java_calls_what_it_names() -> None:
    """The places in Run.java are those in onnxruntime's header."""
    header = DRIVERS / "include" / "onnxruntime_c_api.h"
    if not header.exists():
        pytest.skip("there is no header of onnxruntime: see `make headers`")
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text().split("struct OrtApi {")[1], flags=re.DOTALL)
    entry = r"ORT_API2_STATUS\(\s*(\w+)|ORT_CLASS_RELEASE\(\s*(\w+)|\(\s*(?:ORT_API_CALL)?\s*\*\s*(\w+)\s*\)\s*\("
    names = [a or (b and f"Release{b}") or c for a, b, c in re.findall(entry, text)]
    source = (DEPLOY / "Run.java").read_text(encoding="utf-8")
    places = {name: int(place) for name, place in re.findall(r"([A-Z]\w+) = (\d+)[,;]", source)}
    assert len(places) == 17
    assert {name: names[place] for name, place in places.items()} == {name: name for name in places}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Engine], dict[str, str]]]:
    with engines(tmp_path_factory.mktemp("engines"), *LOCAL, WASM) as pair:
        yield pair


@pytest.mark.slow
@pytest.mark.parametrize("title", [*LOCAL, WASM])
@pytest.mark.parametrize("row", ["training step: RNN", *FEATURES])
def test_a_cell_is_true(row: str, title: str, found: tuple[dict[str, Engine], dict[str, str]], tmp_path: Path) -> None:
    there, lacking = found
    if title in lacking:
        pytest.skip(lacking[title])
    check = prepared(tmp_path, row)
    said = check(there[title])
    assert said.split(":")[0] == cells()[row][title]
    if said[0] == "✓":  # a damaged file fails, and is not passed over
        for path in tmp_path.glob("*.onnx"):
            path.write_bytes(b"no model")
        assert check(there[title]).startswith("fails: ")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("title", [title for title in TITLES if title not in (*LOCAL, WASM)])
def test_a_cell_of_the_others_is_true(title: str, tmp_path: Path) -> None:
    """WebGPU in software takes half a minute for a cell."""
    (tmp_path / "engine").mkdir()
    with engines(tmp_path / "engine", title) as (there, lacking):
        if title in lacking:
            pytest.skip(lacking[title])
        for row in ("`LSTM` operator, sequences of different length", "float64", "training step: RNN"):
            assert prepared(tmp_path, row)(there[title]).split(":")[0] == cells()[row][title]
