"""What the README shows runs, what it names exists, and what it says of PyTorch is so.

The examples with ``>>>`` run as doctests; this is for all else.
"""

from __future__ import annotations

import importlib.util
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
@pytest.mark.filterwarnings("ignore")
def test_what_is_said_of_pytorch_is_so(torch: Any) -> None:
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")
    import onnxruntime

    model = torch.nn.RNN(3, 4).eval()

    def export(steps: int, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.onnx.export(model, (torch.randn(steps, 2, 3),), verbose=False, **options).model_proto

    if torch.__version__.split("+")[0].startswith("2.13."):
        # "5 time steps become 33 nodes, 20 become 123"
        assert [len(export(steps).graph.node) for steps in (5, 20)] == [33, 123]

    # "Asked for a dynamic time axis, it refuses"
    for options in (
        {"dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)},
        {"input_names": ["input"], "dynamic_axes": {"input": {0: "time"}}},
    ):
        with pytest.raises(Exception, match="Failed to export the model"):
            export(5, **options)

    # "or, with Dim.AUTO, ...: 9 in, 5 out, no error"
    proto = export(5, dynamic_shapes=({0: torch.export.Dim.AUTO},))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert isinstance(given.shape[0], str)
    assert session.run(None, {given.name: np.zeros((9, 2, 3), np.float32)})[0].shape == (5, 2, 4)


@pytest.mark.filterwarnings("ignore")
def test_weights_go_across_as_arrays(torch: Any) -> None:
    torch_model = torch.nn.RNN(3, 4, num_layers=2)
    model = lucid.nn.RNN(3, 4, num_layers=2)
    model.load_state_dict({name: w.numpy() for name, w in torch_model.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    for ours, theirs in zip(model(lucid.tensor(x)), torch_model(torch.tensor(x)), strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=0, atol=1e-6)
