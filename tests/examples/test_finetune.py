"""The example that fine-tunes Silero's detector, and the other files of that package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from examples.finetune import main, shipped, sound, windows

from ..importing.files import numbers, ort

pytestmark = pytest.mark.slow

FILES = {
    "silero_vad": (16000, 8000),
    "silero_vad_16k_op15": (16000,),
    "silero_vad_half": (),
    "silero_vad_op18_ifless": (16000, 8000),
    "silero_vad_openvino_16k": (),
}
"""The files that take a window and a state, and the rates that they take, if any."""


@pytest.fixture
def folder() -> Path:
    path = shipped()
    if path is None:
        pytest.skip("the package silero-vad is not installed")
    return path.parent


def test_made_sounds() -> None:
    signal, label = sound(8, np.random.default_rng(0))
    cut = windows(signal)
    assert cut.shape == (250, 576)
    np.testing.assert_array_equal(cut[:, 64:].ravel(), signal)
    np.testing.assert_array_equal(cut[1:, :64], cut[:-1, -64:])
    loud = np.sqrt((cut[:, 64:] ** 2).mean(1))
    assert np.median(loud[label == 1]) > 1.5 * np.median(loud[label == 0])


@pytest.mark.parametrize("name", FILES)
def test_a_detector(name: str, folder: Path) -> None:
    """Its branches on sizes and on the rate are decided; eager, it is onnxruntime's equal, and so is an export."""
    path = folder / f"{name}.onnx"
    model = lucid.from_onnx(path).eval()
    batch = 1 if "openvino" in name else 3
    for rate in FILES[name] or (None,):
        size = 288 if rate == 8000 else 576
        given = {"input": numbers(batch, size) * np.float32(0.1), "state": numbers(2, batch, 128)}
        more: dict[str, Any] = {} if rate is None else {"sr": rate}
        feeds = [np.array(rate) if key == "sr" else given[key] for key in model.input_names]
        wanted = ort(str(path), *feeds)

        def run(input: Any, state: Any, more: dict[str, Any] = more) -> Any:
            return model(input=input, state=state, **more)

        x, state = (lucid.tensor(value) for value in given.values())
        with lucid.no_grad():
            found = run(x, state)
        again = lucid.export.to_onnx(run, x, state, states={"state": "stateN"}, output_names=["output", "stateN"]).proto
        for y, exported, want in zip(found, ort(again, *given.values()), wanted, strict=True):
            np.testing.assert_allclose(y.numpy(), want, 1e-4, 1e-4)
            np.testing.assert_allclose(exported, want, 1e-4, 1e-4)
        if batch > 1:
            more_rows = [numbers(5, size) * np.float32(0.1), numbers(2, 5, 128)]
            others = dict(zip(("input", "state"), more_rows, strict=True))
            feeds = [np.array(rate) if key == "sr" else others[key] for key in model.input_names]
            for exported, want in zip(ort(again, *more_rows), ort(str(path), *feeds), strict=True):
                np.testing.assert_allclose(exported, want, 1e-4, 1e-4)


def test_finetune(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path / "detector.onnx"), "--seconds", "32", "--epochs", "2"])
    printed = capsys.readouterr().out
    right = [float(part) for part in re.findall(r"right[a-z ]*: ([\d.]+)%", printed)]
    assert len(right) == 3
    assert right[1] > right[0]
    assert abs(right[2] - right[1]) < 0.2
    assert lucid.runtime.Session(tmp_path / "detector.onnx").inputs[0].shape == ("time", 576)
