"""Bidirectional RNN, LSTM and GRU, compared with PyTorch; gradients of second order, with central differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from tests.tiers import thinned

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
T, N, F, H = 5, 4, 3, 2
LENGTHS = [3, 5, 1, 4]

each_layer = pytest.mark.parametrize("layer", LAYERS)


def twin_of(model, torch):
    options = {
        name: getattr(model, name)
        for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")
    }
    twin = getattr(torch.nn, type(model).__name__)(**options, dtype=getattr(torch, str(model.weight_ih_l0.dtype)))
    twin.load_state_dict({name: torch.tensor(t.numpy()) for name, t in model.state_dict().items()})
    return twin


def parts_of(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("form", ["time first", "batch first", "unbatched", "packed", "packed batch first"])
@each_layer
def test_like_pytorch(layer, form, dtype, torch):
    """All combinations of options: values, and the gradients of input, states and parameters."""
    rng = np.random.default_rng(1)
    for layers, bias, with_state in itertools.product((1, 2), (True, False), (True, False)):
        model = layer(F, H, layers, bias=bias, batch_first="batch first" in form, bidirectional=True, dtype=dtype)
        array = rng.normal(size=(T, N, F)).astype(dtype)
        states = rng.normal(size=(2, layers * 2, N, H)).astype(dtype)
        if form == "unbatched":
            array, states = array[:, 0], states[:, :, 0]
        elif "batch first" in form:
            array = array.swapaxes(0, 1)
        results = []
        for library, runs in ((lucid, model), (torch, twin_of(model, torch))):
            x = library.tensor(array.copy(), requires_grad=True)
            given = x
            if "packed" in form:
                pack = library.nn.utils.rnn.pack_padded_sequence
                given = pack(x, library.tensor(LENGTHS), "batch first" in form, enforce_sorted=False)
            hx = [library.tensor(s.copy(), requires_grad=True) for s in states[: 2 if layer is nn.LSTM else 1]]
            output, final = runs(given, *([] if not with_state else [tuple(hx)] if layer is nn.LSTM else hx))
            if "packed" in form:
                output, _ = library.nn.utils.rnn.pad_packed_sequence(output, "batch first" in form, total_length=T)
            found = [output, *parts_of(final)]
            loss = 0
            for i, y in enumerate(found):
                weigh = library.tensor(np.cos(i + np.arange(y.numel()))).reshape(y.shape).to(y.dtype)
                loss = loss + (y * y * weigh).sum()
            loss.backward()
            found = [y.detach().numpy() for y in found]
            results.append(found + [leaf.grad.numpy() for leaf in [x, *hx * with_state, *runs.parameters()]])
        assert results[0][0].dtype == dtype
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@each_layer
def test_it_is_two_layers_of_one_direction(layer):
    """Without PyTorch: each sequence is reversed within its own length, and its padding affects nothing."""
    lucid.manual_seed(0)
    both, one = layer(F, H, bidirectional=True), layer(F, H)
    array = np.random.default_rng(0).normal(size=(T, N, F)).astype(np.float32)
    for i, n in enumerate(LENGTHS):
        array[n:, i] = np.nan
    x = lucid.tensor(array, requires_grad=True)
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    output, final = both(packed)
    found = nn.utils.rnn.pad_packed_sequence(output)[0]
    for i, n in enumerate(LENGTHS):
        alone = lucid.tensor(array[:n, i])
        for d, end in enumerate(("", "_reverse")):
            one.load_state_dict({name: getattr(both, name + end).detach() for name, _ in one.named_parameters()})
            steps, last = one(alone.flip(0) if d else alone)
            expected = (steps.flip(0) if d else steps).detach().numpy()
            np.testing.assert_allclose(found[:n, i, d * H : d * H + H].detach().numpy(), expected, atol=1e-6)
            for ours, theirs in zip(parts_of(final), parts_of(last), strict=True):
                np.testing.assert_allclose(ours[d, i].detach().numpy(), theirs[0].detach().numpy(), atol=1e-6)
        assert not found[n:, i].detach().numpy().any()
    (found * found).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert all(np.isfinite(p.grad.numpy()).all() for p in both.parameters())


@pytest.mark.parametrize(
    ("layer", "packed"), thinned(itertools.product((nn.GRU, nn.LSTM, nn.RNN), (True, False)), 6, arguments=2)
)
def test_gradients_of_both_orders(layer, packed):
    rng = np.random.default_rng(2)
    model = layer(2, 2, bidirectional=True, dtype="float64")
    names = [name for name, _ in model.named_parameters()]
    x = lucid.tensor(rng.normal(size=(3, 2, 2)), requires_grad=True)
    hx = [lucid.tensor(rng.normal(size=(2, 2, 2)), requires_grad=True) for _ in range(2 if layer is nn.LSTM else 1)]

    def forward(x, *rest):
        model._parameters.update(zip(names, rest[len(hx) :], strict=True))
        given = nn.utils.rnn.pack_padded_sequence(x, [3, 2], enforce_sorted=False) if packed else x
        output, final = model(given, rest[: len(hx)] if layer is nn.LSTM else rest[0])
        output = output.padded if packed else output
        return output * output, *(part * part for part in parts_of(final))

    parameters = [lucid.tensor(p.detach().numpy(), requires_grad=True) for p in model.parameters()]
    assert gradcheck(forward, [x, *hx, *parameters], atol=1e-6, rtol=1e-6)
    assert gradgradcheck(forward, [x, *hx, *parameters], atol=1e-5, rtol=1e-5)


@each_layer
def test_names_and_defaults(layer, torch):
    assert not layer(F, H).bidirectional
    ours, theirs = layer(F, H, 2, bidirectional=True), getattr(torch.nn, layer.__name__)(F, H, 2, bidirectional=True)
    assert [(name, p.shape) for name, p in ours.named_parameters()] == [
        (name, tuple(p.shape)) for name, p in theirs.named_parameters()
    ]
    assert repr(ours) == f"{layer.__name__}({F}, {H}, num_layers=2, bidirectional=True)"


@each_layer
def test_refusals(layer):
    model = layer(F, H, bidirectional=True)

    def run(*shape):
        hx = lucid.zeros(*shape)
        model(lucid.zeros(T, N, F), (hx, hx) if layer is nn.LSTM else hx)

    with pytest.raises(ValueError, match=r"must be \(2, 4, 2\) \(num_layers \* 2, batch, hidden_size\); got \(4, 2\)"):
        run(N, H)
    with pytest.raises(ValueError, match=r"must be \(2, 4, 2\) \(num_layers \* 2, batch, hidden_size\); got \(1, 4, 2"):
        run(1, N, H)
    with pytest.raises(TypeError, match="bidirectional must be a bool"):
        layer(F, H, bidirectional=1)
