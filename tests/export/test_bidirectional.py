"""Bidirectional RNN, LSTM and GRU as ONNX, in every lowering. The export itself compares values with onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx
from lucid.runtime import Session, compile, compile_backward
from tests.tiers import thinned

T, N, F, H = 5, 3, 3, 4
LENGTHS = [2, 5, 1]
LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
LOWERINGS = ["rnn", "scan", "unrolled", "columns"]
GUARD = {"ReduceL1": 1, "Less": 1, "If": 1}

each_layer = pytest.mark.parametrize("layer", thinned(LAYERS, 3))
each_lowering = pytest.mark.parametrize("lowering", LOWERINGS)


def made(layer, layers=1, **options):
    lucid.manual_seed(0)
    return layer(F, H, layers, bidirectional=True, **options)


def states(layer, layers=1, dtype="float32"):
    hx = [lucid.randn(2 * layers, N, H).to(dtype) for _ in range(2 if layer is nn.LSTM else 1)]
    return tuple(hx) if layer is nn.LSTM else hx[0]


def arrays_of(*tree):
    return [a for part in tree for a in (arrays_of(*part) if isinstance(part, tuple) else [part.detach().numpy()])]


def run(exported, *arrays):
    """Runs a file in onnxruntime itself, with its guards."""
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(exported.input_names, arrays, strict=True)))


def packing(model):
    def forward(x, lengths, *hx):
        output, final = model(nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False), *hx)
        return nn.utils.rnn.pad_packed_sequence(output)[0], final

    return forward


def padded(rng, steps, lengths, padding):
    x = rng.normal(size=(steps, len(lengths), F)).astype(np.float32)
    for i, n in enumerate(lengths):
        x[n:, i] = padding
    return x


@each_layer
def test_one_layer_is_one_operator(layer):
    exported = to_onnx(made(layer), lucid.randn(T, N, F))
    guard = GUARD if layer is not nn.RNN else {}
    assert exported.operators == {layer.__name__: 1, "Transpose": 1, "Reshape": 1, **guard}
    assert exported.axes == {"x": {0: "time", 1: "batch"}}
    nodes = [node for node in exported.proto.graph.node if node.op_type == layer.__name__]
    directions = [a.s for node in nodes for a in node.attribute if a.name == "direction"]
    assert directions == [b"bidirectional"]
    with_states = to_onnx(made(layer), lucid.randn(T, N, F), states(layer))
    sums = {"ReduceL1": 3 if layer is nn.LSTM else 2, "Sum": 1} if guard else {}
    assert with_states.operators == {**exported.operators, **sums}
    assert with_states.axes["h0"] == {1: "batch"}


@each_lowering
@pytest.mark.parametrize("with_state", thinned([True, False], 2))
@pytest.mark.parametrize(
    ("layers", "bias", "batch_first"),
    thinned([(2, False, True), (1, True, False), (3, True, True)], 3, arguments=3, sample=2),
)
@each_layer
def test_every_option(layer, layers, bias, batch_first, with_state, lowering):
    model = made(layer, layers, bias=bias, batch_first=batch_first)
    x = lucid.randn(*((N, T) if batch_first else (T, N)), F)
    exported = to_onnx(model, x, *[states(layer, layers)] * with_state, lowering=lowering)
    time = 1 if batch_first else 0
    if lowering == "unrolled":
        assert "lowering='scan'" in exported.fixed["x"][time]
    else:
        assert exported.axes["x"] == {time: "time", 1 - time: "batch"}
    assert exported.operators.get(layer.__name__, 0) == (layers if lowering == "rnn" else 0)
    assert exported.operators.get("Scan", 0) == (2 * layers if lowering in ("scan", "columns") else 0)


@each_lowering
@pytest.mark.parametrize("with_state", thinned([True, False], 2))
@each_layer
def test_lengths_with_nan_padding(layer, with_state, lowering):
    model = made(layer, 2)
    forward = packing(model)
    hx = [states(layer, 2)] * with_state
    exported = to_onnx(forward, lucid.randn(T, N, F), lucid.tensor(LENGTHS), *hx, lowering=lowering)
    assert exported.operators.get(layer.__name__, 0) == (2 if lowering == "rnn" else 0)
    if lowering == "rnn":
        assert "ReverseSequence" not in exported.operators
    rng = np.random.default_rng(1)
    cases = [(T, LENGTHS)] if lowering == "unrolled" else [(T, LENGTHS), (9, [9, 4, 1]), (1, [1, 1, 1])]
    for steps, lengths in cases:
        x = padded(rng, steps, lengths, np.nan)
        found = run(exported, x, np.array(lengths), *arrays_of(*hx))
        expected = arrays_of(*forward(lucid.tensor(x), lucid.tensor(lengths), *hx))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@each_layer
def test_lengths_like_pytorch(layer, torch):
    """Trained weights move to PyTorch by name; the file gives what PyTorch gives, at unseen sizes."""
    model = made(layer)
    twin = getattr(torch.nn, layer.__name__)(F, H, bidirectional=True)
    twin.load_state_dict({name: torch.tensor(t.numpy()) for name, t in model.state_dict().items()})
    session = Session(to_onnx(packing(model), lucid.randn(T, N, F), lucid.tensor(LENGTHS)))
    rng = np.random.default_rng(3)
    for lengths in ([7, 2, 6, 3], [1], [4, 4]):
        x = padded(rng, max(lengths), lengths, np.nan)
        with torch.no_grad():
            packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, enforce_sorted=False)
            output, final = twin(packed)
        expected = [torch.nn.utils.rnn.pad_packed_sequence(output)[0], *(final if layer is nn.LSTM else [final])]
        for a, b in zip(session(x, np.array(lengths)), expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=1e-6)


@pytest.mark.parametrize("lengths", thinned([True, False], 2))
@each_layer
def test_nan_and_infinity_reach_the_result(layer, lengths):
    """The operators make numbers of NaN; the guard runs two Scans instead."""
    model = made(layer)
    function = packing(model) if lengths else model
    exported = to_onnx(function, lucid.randn(T, N, F), *[lucid.tensor(LENGTHS)] * lengths, lowering="rnn")
    for value in (np.nan, np.inf):
        x = np.random.default_rng(2).normal(size=(T, N, F)).astype(np.float32)
        x[3, 1, 0] = value
        given = [x, *[np.array(LENGTHS)] * lengths]
        expected = arrays_of(*function(*map(lucid.tensor, given)))
        for a, b in zip(run(exported, *given), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6, equal_nan=True)
        if np.isnan(value):
            assert np.isnan(expected[0]).any()


@pytest.mark.parametrize("lowering", ["rnn", "scan", "unrolled"])
def test_relu(lowering):
    exported = to_onnx(made(nn.RNN, nonlinearity="relu"), lucid.randn(T, N, F), lowering=lowering)
    assert exported.operators.get("RNN", 0) == (lowering == "rnn")
    x = np.random.default_rng(2).normal(size=(T, N, F)).astype(np.float32)
    x[3, 1, 0] = np.nan
    expected = arrays_of(*made(nn.RNN, nonlinearity="relu")(lucid.tensor(x)))
    for a, b in zip(run(exported, x), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6, equal_nan=True)


@each_layer
def test_float64(layer):
    model = made(layer, dtype="float64")
    exported = to_onnx(model, lucid.randn(T, N, F).to("float64"), states(layer, 1, "float64"))
    assert exported.operators["Scan"] == 2
    assert exported.axes["x"] == {0: "time", 1: "batch"}
    assert exported.report.difference < 1e-12
    with pytest.raises(ExportError, match=f"no {layer.__name__} operator for float64"):
        to_onnx(model, lucid.randn(T, N, F).to("float64"), lowering="rnn")


@pytest.mark.parametrize("opset", thinned([13, 18, 21], 3))
@each_layer
def test_opsets(layer, opset):
    to_onnx(packing(made(layer)), lucid.randn(T, N, F), lucid.tensor(LENGTHS), opset=opset)


@pytest.mark.parametrize("precision", thinned(["int8", "float16"], 2))
@pytest.mark.parametrize("layer", thinned(LAYERS, 3))
def test_precisions(layer, precision):
    lucid.manual_seed(0)
    model = layer(64, 256, bidirectional=True)
    exported = to_onnx(packing(model), lucid.randn(T, N, 64), lucid.tensor(LENGTHS), precision=precision)
    assert exported.operators.get("MatMulInteger", 0) >= (2 if precision == "int8" else 0)
    x = np.random.default_rng(5).normal(size=(7, 2, 64)).astype(np.float32)
    lengths = np.array([7, 3])
    expected = arrays_of(*packing(model)(lucid.tensor(x), lucid.tensor(lengths)))
    for a, b in zip(Session(exported)(x, lengths), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=0.02)


@each_layer
def test_what_else_reads_a_direction_is_kept(layer):
    """Only where nothing but the joined result is read can one operator stand for both directions."""
    model = made(layer)
    ahead, back = layer(F, H), layer(F, H)

    def by_hand(x):
        output, _ = ahead(x)
        reverse, _ = back(x.flip(0))
        return lucid.cat([output, reverse.flip(0)], -1), reverse

    to_onnx(by_hand, lucid.randn(T, N, F))
    exported = to_onnx(lambda x: model(x)[0], lucid.randn(T, N, F))
    assert exported.operators[layer.__name__] == 1
    exported = to_onnx(lambda x: model(x)[1], lucid.randn(T, N, F))
    assert layer.__name__ in exported.operators


@each_layer
def test_an_empty_batch(layer):
    session = Session(to_onnx(made(layer), lucid.randn(T, N, F)))
    output, *final = session(np.zeros((4, 0, F), np.float32))
    assert output.shape == (4, 0, 2 * H)
    assert {part.shape for part in final} == {(2, 0, H)}
    model = made(layer)
    later = Session(to_onnx(lambda x: model(x[:, 1:])[0], lucid.randn(T, N, F)))
    assert later(np.zeros((4, 1, F), np.float32))[0].shape == (4, 0, 2 * H)


@each_layer
def test_no_stream(layer):
    for hx in ((), (states(layer),)):
        exported = to_onnx(made(layer), lucid.randn(T, N, F), *hx)
        assert not exported.interface.states
        with pytest.raises(ValueError, match=r"starts from the end of a sequence.*a layer of one direction"):
            Session(exported).stream()


# --- graphs with gradients, compiled


def loss_of(model, lengths):
    def step(x, *counts):
        given = nn.utils.rnn.pack_padded_sequence(x, counts[0], enforce_sorted=False) if lengths else x
        output, final = model(given)
        last = final if isinstance(final, tuple) else (final,)
        loss = sum((part * part).mean() for part in last) + ((output.padded if lengths else output) ** 2).mean()
        return loss, *lucid.autograd.grad(loss, list(model.parameters()))

    return step


@pytest.mark.parametrize("lowering", thinned(["auto", *LOWERINGS], 5))
@pytest.mark.parametrize("lengths", thinned([True, False], 2))
@each_layer
def test_loss_with_gradients(layer, lengths, lowering):
    inputs = [lucid.randn(T, N, F), *[lucid.tensor(LENGTHS)] * lengths]
    exported = to_onnx(loss_of(made(layer, 2), lengths), *inputs, lowering=lowering)
    if lowering == "auto":
        assert exported.axes["x"] == {0: "time", 1: "batch"}


@pytest.mark.parametrize("layer", thinned(LAYERS, 3))
def test_second_order(layer):
    model = made(layer)

    def penalty(x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x.requires_grad_(), lengths, enforce_sorted=False)
        output = nn.utils.rnn.pad_packed_sequence(model(packed)[0])[0]
        (g,) = lucid.autograd.grad((output * output).sum(), x, create_graph=True)
        return lucid.autograd.grad((g * g).sum(), list(model.parameters()))

    to_onnx(penalty, lucid.randn(T, N, F), lucid.tensor(LENGTHS), rtol=1e-4)


@each_layer
def test_batches_are_separable(layer):
    lengths = lucid.tensor(LENGTHS)
    exported = to_onnx(packing(made(layer)), lucid.randn(T, N, F), lengths)
    assert exported.separation is not None


@pytest.mark.parametrize("layer", thinned(LAYERS, 3))
def test_compiled(layer):
    model = made(layer, 2).eval()
    compiled = compile(model)
    for shape in ((T, N, F), (9, 2, F)):
        x = lucid.randn(*shape)
        for a, b in zip(arrays_of(*compiled(x)), arrays_of(*model(x)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("layer", thinned(LAYERS, 3))
def test_compiled_backward(layer):
    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = made(layer)

        def forward(self, x, lengths):
            return (packing(self.layer)(x, lengths)[0] ** 2).mean()

    model, twin = Loss(), Loss()
    compiled = compile_backward(model)
    for steps, lengths in ((T, LENGTHS), (9, [9, 4])):
        x = lucid.randn(steps, len(lengths), F)
        for each in (model, twin):
            each.zero_grad()
        compiled(x, lucid.tensor(lengths))
        twin(x, lucid.tensor(lengths)).backward()
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-6)
