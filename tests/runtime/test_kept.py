"""Choices kept in a file: which process may use which, what is refused, and writers at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import ExportError, FileError
from lucid.runtime.compiled import candidate, compiled_step, dispatch, facts, kept
from lucid.runtime.compiled.candidate import Way
from lucid.runtime.compiled.dispatch import Signature
from lucid.runtime.compiled.kept import Kept

pytestmark = pytest.mark.usefixtures("quick_choices")

T, N, I, H = 20, 4, 3, 5  # noqa: E741 - the letters of the field

FACTS = {"model": "M", "call": "C", "inputs": [], "machine": {}, "versions": {}}


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Way]:
    """Records the way of each export."""
    found: list[Way] = []
    for signature in (Signature, compiled_step._Signature):
        unwatched = signature._traced

        def traced(self: Any, way: Way, *args: Any, unwatched: Any = unwatched) -> Any:
            found.append(way)
            return unwatched(self, way, *args)

        monkeypatch.setattr(signature, "_traced", traced)
    return found


@pytest.fixture(autouse=True)
def the_operator_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_cores", lambda: 2)
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(self.way[:3] != ("rnn", 1, 2)))


def loss(model: Any, x: Any, g: Any) -> Any:
    return (model(x)[0] * g).sum()


def made(way: str, path: Path, **options: Any) -> tuple[nn.Module, Any, Callable[[], Any]]:
    """Returns a model, what compiles it, and a call."""
    model = nn.RNN(I, H, **options)
    x, g = lucid.randn(T, N, I), lucid.randn(T, N, H)
    if way == "inference":
        compiled: Any = lucid.compile(model.eval(), cache=path)
        return model, compiled, lambda: compiled(x)
    if way == "gradients":
        compiled = lucid.compile_backward(model, cache=path)
        return model, compiled, lambda: compiled(x, gradient=g)
    optimizer = optim.Adam(model.parameters(), lr=options.get("lr", 0.01))
    compiled = lucid.compile(model, loss=loss, optimizer=optimizer, cache=path)
    return model, compiled, lambda: compiled(x, g)


def settled(compiled: Any, call: Callable[[], Any]) -> Any:
    """Calls until the choice stands."""
    for _ in range(60):
        call()
        if not compiled._cache.tried:
            return compiled
    raise AssertionError("it does not stand")


ways = pytest.mark.parametrize("way", ["inference", "gradients", "step"])


@ways
def test_the_next_start_exports_the_fastest_alone(tmp_path: Path, exports: list[Way], way: str) -> None:
    path = tmp_path / "choices.json"
    _, compiled, call = made(way, path)
    assert path.read_bytes() == b""  # made, since a place that cannot be written is refused now
    settled(compiled, call)
    assert len(exports) == 2
    (entry,) = json.loads(path.read_text())["choices"].values()
    assert entry["way"] == {"lowering": "rnn", "threads": 1, "parts": 2, "updates": False}
    assert entry["model"] == "lucid.nn.rnn.RNN"
    assert entry["inputs"][0] == f"float32(32, {N}, {I})"
    exports.clear()
    model, compiled, call = made(way, path)
    nn.init.uniform_(model.weight_hh_l0, -0.1, 0.1)  # elements do not matter
    call()
    assert exports == [Way("rnn", 1, 2)]
    assert not compiled._cache.tried
    if way == "inference":
        x = lucid.randn(T, N, I)
        np.testing.assert_allclose(compiled(x)[0].numpy(), model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
    before = path.stat()
    for _ in range(5):
        call()
    assert (path.stat().st_ino, len(exports)) == (before.st_ino, 1)


def test_a_graph_that_updates_follows_its_verified_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: list[Way]
) -> None:
    monkeypatch.setattr(dispatch, "_cores", lambda: 1)
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(not self.way.updates))
    path = tmp_path / "choices.json"
    settled(*made("step", path)[1:])
    (entry,) = json.loads(path.read_text())["choices"].values()
    assert entry["way"]["updates"] is True
    exports.clear()
    _, compiled, call = made("step", path)
    for expected in ([False], [False, True], [False, True], [False, True]):
        call()
        assert [way.updates for way in exports] == expected
    assert {c.way.updates for c, _ in compiled._cache.served.values()} == {True}


def test_what_a_choice_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: list[Way]) -> None:
    path = tmp_path / "choices.json"
    settled(*made("gradients", path)[1:])

    def known(way: str = "gradients", **options: Any) -> bool:
        exports.clear()
        _, compiled, call = made(way, path, **options)
        call()
        return not compiled._cache.tried

    assert known()
    assert not known("step")
    assert not known(nonlinearity="relu")
    assert not known(bias=False)
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "_cores", lambda: 3)
        assert not known()
    with monkeypatch.context() as patched:
        patched.setattr(facts, "_processor", lambda: "another")
        assert not known()
    with monkeypatch.context() as patched:
        patched.setattr(np, "__version__", "1.0")
        assert not known()
    assert known()
    settled(*made("step", path)[1:])
    assert known("step")
    one, other = nn.RNN(I, H), nn.RNN(I, H)
    with_momentum = optim.SGD(one.parameters(), lr=0.1, momentum=0.9)
    assert facts.of_optimizer(with_momentum) == facts.of_optimizer(optim.SGD(other.parameters(), lr=0.2, momentum=0.5))
    assert facts.of_optimizer(with_momentum) != facts.of_optimizer(optim.SGD(other.parameters(), lr=0.2))


def test_a_kept_way_that_no_longer_applies_is_chosen_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: list[Way]
) -> None:
    path = tmp_path / "choices.json"
    settled(*made("inference", path)[1:])
    unwatched = Signature._traced

    def traced(self: Any, way: Way, *args: Any) -> Any:
        if way.lowering == "rnn":
            raise ExportError("there is no such operator")
        return unwatched(self, way, *args)

    monkeypatch.setattr(Signature, "_traced", traced)
    compiled = settled(*made("inference", path)[1:])
    assert set(compiled.lowerings.values()) == {"scan"}
    (entry,) = json.loads(path.read_text())["choices"].values()
    assert entry["way"]["lowering"] == "scan"


BROKEN = {
    "cut off": '{"format": "lucid.choices", "version": 1, "choi',
    "blank": " ",
    "another format": '{"weights": [1, 2]}',
    "a list": "[]",
    "another version": '{"format": "lucid.choices", "version": 2, "choices": {}}',
    "no choices": '{"format": "lucid.choices", "version": 1}',
    "choices in a list": '{"format": "lucid.choices", "version": 1, "choices": []}',
    "nested too deep": "[" * 100_000,
    "no way": '{"format": "lucid.choices", "version": 1, "choices": {"a": {}}}',
    **{
        f"a way with {name} {value!r}": json.dumps(
            {
                "format": "lucid.choices",
                "version": 1,
                "choices": {"a": {"way": {**Way("scan", 1)._asdict(), name: value}}},
            }
        )
        for name, value in (
            ("lowering", "auto"),
            ("lowering", ["scan"]),
            ("threads", 0),
            ("threads", True),
            ("parts", 10**9),
            ("parts", None),
            ("updates", 1),
        )
    },
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_damaged_or_not_its_own_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "choices.json"
    path.write_text(text)
    with pytest.raises(
        FileError, match=r"compile: .*choices\.json is no file of choices, or is damaged: .*; delete it"
    ):
        lucid.compile(nn.RNN(I, H).eval(), cache=path)
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["choices.json"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_BYTES", 10)
    (tmp_path / "choices.json").write_text('{"format": "lucid.choices", "version": 1, "choices": {}}')
    with pytest.raises(FileError, match="it has more than 10 bytes"):
        lucid.compile_backward(nn.RNN(I, H), cache=tmp_path / "choices.json")


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="compile: no choices can be kept there: the folder does not exist"):
        lucid.compile(nn.RNN(I, H).eval(), cache=tmp_path / "absent" / "choices.json")
    with pytest.raises(OSError, match="compile: no choices can be kept there"):
        lucid.compile(nn.RNN(I, H).eval(), cache=tmp_path)
    path = tmp_path / "choices.json"
    lucid.compile(nn.RNN(I, H).eval(), cache=path)
    assert path.exists()

    def refused(*args: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", "x")

    # Root may write to a folder that is read-only.
    monkeypatch.setattr(kept.tempfile, "TemporaryFile", refused)
    for name in ("choices.json", "new.json"):
        with pytest.raises(PermissionError, match="compile_backward: no choices can be kept there: Permission denied"):
            lucid.compile_backward(nn.RNN(I, H), cache=tmp_path / name)


def test_a_disk_that_fills_up_later_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs, and goes on; only the next one has to choose again."""
    path = tmp_path / "choices.json"
    _, compiled, call = made("step", path)

    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "atomic_write", full)
    with pytest.warns(RuntimeWarning, match="compile: a choice is not kept: .*No space left"):
        settled(compiled, call)
    assert path.read_bytes() == b""


