"""LSTM with a projection of its output, compared with PyTorch and with its definition; exports."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.export import to_onnx
from lucid.runtime import Session

T, N, F, H, P = 5, 4, 3, 4, 2
LENGTHS = [3, 5, 1, 4]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_like_pytorch(packed, dtype, tolerance, torch):
    rng = np.random.default_rng(1)
    for layers, bidirectional, bias, with_state in itertools.product((1, 2), *[(True, False)] * 3):
        options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "proj_size": P}
        ours, theirs = nn.LSTM(F, H, **options, dtype=dtype), torch.nn.LSTM(F, H, **options)
        theirs = theirs.to(getattr(torch, dtype))
        assert [(name, p.shape) for name, p in ours.named_parameters()] == [
            (name, tuple(p.shape)) for name, p in theirs.named_parameters()
        ]
        theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
        count = layers * (2 if bidirectional else 1)
        arrays = [rng.normal(size=shape).astype(dtype) for shape in ((T, N, F), (count, N, P), (count, N, H))]
        results = []
        for library, model in ((lucid, ours), (torch, theirs)):
            x, *hx = (library.tensor(array.copy(), requires_grad=True) for array in arrays)
            pack = library.nn.utils.rnn.pack_padded_sequence
            given = pack(x, library.tensor(LENGTHS), enforce_sorted=False) if packed else x
            output, final = model(given, *[tuple(hx)] * with_state)
            output = library.nn.utils.rnn.pad_packed_sequence(output)[0] if packed else output
            found = [output, *final]
            sum((y * y).sum() * (i + 1) for i, y in enumerate(found)).backward()
            results.append(
                [y.detach().numpy() for y in found]
                + [leaf.grad.numpy() for leaf in [x, *hx * with_state, *model.parameters()]]
            )
        for a, b in zip(*results, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_it_is_the_loop_of_the_definition():
    model = nn.LSTM(F, H, proj_size=P, dtype="float64")
    x = lucid.randn(T, N, F).to("float64")
    h, c = lucid.zeros(N, P, dtype="float64"), lucid.zeros(N, H, dtype="float64")
    steps = []
    for t in range(T):
        total = nn.functional.linear(x[t], model.weight_ih_l0, model.bias_ih_l0) + nn.functional.linear(
            h, model.weight_hh_l0, model.bias_hh_l0
        )
        i, f, g, o = total.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = nn.functional.linear(o.sigmoid() * c.tanh(), model.weight_hr_l0)
        steps.append(h.detach().numpy())
    output, (h_n, c_n) = model(x)
    np.testing.assert_allclose(output.detach().numpy(), np.stack(steps), atol=1e-14)
    np.testing.assert_allclose(h_n[0].detach().numpy(), h.detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(c_n[0].detach().numpy(), c.detach().numpy(), atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False])
def test_gradients_of_both_orders(packed):
    model = nn.LSTM(2, 3, proj_size=2, dtype="float64")
    names = [name for name, _ in model.named_parameters()]

    def forward(x, h, c, *parameters):
        model._parameters.update(zip(names, parameters, strict=True))
        given = nn.utils.rnn.pack_padded_sequence(x, [3, 2], enforce_sorted=False) if packed else x
        output, final = model(given, (h, c))
        output = output.padded if packed else output
        return output * output, *(part * part for part in final)

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((3, 2, 2), (1, 2, 2), (1, 2, 3))]
    inputs = [lucid.tensor(a, requires_grad=True) for a in (*arrays, *(p.detach().numpy() for p in model.parameters()))]
    assert gradcheck(forward, inputs, atol=1e-6, rtol=1e-6)
    assert gradgradcheck(forward, inputs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_export_with_nan_padding(bidirectional):
    model = nn.LSTM(F, H, 2, bidirectional=bidirectional, proj_size=P)

    def forward(x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, final = model(packed)
        return nn.utils.rnn.pad_packed_sequence(output)[0], final

    exported = to_onnx(forward, lucid.randn(T, N, F), lucid.tensor(LENGTHS))
    assert exported.operators["Scan"] == (4 if bidirectional else 2)
    for steps, lengths in ((T, LENGTHS), (9, [9, 2])):
        x = np.random.default_rng(0).normal(size=(steps, len(lengths), F)).astype(np.float32)
        for i, n in enumerate(lengths):
            x[n:, i] = np.nan
        given = lucid.tensor(x, requires_grad=True)
        output, final = forward(given, lucid.tensor(lengths))
        for a, b in zip(Session(exported)(x, np.array(lengths)), (output, *final), strict=True):
            np.testing.assert_allclose(a, b.detach().numpy(), atol=1e-6)
        output.sum().backward()
        assert np.isfinite(given.grad.numpy()).all()
        assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())
        model.zero_grad()


def test_it_streams():
    model = nn.LSTM(F, H, proj_size=P)
    states = lucid.zeros(1, N, P), lucid.zeros(1, N, H)
    exported = to_onnx(model, lucid.randn(T, N, F), states)
    assert exported.axes == {"x": {0: "time", 1: "batch"}, "h0": {1: "batch"}, "c0": {1: "batch"}}
    assert exported.interface.states == {"h0": "h_n", "c0": "c_n"}
    stream = Session(exported).stream(batch=N)
    x = lucid.randn(7, N, F)
    pieces = [stream(piece.numpy())["output"] for piece in (x[:2], x[2:3], x[3:])]
    np.testing.assert_allclose(np.concatenate(pieces), model(x)[0].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_all_weights(layer):
    model = layer(F, H, 2, bidirectional=True)
    model.flatten_parameters()
    assert [p.shape for weights in model.all_weights for p in weights] == [p.shape for p in model.parameters()]
    assert [len(weights) for weights in model.all_weights] == [4] * 4
    assert model.all_weights[3][1] is model.weight_hh_l1_reverse
    assert [len(weights) for weights in layer(F, H, bias=False).all_weights] == [2]
    assert nn.LSTM(F, H, proj_size=P).all_weights[0][4].shape == (P, H)


def test_refusals():
    with pytest.raises(ValueError, match="proj_size is for LSTM, and smaller than hidden_size; got proj_size=4"):
        nn.LSTM(F, H, proj_size=H)
    with pytest.raises(ValueError, match="proj_size must be positive; got -1"):
        nn.LSTM(F, H, proj_size=-1)
    with pytest.raises(TypeError, match="proj_size must be an int"):
        nn.LSTM(F, H, proj_size=1.5)
    model, zeros = nn.LSTM(F, H, proj_size=P), lucid.zeros(1, N, H)
    with pytest.raises(ValueError, match=r"h_0 must be \(1, 4, 2\) \(num_layers, batch, proj_size\); got \(1, 4, 4\)"):
        model(lucid.zeros(T, N, F), (zeros, zeros))
