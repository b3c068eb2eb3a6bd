"""nn.LSTM and nn.GRU as ONNX, in every lowering. The export itself compares values with onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from tests.tiers import thinned

T, N, F, H = 5, 3, 3, 4
LAYERS = [nn.LSTM, nn.GRU]
LOWERINGS = ["rnn", "scan", "unrolled", "columns"]
GUARD = {"ReduceL1": 1, "Less": 1, "If": 1}
"""What tells whether a Scan must compute the results, since something is not finite."""

each_layer = pytest.mark.parametrize("layer", LAYERS)
each_lowering = pytest.mark.parametrize("lowering", LOWERINGS)


def states(layer, layers=1, dtype="float32"):
    hx = [lucid.randn(layers, N, H).to(dtype) for _ in range(2 if layer is nn.LSTM else 1)]
    return tuple(hx) if layer is nn.LSTM else hx[0]


def run(exported, *arrays):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(exported.input_names, arrays, strict=True)))


@each_layer
def test_one_layer_is_minimal(layer):
    exported = to_onnx(layer(F, H), lucid.randn(T, N, F))
    assert exported.operators == {layer.__name__: 1, "Squeeze": 1, **GUARD}
    assert exported.axes == {"x": {0: "time", 1: "batch"}}
    assert exported.input_names == ["x"]
    assert exported.output_names == ["output", "h_n"] + ["c_n"] * (layer is nn.LSTM)


@each_layer
def test_states_are_inputs_and_outputs(layer):
    exported = to_onnx(layer(F, H, 2), lucid.randn(T, N, F), states(layer, 2))
    assert exported.input_names == ["x", "h0"] + ["c0"] * (layer is nn.LSTM)
    assert exported.output_names == ["output", "h_n"] + ["c_n"] * (layer is nn.LSTM)
    assert exported.axes["h0"] == {1: "batch"}


@each_layer
def test_states_feed_the_next_call(layer):
    model = layer(F, H, 2)
    exported = to_onnx(model, lucid.randn(T, N, F), states(layer, 2))
    x = np.random.default_rng(0).normal(size=(9, 2, F)).astype(np.float32)
    held = [np.zeros((2, 2, H), np.float32) for _ in exported.input_names[1:]]
    outputs = []
    for start in (0, 4, 6):
        output, *held = run(exported, x[start : start + (4, 2, 3)[start // 3]], *held)
        outputs.append(output)
    expected = model(lucid.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(np.concatenate(outputs), expected, atol=1e-6)


@each_lowering
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(
    ("layers", "bias", "batch_first"), thinned([(2, False, True), (1, True, False), (3, True, True)], 3, arguments=3)
)
@each_layer
def test_every_option(layer, layers, bias, batch_first, with_state, lowering):
    model = layer(F, H, layers, bias, batch_first)
    x = lucid.randn(*((N, T) if batch_first else (T, N)), F)
    exported = to_onnx(model, x, *[states(layer, layers)] * with_state, lowering=lowering)
    time = 1 if batch_first else 0
    if lowering == "unrolled":
        assert "lowering='scan'" in exported.fixed["x"][time]
    else:
        assert exported.axes["x"] == {time: "time", 1 - time: "batch"}
    assert exported.operators.get(layer.__name__, 0) == (layers if lowering == "rnn" else 0)
    assert exported.operators.get("Scan", 0) == (layers if lowering in ("scan", "columns") else 0)


@each_lowering
@each_layer
def test_one_step(layer, lowering):
    to_onnx(layer(F, H), lucid.randn(1, N, F), states(layer), lowering=lowering, dynamic=None)


@each_lowering
@each_layer
def test_lengths(layer, lowering):
    model = layer(F, H, 2)

    def forward(x, lengths, hx):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, final = model(packed, hx)
        return nn.utils.rnn.pad_packed_sequence(output)[0], final

    x = lucid.randn(T, N, F)
    exported = to_onnx(forward, x, lucid.tensor([2, 5, 1]), states(layer, 2), lowering=lowering)
    hostile = x.numpy().copy()
    for i, n in enumerate([2, 5, 1]):
        hostile[n:, i] = np.nan if lowering != "rnn" else 1e30
    hx = [np.ones((2, N, H), np.float32) for _ in exported.input_names[2:]]
    found = run(exported, hostile, np.array([2, 5, 1]), *hx)
    clean = run(exported, np.nan_to_num(hostile, nan=0.0) * (np.abs(hostile) < 1e9), np.array([2, 5, 1]), *hx)
    for a, b in zip(found, clean, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@each_layer
def test_float64_is_a_scan(layer):
    exported = to_onnx(layer(F, H, dtype="float64"), lucid.randn(T, N, F).to("float64"), states(layer, 1, "float64"))
    assert exported.operators["Scan"] == 1
    assert exported.axes["x"] == {0: "time", 1: "batch"}
    assert exported.report.difference < 1e-12
    with pytest.raises(ExportError, match=f"no {layer.__name__} operator for float64; use lowering='scan'"):
        to_onnx(layer(F, H, dtype="float64"), lucid.randn(T, N, F).to("float64"), lowering="rnn")


@pytest.mark.parametrize("opset", thinned([13, 18, 15, 21], 2))
@each_lowering
@each_layer
def test_opsets(layer, lowering, opset):
    to_onnx(layer(F, H), lucid.randn(T, N, F), lowering=lowering, opset=opset)


@each_layer
def test_without_an_example(layer):
    assert to_onnx(layer(F, H)).axes == {"x": {0: "time", 1: "batch"}}


# --- graphs with gradients


def loss_and_gradients(model, head, lengths):
    def step(x, y, *counts):
        given = nn.utils.rnn.pack_padded_sequence(x, counts[0], enforce_sorted=False) if lengths else x
        output, final = model(given)
        last = final[0][-1] if isinstance(final, tuple) else final[-1]
        loss = nn.functional.mse_loss(head(last), y)
        if isinstance(final, tuple):
            loss = loss + (final[1] * final[1]).mean()
        loss = loss + ((output.padded if lengths else output) ** 2).mean()
        parameters = [*model.parameters(), *head.parameters()]
        return loss, *lucid.autograd.grad(loss, parameters)

    return step


@pytest.mark.parametrize("lowering", thinned(["auto", *LOWERINGS], 5))
@pytest.mark.parametrize("lengths", [True, False])
@each_layer
def test_loss_with_gradients(layer, lengths, lowering):
    step = loss_and_gradients(layer(F, H, 2), nn.Linear(H, 1), lengths)
    inputs = [lucid.randn(T, N, F), lucid.randn(N, 1), *[lucid.tensor([2, 5, 1])] * lengths]
    exported = to_onnx(step, *inputs, lowering=lowering)
    if lowering == "auto":
        assert exported.operators["Scan"] == 4
        assert exported.axes["x"] == {0: "time", 1: "batch"}


@each_layer
def test_gates_that_the_operator_does_not_give_are_computed_again(layer):
    """Only a gradient needs these gates. An LSTM takes one more Scan, for the cells, without matrix products."""
    step = loss_and_gradients(layer(F, H), nn.Linear(H, 1), False)
    operators = to_onnx(step, lucid.randn(T, N, F), lucid.randn(N, 1), lowering="rnn").operators
    assert operators[layer.__name__] == 1
    assert operators["Scan"] == (2 if layer is nn.LSTM else 1)
    operators = to_onnx(layer(F, H), lucid.randn(T, N, F), lowering="rnn").operators
    assert operators == {layer.__name__: 1, "Squeeze": 1, **GUARD}


@pytest.mark.parametrize("dtype", thinned(["float32", "float64"], 2))
@each_layer
@pytest.mark.parametrize("lowering", thinned(["auto", "columns"], 2))
def test_second_order(layer, dtype, lowering):
    """A penalty on the gradient of the input. The gradient of the backward loop is a loop forward in time."""
    model = layer(F, H, 2, dtype=dtype)

    def penalty(x):
        output, _ = model(x.requires_grad_())
        (g,) = lucid.autograd.grad((output * output).sum(), x, create_graph=True)
        return lucid.autograd.grad((g * g).sum(), list(model.parameters()))

    exported = to_onnx(
        penalty, (lucid.randn(T, N, F) * 0.3).to(dtype), rtol=1e-4 if dtype == "float32" else None, lowering=lowering
    )
    assert exported.axes["x"] == {0: "time", 1: "batch"}
    assert exported.operators["Scan"] >= 6


# --- cells


CELLS = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]


@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_plain_nodes(cell):
    state = lucid.randn(N, H)
    exported = to_onnx(cell(F, H), lucid.randn(N, F), (state, state * 2) if cell is nn.LSTMCell else state)
    assert list(exported.axes["x"]) == [0]
    assert not exported.operators.keys() & {"RNN", "LSTM", "GRU", "Scan", "Loop"}
    assert exported.input_names == ["x", "h"] + ["c"] * (cell is nn.LSTMCell)
    assert exported.output_names == ["h_next"] + ["c_next"] * (cell is nn.LSTMCell)


@pytest.mark.parametrize("cell", CELLS)
def test_a_loop_over_a_cell_has_a_fixed_length_and_says_so(cell):
    class Stepwise(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell(F, H)

        def forward(self, x):
            state, outputs = None, []
            for t in range(x.shape[0]):
                state = self.cell(x[t], state)
                outputs.append(state[0] if isinstance(state, tuple) else state)
            return lucid.stack(outputs)

    exported = to_onnx(Stepwise(), lucid.randn(T, N, F))
    assert list(exported.axes["x"]) == [1]
    assert "uses it as a plain number, as in range()" in exported.fixed["x"][0]
