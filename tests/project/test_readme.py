"""The README: its code runs, its names exist, and its statements about PyTorch are true.

The examples with ``>>>`` run as doctests; this file covers the rest.
"""

from __future__ import annotations

import importlib.util
import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_example_runs_and_has_learnt_something(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "wave.onnx").is_file()
    wave = names["wave"].numpy()
    np.testing.assert_allclose(names["forecasts"][5:], wave[6:51], rtol=0, atol=0.1)
    assert len(block.split("from lucid import nn")[1].strip().splitlines()) == 10


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


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
def test_what_is_said_of_pytorch_is_so(torch: Any) -> None:
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")
    import onnxruntime

    rnn, lstm, gru = (kind(3, 4).eval() for kind in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU))
    Dim = torch.export.Dim

    def export(model: Any, steps: int, **axes: Any) -> Any:
        options = {"dynamic_shapes": (dict(enumerate(axes.values())),)} if axes else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.onnx.export(model, (torch.randn(steps, 2, 3),), verbose=False, **options).model_proto

    def shapes(proto: bytes, steps: int, batch: int = 2) -> tuple[Any, Any]:
        """Returns the declared time axis, and the shape of the output at these sizes."""
        session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        return given.shape[0], session.run(None, {given.name: np.zeros((steps, batch, 3), np.float32)})[0].shape

    if torch.__version__.split("+")[0].startswith("2.13."):
        # "5 time steps become 33 nodes, 20 become 123"
        assert [len(export(rnn, steps).graph.node) for steps in (5, 20)] == [33, 123]

    # "It fixes a time dimension with a name"
    assert shapes(export(rnn, 5, time=Dim("time")).SerializeToString(), 5) == (5, (5, 2, 4))

    # "9 in, 5 out, no error"
    name, shape = shapes(export(rnn, 5, time=Dim.AUTO).SerializeToString(), 9)
    assert (type(name), shape) == (str, (5, 2, 4))

    for model in (lstm, gru):
        # "the file crashes at other lengths"
        with pytest.raises(Exception, match="Reshape"):
            shapes(export(model, 5, time=Dim.AUTO).SerializeToString(), 7)
        # "or, exported from one step, returns (1, 21, 4) instead of (7, 3, 4)"
        assert shapes(export(model, 1, time=Dim.AUTO, batch=Dim.AUTO).SerializeToString(), 7, batch=3)[1] == (1, 21, 4)

    # "PyTorch's older exporter is right"
    for model in (rnn, lstm, gru):
        file = io.BytesIO()
        options = {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "time"}}}
        torch.onnx.export(model, (torch.randn(5, 2, 3),), file, **options)
        assert shapes(file.getvalue(), 7) == ("time", (7, 2, 4))


@pytest.mark.filterwarnings("ignore")
def test_weights_go_across_as_arrays(torch: Any) -> None:
    torch_model = torch.nn.RNN(3, 4, num_layers=2)
    model = lucid.nn.RNN(3, 4, num_layers=2)
    model.load_state_dict({name: w.numpy() for name, w in torch_model.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    for ours, theirs in zip(model(lucid.tensor(x)), torch_model(torch.tensor(x)), strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=0, atol=1e-6)
