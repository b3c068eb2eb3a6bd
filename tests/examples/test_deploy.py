"""The programs of docs/deploy.md: the same numbers from each, refusals, and a page that shows what the files have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from examples.runtimes.browser import PAGES
from examples.runtimes.engine import Engine, EngineError, Named
from examples.runtimes.engines import DEPLOY, LOCAL, engines
from examples.runtimes.features import Made, padded_calls, streamed
from lucid import nn
from lucid.export import to_onnx

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
OTHERS = [title for title in LOCAL if title != "Python"] + [next(iter(PAGES))]
MODELS = {"classifier": padded_calls, "stream": streamed}


class Files:
    """Models with their calls in a folder, and the engines of this machine."""

    def __init__(self, folder: Path, there: dict[str, Engine], lacking: dict[str, str]) -> None:
        self.folder, self.there, self.lacking = folder, there, lacking
        lucid.manual_seed(0)
        self.made: dict[str, Made] = {name: make() for name, make in MODELS.items()}
        for name, made in self.made.items():
            made.write(folder, name)
        self.numbers = {name: self.run("Python", name) for name in MODELS}

    def engine(self, title: str) -> Engine:
        if title in self.lacking:
            pytest.skip(self.lacking[title])
        return self.there[title]

    def run(self, title: str, name: str, states: dict[str, str] | None = None) -> list[Named]:
        found: list[Named] = (
            self.engine(title).infer(self.folder, name, self.made[name].states if states is None else states).values
        )
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    with engines(tmp_path_factory.mktemp("engines"), *LOCAL, *OTHERS[-1:]) as (there, lacking):
        yield Files(tmp_path_factory.mktemp("files"), there, lacking)


def assert_close(found: list[Named], expected: list[Named]) -> None:
    assert [list(outputs) for outputs in found] == [list(outputs) for outputs in expected]
    for outputs, wanted in zip(found, expected, strict=True):
        for name, y in wanted.items():
            assert outputs[name].dtype == y.dtype
            np.testing.assert_allclose(outputs[name], y, rtol=1e-5, atol=1e-5, strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_python_gives_the_eager_models_numbers(name: str, tmp_path: Path) -> None:
    lucid.manual_seed(0)
    made = MODELS[name]()
    made.write(tmp_path, name)
    with engines(tmp_path, "Python") as (there, _):
        assert_close(there["Python"].infer(tmp_path, name, made.states).values, made.expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("title", OTHERS)
def test_the_numbers_are_pythons(title: str, name: str, files: Files) -> None:
    assert_close(files.run(title, name), files.numbers[name])


@pytest.mark.slow
@pytest.mark.parametrize("title", [*LOCAL])
def test_what_does_not_fit_fails(title: str, files: Files) -> None:
    with pytest.raises(EngineError, match=r"outputs are|no output"):
        files.run(title, "stream", {"h0": "other"})
    with pytest.raises(EngineError):  # the second call gives no state
        files.run(title, "stream", {})
    with pytest.raises(EngineError):
        files.run(title, "stream", {"other": "h_n"})
    engine = files.engine(title)
    damaged = files.folder / "damaged"
    damaged.mkdir(exist_ok=True)
    files.made["stream"].write(damaged, "stream")
    for suffix in (".json", ".bin"):
        path = damaged / f"stream{suffix}"
        path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(EngineError):
        engine.infer(damaged, "stream", {"h0": "h_n"})


@pytest.mark.slow
@pytest.mark.parametrize("title", [*LOCAL, OTHERS[-1]])
def test_all_types_and_what_json_lacks(title: str, files: Files, tmp_path: Path) -> None:
    """Each type goes in and out; what is not finite is null; a call that gives the state begins anew."""

    def model(a: Any, b: Any, c: Any, d: Any, total: Any) -> Any:
        return {"v": a * 2, "w": b + 1, "x": c > 0, "y": d.exp(), "z": c * 3, "next": total + a.sum(0)}

    total = {"total": "next"}
    example = (lucid.ones(2), lucid.ones(3).long(), lucid.ones(2).int(), lucid.ones(2).double(), lucid.zeros(()))
    exported = to_onnx(model, *example, states=total, verify=False)
    call = {
        "a": np.array([1.5, -2.25], np.float32),
        "b": np.array([2**40, -1, 0]),
        "c": np.array([-3, 5], np.int32),
        "d": np.array([1e3, 1e-3]),
    }
    start = {"total": np.array(0.5, np.float32)}
    Made(exported, [call | start, call, call | start], []).write(tmp_path, "types")
    found = files.engine(title).infer(tmp_path, "types", total).values
    assert [float(outputs["next"]) for outputs in found] == [-0.25, -1.0, -0.25]
    for outputs in found:
        np.testing.assert_array_equal(outputs["v"], call["a"] * 2, strict=True)
        np.testing.assert_array_equal(outputs["w"], call["b"] + 1, strict=True)
        np.testing.assert_array_equal(outputs["x"], call["c"] > 0, strict=True)
        np.testing.assert_array_equal(outputs["z"], call["c"] * 3, strict=True)
        np.testing.assert_allclose(outputs["y"], [np.nan, np.exp(1e-3)], rtol=1e-15)


def test_the_page_shows_what_the_files_have() -> None:
    shown = re.findall(r"<!-- ([\w.]+) -->\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert {name for name, _ in shown} == {"run.py", "model.mjs", "run.c", "Run.java"}
    for name, code in shown:
        assert code in (DEPLOY / name).read_text(encoding="utf-8"), name


def test_links_lead_somewhere() -> None:
    for name in ("deploy", "runtimes"):
        text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert link.startswith("https://") or (ROOT / "docs" / link).exists(), link


def test_the_configuration_of_triton_is_that_of_the_export() -> None:
    gru = nn.GRU(12, 32, batch_first=True)

    def served(frames: Any, state: Any) -> Any:
        outputs, state = gru(frames, state.transpose(0, 1))
        return {"output": outputs, "next_state": state.transpose(0, 1)}

    session = lucid.runtime.Session(to_onnx(served, lucid.randn(2, 5, 12), lucid.zeros(2, 1, 32)))
    shapes = {spec.name: list(spec.shape) for spec in (*session.inputs, *session.outputs)}
    (config,) = re.findall(r'```text\n(backend: "onnxruntime".*?)```', PAGE, re.DOTALL)
    entries = re.findall(r'name: "(\w+)", data_type: TYPE_FP32, dims: \[ ([-\d, ]+) \]', config)
    listed = {name: [int(n) for n in dims.split(",")] for name, dims in entries}
    (pair,) = re.findall(r'input_name: "(\w+)"\s+output_name: "(\w+)"\s+data_type: \w+\s+dims: \[ ([\d, ]+) \]', config)
    assert dict([pair[:2]]) == session.interface.states
    listed |= {name: [int(n) for n in pair[2].split(",")] for name in pair[:2]}
    assert listed.pop("zeros") == listed[pair[0]]
    assert listed == {name: [n if isinstance(n, int) else -1 for n in shape[1:]] for name, shape in shapes.items()}
    assert {shape[0] for shape in shapes.values()} == {"batch"}


def test_the_programs_are_short() -> None:
    for path in DEPLOY.iterdir():
        if path.is_file():
            assert len(path.read_text(encoding="utf-8").splitlines()) < 120, path.name
