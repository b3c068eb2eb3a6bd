"""A type checker knows the types of a user's program, and finds the names in it that lucid does not have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lucid
from lucid import ops

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import lucid
from lucid import nn, optim
from lucid.nn import functional as F
from lucid.utils.data import DataLoader, TensorDataset

reveal_type(lucid.randn(2))  # Tensor
reveal_type(lucid.tanh(lucid.zeros(2)))  # Tensor
reveal_type(lucid.tensor([1.0]) + 1)  # Tensor
reveal_type(F.relu(lucid.ones(2)))  # Tensor
reveal_type(nn.Linear(2, 3).weight)  # Parameter
reveal_type(nn.Linear(2, 3).to("cpu"))  # Linear
reveal_type(lucid.device("cpu").type)  # str
reveal_type(lucid.cuda.is_available())  # bool
reveal_type(lucid.Generator().manual_seed(0))  # Generator
reveal_type(DataLoader(TensorDataset(lucid.ones(2))).batch_size)  # int | None
reveal_type(lucid.manual_seed(0))  # Generator
lucid.tanhh  # error
lucid.randn(2).tanhh()  # error
nn.Linearr  # error
F.reluu  # error
optim.Adamm  # error
lucid.data.DataLoadr  # error
lucid.zeros(2, dtyp="float32")  # error
"""


def expected() -> tuple[dict[int, str], list[int]]:
    """Returns the types by line, and the lines with an error."""
    comments = {n: line.partition("  # ")[2] for n, line in enumerate(PROGRAM.splitlines(), 1) if "  # " in line}
    return {n: text for n, text in comments.items() if text != "error"}, [
        n for n, text in comments.items() if text == "error"
    ]


def short(name: str) -> str:
    """Returns the name of a type without its modules."""
    return re.sub(r"\w+\.", "", name)


@pytest.mark.slow
def test_mypy_knows_the_types_of_a_program(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # With lucid's own settings, which are strict, and its cache: without that it takes minutes.
    run = subprocess.run(
        [sys.executable, "-m", "mypy", str(program)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    types, errors = expected()
    found = {int(n): short(name) for n, name in re.findall(r':(\d+): note: Revealed type is "(.*)"', run.stdout)}
    assert found == types, run.stdout + run.stderr
    assert [int(n) for n in re.findall(r":(\d+): error:", run.stdout)] == errors, run.stdout


@pytest.mark.slow
def test_pyright_knows_the_types_of_a_program(tmp_path: Path) -> None:
    """By basedpyright, whose package on PyPI is complete; that of pyright downloads its program when it is run."""
    pytest.importorskip("basedpyright")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "standard", "extraPaths": [str(ROOT)]})
    )
    run = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "program.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    types, errors = expected()
    found: dict[str, dict[int, str]] = {"information": {}, "error": {}}
    for entry in json.loads(run.stdout)["generalDiagnostics"]:
        found[entry["severity"]][entry["range"]["start"]["line"] + 1] = entry["message"]
    revealed = {n: short(re.findall('is "(.*)"', text)[0]) for n, text in found["information"].items()}
    assert revealed == types, run.stdout
    assert sorted(found["error"]) == errors, run.stdout


def test_lucid_lists_the_ops_that_it_exports() -> None:
    """The list is a literal, since type checkers read no other; it must name what is there."""
    assert not set(ops.__all__) - set(lucid.__all__)
    public = {name for name, thing in vars(ops).items() if callable(thing) and not name.startswith("_")}
    assert set(ops.__all__) == public
