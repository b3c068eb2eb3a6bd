"""Checkpoints: a run that is stopped or killed, then resumed, ends bit for bit like an uninterrupted one."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.checkpoint import load_checkpoint, save_checkpoint
from lucid.data import DataLoader, TensorDataset
from lucid.errors import DtypeError, FileError, StateDictError
from lucid.io import load, read, save
from tests.tiers import sampled

SCRIPT = Path(__file__).with_name("training_run.py")
PATHS = {**os.environ, "PYTHONPATH": str(Path(lucid.__file__).parents[1])}


class Holder:
    """An object with a state."""

    def __init__(self, **state: Any) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if state_dict.keys() != self.state.keys():
            raise StateDictError("other names")
        self.state = dict(state_dict)


class Elsewhere:
    """An object without a state, which cannot be saved as a value."""


def assert_same(x: Any, y: Any) -> None:
    """Asserts that two values are equal bit for bit and have the same types."""
    assert type(x) is type(y)
    if isinstance(x, dict):
        assert list(x) == list(y)
        for key in x:
            assert_same(x[key], y[key])
    elif isinstance(x, (list, tuple)):
        assert len(x) == len(y)
        for a, b in zip(x, y, strict=True):
            assert_same(a, b)
    elif isinstance(x, (np.ndarray, lucid.Tensor)):
        a, b = np.asarray(x), np.asarray(y)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    else:
        assert x == y or (math.isnan(x) and math.isnan(y))


# --- round trips


def test_values_keep_their_types(tmp_path: Path) -> None:
    values = {
        "epoch": 3,
        "big": 2**100,
        "loss": 0.1,
        "limits": [math.inf, -math.inf, math.nan, -0.0],
        "name": "ü \n \0",
        "nothing": None,
        "flags": (True, False),
        "empty": [{}, [], ()],
        "nested": {"a": {1: "one", "1": "also one"}, "b": [(1, 2), lucid.tensor([1.5])]},
        "array": np.arange(6, dtype=np.int16).reshape(2, 3).T,
        "tensor": lucid.tensor(np.float64(1) / 3),
    }
    save_checkpoint(tmp_path / "a", **values)
    assert_same(load_checkpoint(tmp_path / "a"), values)
    save_checkpoint(tmp_path / "a", number=np.float32(0.5))
    assert_same(load_checkpoint(tmp_path / "a"), {"number": 0.5})


def test_names_that_meet_do_not_mix(tmp_path: Path) -> None:
    values = {"a": {"b.c": np.array([1]), "b": {"c": np.array([2])}, "b.c_": np.array([3])}}
    save_checkpoint(tmp_path / "a", **values)
    assert_same(load_checkpoint(tmp_path / "a"), values)


def test_tensors_have_readable_names(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(lucid.ones(1, 2)).sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "a", model=model, optimizer=optimizer)
    tensors = load(tmp_path / "a")
    assert sorted(tensors) == [
        "model.bias",
        "model.weight",
        "optimizer.state.0.momentum_buffer",
        "optimizer.state.1.momentum_buffer",
    ]
    np.testing.assert_array_equal(tensors["model.weight"].numpy(), model.weight.detach().numpy())


def test_equal_states_make_equal_files(tmp_path: Path) -> None:
    model = nn.RNN(2, 3)
    for name in "ab":
        save_checkpoint(tmp_path / name, model=model, step=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_alone_from_the_checkpoint_of_a_run(tmp_path: Path) -> None:
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    save_checkpoint(tmp_path / "a", model=model, optimizer=optim.Adam(model.parameters()), epoch=1)
    before = lucid.get_rng_state()
    lucid.rand(3)
    drawn = lucid.get_rng_state()
    assert load_checkpoint(tmp_path / "a", random_state=False, model=other) == {"epoch": 1}
    np.testing.assert_array_equal(other.weight.detach().numpy(), model.weight.detach().numpy())
    assert lucid.get_rng_state() == drawn
    load_checkpoint(tmp_path / "a")
    assert lucid.get_rng_state() == before
    save_checkpoint(tmp_path / "b", random_state=False)
    lucid.rand(3)
    drawn = lucid.get_rng_state()
    load_checkpoint(tmp_path / "b")
    assert lucid.get_rng_state() == drawn


def test_a_loader_that_has_not_begun(tmp_path: Path) -> None:
    def orders(loader: DataLoader) -> list[Any]:
        return [batch.tolist() for _ in range(2) for (batch,) in loader] + [lucid.rand(1).item()]

    data = TensorDataset(lucid.arange(20))
    loader = DataLoader(data, 3, shuffle=True)
    save_checkpoint(tmp_path / "a", loader=loader)
    expected = orders(loader)
    other = DataLoader(data, 3, shuffle=True)
    load_checkpoint(tmp_path / "a", loader=other)
    assert orders(other) == expected


# --- refusals


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (Elsewhere(), TypeError, "save_checkpoint: value is Elsewhere; a file holds numbers, strings, tensors"),
        ({"a": [1, {2}]}, TypeError, r"save_checkpoint: value.a.1 is set"),
        ({(1, 2): 3}, TypeError, r"value has the key \(1, 2\); keys must be strings or numbers"),
        (np.array([1j]), DtypeError, "'value' has dtype complex128"),
        (Holder(f=len), TypeError, r"value.f is builtin_function_or_method"),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_file(
    value: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "a", epoch=1)
    with pytest.raises(error, match=message):
        save_checkpoint(tmp_path / "a", value=value)
    assert load_checkpoint(tmp_path / "a") == {"epoch": 1}
    assert os.listdir(tmp_path) == ["a"]


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(FileNotFoundError):
        load_checkpoint(path)
    save({"w": np.ones(1)}, path)
    with pytest.raises(FileError, match=r"a is not a checkpoint; lucid.load reads its tensors"):
        load_checkpoint(path)
    save({}, path, metadata={"lucid_checkpoint": json.dumps({"version": 99})})
    with pytest.raises(FileError, match="a is a checkpoint of version 99; this lucid reads version 2 and 1"):
        load_checkpoint(path)
    for state in (
        "{",
        "3",
        json.dumps({"version": 1}),
        json.dumps({"version": 1, "parts": {}, "values": {"x": {"tensor": "gone"}}}),
        json.dumps({"version": 1, "parts": {}, "values": {"x": {"strange": 1}}}),
        json.dumps({"version": 1, "parts": {}, "values": {"x": {"a": 1, "b": 2}}}),
    ):
        save({}, path, metadata={"lucid_checkpoint": state})
        with pytest.raises(FileError, match="a is damaged: its state does not fit its tensors"):
            load_checkpoint(path)
    save_checkpoint(path, epoch=1, x=np.ones(3))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match="truncated or not a safetensors file"):
        load_checkpoint(path)


def test_parts_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters(), lr=0.125)
    data = TensorDataset(lucid.arange(4))
    save_checkpoint(
        tmp_path / "a", model=model, optimizer=optimizer, loader=DataLoader(data), epoch=1, other=Holder(x=1)
    )

    other = nn.Linear(2, 1)
    theirs = optim.SGD(other.parameters(), lr=0.5)
    loader = DataLoader(data, 2, shuffle=True)
    weight = other.weight.detach().numpy().copy()
    groups = repr(theirs.state_dict())
    random_state = lucid.get_rng_state()
    for parts, error, message in [
        ({"model": other, "optimizer": theirs}, StateDictError, "state dict does not fit SGD"),
        ({"model": other, "loader": loader}, StateDictError, "RandomSampler: expected the keys"),
        ({"model": other, "other": Holder(y=1)}, StateDictError, "other names"),
        ({"model": other, "scheduler": Holder()}, StateDictError, "a has no part 'scheduler'; it has model, optimizer"),
        ({"model": other, "epoch": 3}, TypeError, "epoch has no load_state_dict; values are returned, not passed"),
    ]:
        with pytest.raises(error, match=message):
            load_checkpoint(tmp_path / "a", **parts)
        np.testing.assert_array_equal(other.weight.detach().numpy(), weight)
        assert repr(theirs.state_dict()) == groups
        assert lucid.get_rng_state() == random_state


# --- killed and resumed


def killed_again_and_again(path: Path, kills: int, every: int, seed: int) -> int:
    """Runs the training until it ends, kills it at random moments up to `kills` times, and returns their number."""
    rng = random.Random(seed)
    count = 0
    while True:
        before = path.stat().st_mtime_ns if path.exists() else None
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(path), str(every)], env=PATHS)
        try:
            if count < kills:
                # Wait for a new checkpoint, so that each run makes progress; then kill at a random moment.
                while process.poll() is None and (path.stat().st_mtime_ns if path.exists() else None) == before:
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, 0.03))
                process.send_signal(signal.SIGKILL)
            code = process.wait(120)
        finally:
            process.kill()
        if code == 0:
            return count
        assert code == -signal.SIGKILL
        count += 1


def assert_equal_runs(path: Path, expected: Path) -> None:
    found, wanted = read(path), read(expected)
    assert found[1] == wanted[1]
    assert_same(found[0], wanted[0])


needs_kill = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run"
    subprocess.run([sys.executable, str(SCRIPT), str(path), "1000000"], env=PATHS, check=True)
    values = load_checkpoint(path)
    assert values["done"] == 6 * 13
    return path


@pytest.mark.slow
@needs_kill
def test_a_killed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path, uninterrupted: Path) -> None:
    assert killed_again_and_again(tmp_path / "run", kills=3, every=1, seed=0) == 3
    assert_equal_runs(tmp_path / "run", uninterrupted)
    assert os.listdir(tmp_path) == ["run"]


@needs_kill
@pytest.mark.slow
@pytest.mark.parametrize("every", sampled([3, 1, 7], 3))
def test_a_run_killed_many_times(every: int, tmp_path: Path, uninterrupted: Path) -> None:
    assert killed_again_and_again(tmp_path / "run", kills=12, every=every, seed=every) > 0
    assert_equal_runs(tmp_path / "run", uninterrupted)
    assert os.listdir(tmp_path) == ["run"]
