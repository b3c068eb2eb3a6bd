"""The tutorials run as scripts, and what they claim is so."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "tutorials"
TUTORIALS = sorted(path.stem for path in FOLDER.glob("plot_*.py"))


def classify(names: dict[str, Any]) -> None:
    assert names["accuracy"] > 0.93
    assert np.isfinite(names["session"](names["spoiled"].frames, names["spoiled"].lengths)["scores"]).all()


def forecast(names: dict[str, Any]) -> None:
    assert names["error"] < 1.4 < names["naive"]


def write(names: dict[str, Any]) -> None:
    assert names["tested"] < 3.7 < names["single"]
    assert len(names["written"]) == 304


def stream(names: dict[str, Any]) -> None:
    assert names["difference"] < 1e-4
    assert names["error"] < 0.6 * names["naive"]
    assert "mean at" in str(names["said"])


CLAIMS = {"plot_1_classify": classify, "plot_2_forecast": forecast, "plot_3_write": write, "plot_4_stream": stream}


def test_each_tutorial_has_its_claims() -> None:
    assert list(CLAIMS) == TUTORIALS


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyplot, "show", lambda: None)
    matplotlib.use("agg")
    names = runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert pyplot.get_fignums()
    pyplot.close("all")
    CLAIMS[name](names)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_is_short(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8").split('"""', 2)[2]
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 65
