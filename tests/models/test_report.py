"""models.report: tables, and when matplotlib is loaded."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models import characters, electricity, report, vowels

from .running import ROOT


def test_a_table_is_aligned() -> None:
    assert report.table([["", "eager", "b"], ["accuracy", "97.8%", "1"], ["x", "3", "1000"]]) == (
        "          eager     b\n---------------------\naccuracy  97.8%     1\nx             3  1000"
    )


@pytest.mark.slow
def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, models.characters, models.electricity, models.vowels; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_model_does_not_train_without_matplotlib(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for model in (characters, electricity, vowels):
        with pytest.raises(SystemExit, match=r"pip install 'lucid-onnx\[plot\]'"):
            model.main(["--epochs", "1", "--out", str(tmp_path)])
    assert not [*tmp_path.iterdir()]
