"""Scopes: the modules that the nodes of a file come from, as different exporters write them."""

from __future__ import annotations

import warnings

import onnx
import onnx.helper as oh
import pytest

import lucid
from lucid import nn
from lucid.importing.node import scope_of
from lucid.tracer import trace

NAMES = {
    "lstm.l0/LSTM": "lstm.l0",
    "Gemm": "",
    "": "",
    "/lstm/LSTM": "lstm",
    "/encoder/rnn/Gather_1": "encoder.rnn",
    "/layers/layers.0/linear/Gemm": "layers.0.linear",
    "/a/layers/layers.1/layers/layers.0/Gemm": "a.layers.1.layers.0",
    "/layer/layers.0/Gemm": "layer.layers.0",
}


@pytest.mark.parametrize("name", NAMES)
def test_scopes_of_names(name: str) -> None:
    assert scope_of(oh.make_node("Gemm", ["x"], ["y"], name=name)) == NAMES[name]


def test_scopes_of_notes() -> None:
    node = oh.make_node("Gemm", ["x"], ["y"], name="node_linear_3")
    node.metadata_props.append(
        onnx.StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value="['', 'layers', 'layers.0', 'linear']")
    )
    assert scope_of(node) == "layers.0"


def test_they_stand_in_traces_and_in_files_of_the_imported_module() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.GRU(4, 5)), lucid.randn(6, 2, 3)
    exported = lucid.export.to_onnx(model, x)
    imported = lucid.from_onnx(exported.proto)
    assert {node.scope for node in trace(imported, x).nodes} >= {"0", "1", "2.l0"}
    again = lucid.export.to_onnx(imported, x)
    for proto in (exported.proto, again.proto):
        assert {scope_of(node) for node in proto.graph.node} >= {"0", "1", "2.l0"}
    outer = nn.Sequential(lucid.from_onnx(exported.proto), nn.Identity())
    assert {node.scope for node in trace(outer, x).nodes} >= {"0.0", "0.1", "0.2.l0"}


def test_weights_in_lists_of_modules_are_named_as_in_torch(torch, tmp_path) -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc = layers

        def forward(self, x):
            return self.enc(x)

    model = Encoder().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.randn(2, 6, 4),), tmp_path / "model.onnx", dynamo=False)
    imported = lucid.from_onnx(tmp_path / "model.onnx")
    assert {name for name, _ in imported.named_parameters()} == model.state_dict().keys()
    found = {row.path: row.multiply_adds for row in lucid.summary(imported, lucid.randn(2, 6, 4)).rows}
    assert found == {"": 576, "enc": 576, "enc.0": 384, "enc.1": 0, "enc.2": 192}
