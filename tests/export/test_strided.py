"""Layers behind a strided convolution: the number of time steps is a quotient."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from lucid.runtime import Session


class Strided(nn.Module):
    def __init__(self, layer, **options):
        super().__init__()
        self.conv = nn.Conv1d(5, 4, 3, stride=2, padding=1)
        self.layer = layer(4, 6, batch_first=True, **options)

    def forward(self, input):
        return self.layer(self.conv(input.transpose(1, 2)).transpose(1, 2))[0]


@pytest.mark.parametrize(
    ("layer", "options", "operator"),
    [(nn.RNN, {}, "RNN"), (nn.RNN, {"nonlinearity": "relu"}, "Scan"), (nn.LSTM, {}, "LSTM"), (nn.GRU, {}, "GRU")],
)
def test_any_length(layer, options, operator):
    model = Strided(layer, **options)
    exported = to_onnx(model, lucid.randn(3, 20, 5), lowering="scan" if operator == "Scan" else "auto")
    assert exported.proto.graph.output[0].type.tensor_type.shape.dim[1].dim_param == "(time+1)//2"
    assert exported.operators[operator] == 1
    assert set(exported.axes["input"]) == {0, 1}
    session = Session(exported)
    for shape in ((2, 7, 5), (1, 10, 5)):
        x = lucid.randn(*shape)
        np.testing.assert_allclose(session(x)[0], model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_unrolling_fixes_the_axis_that_the_number_of_steps_follows_from():
    model, x = Strided(nn.RNN), lucid.randn(3, 20, 5)
    exported = to_onnx(model, x, lowering="unrolled")
    assert exported.operators["MatMul"] == 10
    assert "unrolled over it" in exported.fixed["input"][1]
    with pytest.raises(ExportError, match="axis input_dim_1 is unrolled step by step"):
        to_onnx(model, x, lowering="unrolled", dynamic={"input": {1: "input_dim_1"}})