def test_a_file_that_is_deleted_or_damaged_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "choices.json"
    choices = Kept(path, "compile")
    path.unlink()
    choices.keep(FACTS, Way("scan", 1))
    assert Kept(path, "compile").find(FACTS) == Way("scan", 1)
    path.write_text("{")
    with pytest.warns(RuntimeWarning, match="is damaged"):
        choices.keep(FACTS, Way("rnn", 1))
    assert path.read_text() == "{"


def test_the_oldest_choices_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST", 3)
    choices = Kept(tmp_path / "choices.json", "compile")
    for number in (0, 1, 2, 0, 3):
        choices.keep({**FACTS, "inputs": [number]}, Way("scan", 1, 1 + number + len(choices._ways)))
    again = Kept(tmp_path / "choices.json", "compile")
    assert [again.find({**FACTS, "inputs": [n]}) is not None for n in range(4)] == [True, False, True, True]


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "choices.json"
    source = f"""
import sys
from lucid.runtime.compiled.kept import Kept
from lucid.runtime.compiled.candidate import Way
choices = Kept({str(path)!r}, "compile")
for number in range(20):
    choices.keep({{**{FACTS!r}, "inputs": [sys.argv[1], number]}}, Way("scan", 1))
"""
    writers = [subprocess.Popen([sys.executable, "-c", source, str(i)]) for i in range(4)]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    found = Kept(path, "compile")
    lost = [(i, n) for i in range(4) for n in range(20) if found.find({**FACTS, "inputs": [str(i), n]}) is None]
    assert not lost
    assert os.listdir(tmp_path) == ["choices.json"]
