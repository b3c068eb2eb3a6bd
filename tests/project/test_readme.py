"""The README: its program prints what is shown, and its names, links and commands exist.

The examples with ``>>>`` run as doctests; this file covers the rest.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from tests.project.readme import README, ROOT, program, same_output, shown


def test_the_program_prints_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "speakers.py"
    path.write_text(program(), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, path], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same_output(done.stdout, shown())
    assert (tmp_path / "speakers.onnx").is_file()
    assert len([line for line in program().splitlines() if line]) <= 15


def test_every_name_in_the_text_exists() -> None:
    spans = " ".join(re.findall(r"`([^`\n]+)`", README))
    names = set(re.findall(r"\b(?:lucid|nn)(?:\.[A-Za-z_]\w*)+", spans))
    assert {"nn.RNN", "lucid.export.to_onnx", "lucid.runtime.Session"} <= names
    for name in names:
        found: Any = lucid if name.startswith("lucid") else lucid.nn
        for part in name.split(".")[1:]:
            found = getattr(found, part)


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).is_file(), link


def test_every_command_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake (\w+)", README))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    modules = re.findall(r"python -m ([\w.]+)", README)
    assert modules
    for module in modules:
        assert importlib.util.find_spec(module), module


@pytest.mark.filterwarnings("ignore")
def test_weights_go_across_as_arrays(torch: Any) -> None:
    torch_model = torch.nn.RNN(3, 4, num_layers=2)
    model = lucid.nn.RNN(3, 4, num_layers=2)
    model.load_state_dict({name: w.numpy() for name, w in torch_model.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    for ours, theirs in zip(model(lucid.tensor(x)), torch_model(torch.tensor(x)), strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=0, atol=1e-6)
