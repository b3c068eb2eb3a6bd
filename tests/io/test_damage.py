"""Damaged and hostile files: nothing loads other numbers in silence, and a load that fails changes nothing."""

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
from lucid.checkpoint import load_checkpoint, save_checkpoint
from lucid.errors import FileError, LucidError, StateDictError
from lucid.io import load, read, save

PATHS = {**os.environ, "PYTHONPATH": str(Path(lucid.__file__).parents[1])}


def run(seed: int) -> dict[str, Any]:
    """Returns the parts of a run that has begun."""
    lucid.manual_seed(seed)
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters(), lr=0.125)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2)
    model(lucid.randn(3, 2)).sum().backward()
    optimizer.step()
    scheduler.step()
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler}


def seen(parts: dict[str, Any]) -> str:
    """Returns everything that a load may change."""
    states = {name: part.state_dict() for name, part in parts.items()}
    return f"{states} {lucid.get_rng_state()}"


def flips(path: Path, step: int) -> Any:
    """Writes the file with each bit flipped, in turn."""
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), step):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        yield bit
    path.write_bytes(whole)


STEPS = [7, pytest.param(3, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.exhaustive)]


@pytest.mark.parametrize("step", STEPS)
def test_a_flipped_bit_of_a_checkpoint_is_found(step: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_checkpoint(path, **run(0), epoch=3)
    other = run(1)
    before = seen(other)
    for _ in flips(path, step):
        with pytest.raises((FileError, StateDictError)):
            load_checkpoint(path, **other)
    assert seen(other) == before
    assert load_checkpoint(path, **other) == {"epoch": 3}


@pytest.mark.parametrize("step", STEPS)
def test_a_flipped_bit_of_a_file_changes_no_number(step: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    state = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.arange(3)}
    save(state, path, metadata={"made by": "a test"})
    expected = {name: array.tolist() for name, array in state.items()}
    for bit in flips(path, step):
        try:
            found = load(path)
        except FileError:
            continue
        assert {name: tensor.tolist() for name, tensor in found.items()} == expected, bit


def test_the_message_says_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save({"w": np.ones(3)}, path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a was altered after lucid wrote it: its digest is \w{16}…"):
        load(path)


def test_files_of_other_writers_have_no_digest(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.arange(3.0)}, tmp_path / "a", metadata={"by": "another"})
    assert load(tmp_path / "a")["w"].tolist() == [0, 1, 2]
    assert read(tmp_path / "a")[1] == {"by": "another"}
    with pytest.raises(ValueError, match=r"lucid's own metadata is stored as 'lucid\.sha256'"):
        save({}, tmp_path / "a", metadata={"lucid.sha256": "x"})


def test_a_checkpoint_without_its_digest_is_refused_unless_it_is_old(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "a"
    for version, refused in ((2, True), (1, False)):
        state = {"version": version, "parts": {}, "values": {"x": {"tensor": "x"}}}
        save_file({"x": np.ones(2)}, path, metadata={"lucid_checkpoint": json.dumps(state)})
        if refused:
            with pytest.raises(FileError, match="a checkpoint has a digest, and it has none"):
                load_checkpoint(path)
        else:
            assert load_checkpoint(path)["x"].tolist() == [1, 1]


def _forged(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Writes a checkpoint of a run whose digest fits, but whose state was changed."""
    save_checkpoint(path, **run(0))
    arrays, metadata = read(path)
    state = json.loads(metadata["lucid_checkpoint"])
    changed = change(state)
    save(arrays, path, metadata={"lucid_checkpoint": changed if isinstance(changed, str) else json.dumps(state)})


def _entry(state: dict[str, Any], part: str, *keys: Any) -> list[Any]:
    """Returns the key and the value of an entry of a part's state, to be changed in place."""
    entry: Any = [None, state["parts"][part]]
    for key in keys:
        content = entry[1]
        entry = next(pair for pair in content["dict"] if pair[0] == key) if "dict" in content else content[key]
    return list(entry) if not isinstance(entry, list) else entry


def _set(part: str, *keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        _entry(state, part, *keys)[1] = value

    return change


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "random is a number": lambda s: s.update(random=3),
    "random is empty": lambda s: s.update(random={"dict": []}),
    "random of another kind": lambda s: s.update(random={"dict": [["bit_generator", "MT19937"], ["state", 3]]}),
    "parts are a list": lambda s: s.update(parts=[]),
    "the model is a number": lambda s: s["parts"].update(model=3),
    "the optimizer is a list": lambda s: s["parts"].update(optimizer=[1]),
    "the optimizer lacks its groups": lambda s: s["parts"]["optimizer"]["dict"].pop(),
    "the groups are a number": _set("optimizer", "param_groups", value=3),
    "the groups are numbers": _set("optimizer", "param_groups", value=[3]),
    "the state is a list": _set("optimizer", "state", value=[]),
    "a state is a list": _set("optimizer", "state", 0, value=[1]),
    "a moment is a text": _set("optimizer", "state", 0, "exp_avg", value="x"),
    "a moment is nested": _set("optimizer", "state", 0, "exp_avg", value=[[1], [1, 2]]),
    "the steps are a list": _set("optimizer", "state", 0, "step", value=[1, 2]),
    "the scheduler is a text": lambda s: s["parts"].update(scheduler="x"),
    "the scheduler's rates are a number": _set("scheduler", "base_lrs", value=3),
    "the scheduler's epoch is a text": _set("scheduler", "last_epoch", value="x"),
    "a key is a list": lambda s: s["values"].update(x={"dict": [[[1], 2]]}),
    "deep": lambda s: "[" * 200_000,
    "deep and whole": lambda s: (
        json.dumps(s)[:-1] + ', "more": ' + '{"dict": [["a", ' * 30_000 + "1" + "]]}" * 30_000 + "}"
    ),
    "a number without end": lambda s: '{"version": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED.keys())
def test_a_state_that_makes_no_sense_changes_nothing(change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    _forged(tmp_path / "a", change)
    other = run(1)
    before = seen(other)
    with pytest.raises(LucidError):
        load_checkpoint(tmp_path / "a", **other)
    assert seen(other) == before


def test_a_part_that_fails_halfway_is_restored_with_the_others(tmp_path: Path) -> None:
    class Halfway:
        def __init__(self, x: int) -> None:
            self.values = [x]

        def state_dict(self) -> dict[str, Any]:
            return {"values": self.values}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.values[:] = state["values"]
            if self.values[0] == 1:
                raise KeyError("gone")

    save_checkpoint(tmp_path / "a", model=run(0)["model"], last=Halfway(1))
    parts = {"model": run(1)["model"], "last": Halfway(2)}
    before = seen(parts)
    with pytest.raises(StateDictError, match="part 'last' cannot load its state"):
        load_checkpoint(tmp_path / "a", **parts)
    assert seen(parts) == before


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype":"F32","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}',
        '{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}',
        '{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}',
        '{"dtype":"F32","shape":[' + ",".join(["1"] * 100) + '],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":' + "[" * 100_000 + "}",
    ],
    ids=range(6),
)
def test_shapes_that_no_array_has(entry: str, tmp_path: Path) -> None:
    header = f'{{"x":{entry}}}'.encode()
    header += b" " * (-len(header) % 8)
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + (b"1234" if "0,4]" in entry else b""))
    with pytest.raises(FileError):
        load(tmp_path / "a")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_files_without_end_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    program = (
        "import sys, lucid\n"
        "for path in sys.argv[1:]:\n"
        "    for reader in (lucid.load, lucid.load_checkpoint):\n"
        "        try:\n            reader(path)\n"
        "        except lucid.errors.FileError as error:\n            print(error)\n"
    )
    command = [sys.executable, "-c", program, "/dev/zero", str(tmp_path / "pipe")]
    done = subprocess.run(command, env=PATHS, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.count("is a pipe, a device or a socket, not a file") == 4
