"""nn.LSTM and nn.GRU, compared with PyTorch and with their cells; gradients, with central differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.tracer import OPS
from tests.tiers import thinned

LAYERS = [nn.LSTM, nn.GRU]
TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-5}, "float64": {"rtol": 1e-10, "atol": 1e-10}}
T, N, F, H = 5, 4, 3, 2
LENGTHS = [3, 5, 1, 4]
FORMS = ["time first", "batch first", "unbatched", "unbatched batch first", "sorted", "unsorted", "packed batch first"]

each_layer = pytest.mark.parametrize("layer", LAYERS)


def twin_of(model):
    torch = pytest.importorskip("torch")
    options = {
        name: getattr(model, name) for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first")
    }
    twin = getattr(torch.nn, type(model).__name__)(**options, dtype=getattr(torch, str(model.weight_ih_l0.dtype)))
    twin.load_state_dict({name: torch.tensor(t.numpy()) for name, t in model.state_dict().items()})
    return twin


def parts_of(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
@each_layer
def test_like_pytorch(layer, form, dtype, torch):
    """All combinations of options: values, and the gradients of input, states and parameters."""
    rng = np.random.default_rng(1)
    packed = form in ("sorted", "unsorted", "packed batch first")
    lengths = sorted(LENGTHS, reverse=True) if form == "sorted" else LENGTHS
    for layers, bias, with_state in itertools.product((1, 2, 3), (True, False), (True, False)):
        model = layer(F, H, layers, bias, "batch first" in form, dtype=dtype)
        array = rng.normal(size=(T, N, F)).astype(dtype)
        states = rng.normal(size=(2, layers, N, H)).astype(dtype)
        if form.startswith("unbatched"):
            array, states = array[:, 0], states[:, :, 0]
        elif "batch first" in form:
            array = array.swapaxes(0, 1)
        results = []
        for library, runs in ((lucid, model), (torch, twin_of(model))):
            x = library.tensor(array.copy(), requires_grad=True)
            given = x
            if packed:
                pack = library.nn.utils.rnn.pack_padded_sequence
                given = pack(x, library.tensor(lengths), "batch first" in form, enforce_sorted=form == "sorted")
            hx = [library.tensor(s.copy(), requires_grad=True) for s in states[: 2 if layer is nn.LSTM else 1]]
            arguments = [] if not with_state else [tuple(hx)] if layer is nn.LSTM else hx
            output, final = runs(given, *arguments)
            assert isinstance(final, tuple) is (layer is nn.LSTM)
            if packed:
                unpack = library.nn.utils.rnn.pad_packed_sequence
                output, _ = unpack(output, "batch first" in form, total_length=T)
            found = [output, *parts_of(final)]
            loss = 0
            for i, y in enumerate(found):
                weigh = library.tensor(np.cos(i + np.arange(y.numel()))).reshape(y.shape).to(y.dtype)
                loss = loss + (y * y * weigh).sum()
            loss.backward()
            found = [y.detach().numpy() for y in found]
            wanted = [x, *hx * with_state, *runs.parameters()]
            results.append(found + [leaf.grad.numpy() for leaf in wanted])
        assert results[0][0].dtype == dtype
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, **TOLERANCE[dtype])


@each_layer
def test_state_dict_both_ways(layer, torch):
    theirs = getattr(torch.nn, layer.__name__)(F, H, 2)
    ours = layer(F, H, 2)
    assert [(name, tuple(t.shape)) for name, t in theirs.state_dict().items()] == [
        (name, t.shape) for name, t in ours.state_dict().items()
    ]
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(T, N, F)).astype(np.float32)
    np.testing.assert_allclose(
        ours(lucid.tensor(x))[0].detach().numpy(), theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-5, atol=1e-6
    )


@each_layer
def test_drawn_like_pytorch(layer):
    lucid.manual_seed(0)
    values = np.concatenate([p.detach().numpy().ravel() for p in layer(30, 25, 2).parameters()])
    assert 0.195 < np.abs(values).max() <= 0.2  # 1/√25
    assert abs(values.mean()) < 0.005
    assert abs(values.std() - 0.4 / 12**0.5) < 0.005


# --- against the cell


def by_cell(model, x, states, lengths):
    """The reference: runs the cells step by step. When a sequence has ended, its states stay."""
    cells = []
    for k in range(model.num_layers):
        cell = (nn.LSTMCell if isinstance(model, nn.LSTM) else nn.GRUCell)(
            model.input_size if k == 0 else model.hidden_size, model.hidden_size, model.bias, dtype=x.dtype
        )
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if model.bias else 2]:
            setattr(cell, name, getattr(model, f"{name}_l{k}"))
        cells.append(cell)
    finals = []
    for k, cell in enumerate(cells):
        held = [s[k] for s in states]
        outputs = []
        for t in range(x.shape[0]):
            counts = lucid.tensor((t < np.asarray(lengths))[:, None])
            new = parts_of(cell(x[t], tuple(held) if len(held) > 1 else held[0]))
            held = [lucid.where(counts, after, before) for after, before in zip(new, held, strict=True)]
            outputs.append(lucid.where(counts, new[0], 0.0))
        x = lucid.stack(outputs)
        finals.append(held)
    return x, [lucid.stack(list(parts)) for parts in zip(*finals, strict=True)]


@pytest.mark.parametrize(("layers", "bias"), [(1, True), (2, False), (3, True)])
@each_layer
def test_against_the_cell(layer, layers, bias):
    model = layer(F, H, layers, bias, dtype="float64")
    for lengths in ([T] * N, LENGTHS):
        results = []
        for fused in (True, False):
            x = lucid.tensor(rng_like(2, T, N, F), requires_grad=True)
            states = [lucid.tensor(rng_like(3 + i, layers, N, H), requires_grad=True) for i in range(2)]
            states = states[: 2 if layer is nn.LSTM else 1]
            model.zero_grad()
            if fused:
                given = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
                output, final = model(given, tuple(states) if layer is nn.LSTM else states[0])
                output, final = output.padded, parts_of(final)
            else:
                output, final = by_cell(model, x, states, lengths)
            loss = (output * output).sum() + sum((s * s * (i + 2)).sum() for i, s in enumerate(final))
            loss.backward()
            tensors = [output.detach(), *(s.detach() for s in final), x.grad, *(s.grad for s in states)]
            results.append([*tensors, *(p.grad for p in model.parameters())])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def rng_like(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


# --- gradients


def functional(layer, layers=1, bias=True, lengths=None, with_state=True):
    """Returns the layer as a function of all its differentiable inputs, and these inputs."""
    rng = np.random.default_rng(0)
    model = layer(2, 2, layers, bias, dtype="float64")
    names = [name for name, _ in model.named_parameters()]
    count = 0 if not with_state else 2 if layer is nn.LSTM else 1
    shapes = [(3, 3, 2), *[(layers, 3, 2)] * count, *(p.shape for p in model.parameters())]
    inputs = [lucid.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]

    def forward(x, *rest):
        for name, p in zip(names, rest[count:], strict=True):
            model._parameters[name] = p
        given = x if lengths is None else nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, final = model(given, None if not count else tuple(rest[:2]) if count == 2 else rest[0])
        return (output if lengths is None else output.padded), *parts_of(final)

    return forward, inputs


CASES = [
    (layers, bias, lengths, with_state)
    for layers, bias in ((1, True), (2, False))
    for lengths in (None, [2, 3, 1])
    for with_state in (True, False)
]


@pytest.mark.parametrize("case", thinned(CASES, 2), ids=str)
@each_layer
def test_gradients(layer, case):
    forward, inputs = functional(layer, *case)
    assert gradcheck(forward, inputs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("case", thinned([c for c in CASES if c[0] == 1 or c[3]], 6), ids=str)
@each_layer
def test_second_order(layer, case):
    forward, inputs = functional(layer, *case)
    assert gradgradcheck(forward, inputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lengths", thinned([[2, 3, 1], None], 2), ids=str)
@each_layer
def test_one_output_alone(layer, lengths):
    forward, inputs = functional(layer, lengths=lengths)
    for which in range(3 if layer is nn.LSTM else 2):
        alone = lambda *args, which=which: forward(*args)[which]  # noqa: E731
        assert gradcheck(alone, inputs)
        assert gradgradcheck(alone, inputs)


OPERANDS = {
    "lstm": [(3, 2, 2), (1, 2, 2), (1, 2, 2), (8, 2), (8, 2), (8,), (8,)],
    "gru": [(3, 2, 2), (1, 2, 2), (6, 2), (6, 2), (6,), (6,)],
}


@pytest.mark.parametrize("lengths", thinned([[3, 2], None], 2), ids=str)
@pytest.mark.parametrize("name", OPERANDS)
def test_every_output_of_the_op(name, lengths):
    """Includes the gates and cells, through which second-order gradients flow."""
    rng = np.random.default_rng(1)
    inputs = [lucid.tensor(rng.normal(size=s), requires_grad=True) for s in OPERANDS[name]]
    lengths = None if lengths is None else lucid.tensor(lengths)
    assert gradcheck(lambda *args: OPS[name](*args, lengths), inputs)
    assert gradgradcheck(lambda *args: OPS[name](*args, lengths), inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERANDS)
def test_one_input_alone(name):
    rng = np.random.default_rng(1)
    for wanted in range(len(OPERANDS[name])):
        shapes = enumerate(OPERANDS[name])
        inputs = [lucid.tensor(rng.normal(size=s), requires_grad=i == wanted) for i, s in shapes]
        forward = lambda *args: OPS[name](*args, lucid.tensor([3, 2]))  # noqa: E731
        assert gradcheck(forward, inputs)
        assert gradgradcheck(forward, inputs)


@pytest.mark.parametrize("with_optional", thinned([True, False], 2))
@pytest.mark.parametrize("name", thinned(["lstm_backward", "lstm_tangent", "gru_backward", "gru_tangent"], 2))
def test_the_adjoint_recurrences(name, with_optional):
    rng = np.random.default_rng(2)
    kind, _, which = name.partition("_")
    sequence, gates = (3, 2, 2), (3, 4 if kind == "lstm" else 3, 2, 2)
    if kind == "lstm":
        first = sequence if which == "backward" else (3, 2, 8)
        shapes = [first, sequence if with_optional else None, gates, sequence, (1, 2, 2) if with_optional else None]
        shapes.append((8, 2))
    else:
        shapes = [sequence, gates, sequence, sequence, (6, 2)]
    inputs = [s if s is None else lucid.tensor(rng.uniform(0.1, 0.9, s), requires_grad=True) for s in shapes]
    given = [x for x in inputs if x is not None]

    def forward(*args):
        rest = iter(args)
        return OPS[name](*(None if x is None else next(rest) for x in inputs))

    assert gradcheck(forward, given)
    assert gradgradcheck(forward, given)


@each_layer
def test_third_order(layer):
    forward, inputs = functional(layer)
    x, *rest = inputs

    def second(x):
        (g,) = lucid.autograd.grad((forward(x, *rest)[0] ** 3).sum(), x, create_graph=True)
        (gg,) = lucid.autograd.grad((g * g).sum(), x, create_graph=True)
        return gg

    assert gradcheck(second, [x], atol=1e-5, rtol=1e-5)


# --- padding, inputs, extreme values


@each_layer
def test_nothing_in_the_padding_matters(layer):
    model = layer(F, H, 2)
    results = []
    for garbage in (0.0, np.nan, np.inf, 1e30):
        array = rng_like(0, T, N, F).astype(np.float32)
        for i, n in enumerate(LENGTHS):
            array[n:, i] = garbage
        x = lucid.tensor(array, requires_grad=True)
        model.zero_grad()
        output, final = model(nn.utils.rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
        final = parts_of(final)
        (output.padded.sum() + sum((s * s).sum() for s in final)).backward()
        found = [output.padded.detach(), *(s.detach() for s in final), x.grad, *(p.grad for p in model.parameters())]
        results.append([t.numpy() for t in found])
        for i, n in enumerate(LENGTHS):
            assert not results[-1][0][n:, i].any()
            assert not x.grad.numpy()[n:, i].any()
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@each_layer
def test_inputs_are_left_alone(layer):
    """With one feature and one unit, slices of a weight are contiguous, but must still be copied."""
    model = layer(1, 1, dtype="float64")
    x = lucid.tensor(rng_like(0, 4, 2, 1), requires_grad=True)
    before = [t.detach().numpy().copy() for t in (x, *model.parameters())]
    model(x)[0].sum().backward()
    for old, t in zip(before, (x, *model.parameters()), strict=True):
        np.testing.assert_array_equal(old, t.detach().numpy())


@each_layer
def test_saturated_gates_stay_finite(layer):
    model = layer(F, H)
    x = lucid.tensor(np.array([1e4, -1e4, 1e30] * 4, np.float32).reshape(4, 1, F), requires_grad=True)
    output, final = model(x)
    (output.sum() + sum(s.sum() for s in parts_of(final))).backward()
    assert np.isfinite(output.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


@each_layer
def test_nan_is_not_hidden(layer):
    x = np.zeros((3, 2, F), np.float32)
    x[1, 0, 0] = np.nan
    output = layer(F, H)(lucid.tensor(x))[0].detach().numpy()
    assert np.isfinite(output[0]).all()
    assert np.isfinite(output[:, 1]).all()
    assert np.isnan(output[1:, 0]).all()


# --- chunks of a long sequence


@each_layer
def test_the_state_goes_on(layer):
    model = layer(F, H, 2, dtype="float64")
    x = lucid.tensor(rng_like(0, 10, N, F))
    whole, final = model(x)
    state, outputs = None, []
    for start in range(0, 10, 4):
        output, state = model(x[start : start + 4], state)
        outputs.append(output)
    np.testing.assert_allclose(lucid.cat(outputs).detach().numpy(), whole.detach().numpy(), rtol=1e-12)
    for a, b in zip(parts_of(state), parts_of(final), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


@each_layer
def test_truncated_backpropagation(layer):
    """Detached states cut the gradient: it is that of the second chunk alone, run from these states."""
    model = layer(F, H, dtype="float64")
    x = lucid.tensor(rng_like(0, 6, N, F), requires_grad=True)
    _, state = model(x[:3])
    detached = [s.detach() for s in parts_of(state)]
    hx = tuple(detached) if layer is nn.LSTM else detached[0]
    model(x[3:], hx)[0].sum().backward()
    assert not x.grad.numpy()[:3].any()
    alone = lucid.tensor(rng_like(0, 6, N, F)[3:], requires_grad=True)
    model(alone, hx)[0].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[3:], alone.grad.numpy())


# --- refusals


@each_layer
def test_refusals(layer):
    with pytest.raises(TypeError, match=r"hidden_size must be an int; got 2\.0"):
        layer(F, 2.0)
    with pytest.raises(ValueError, match="num_layers must be positive; got 0"):
        layer(F, H, 0)
    with pytest.warns(UserWarning, match="dropout=0.5 does nothing"):
        layer(F, H, dropout=0.5)
    with pytest.raises(ValueError, match="input has 4 features in its last axis, but input_size is 3"):
        layer(F, H)(lucid.zeros(2, 2, 4))
    with pytest.raises(ValueError, match="no time steps"):
        layer(F, H)(lucid.zeros(0, 2, F))


def test_refusals_of_states():
    lstm, x = nn.LSTM(F, H), lucid.zeros(T, N, F)
    with pytest.raises(TypeError, match=r"hx must be a tuple \(h_0, c_0\) or None; got Tensor"):
        lstm(x, lucid.zeros(1, N, H))
    with pytest.raises(TypeError, match="got 3 parts"):
        lstm(x, (lucid.zeros(1, N, H),) * 3)
    with pytest.raises(
        ValueError, match=r"c_0 must be \(1, 4, 2\) \(num_layers, batch, hidden_size\); got \(1, 4, 3\)"
    ):
        lstm(x, (lucid.zeros(1, N, H), lucid.zeros(1, N, 3)))
    with pytest.raises(TypeError, match="h_0 has dtype float64, but input has float32"):
        lstm(x, (lucid.zeros(1, N, H, dtype="float64"), lucid.zeros(1, N, H)))
    with pytest.raises(ValueError, match=r"hx must be \(1, 4, 2\).*got \(2, 4, 2\)"):
        nn.GRU(F, H)(x, lucid.zeros(2, N, H))


def test_base_of_any_mode():
    x = lucid.ones(T, N, F)
    for mode in ("RNN_TANH", "RNN_RELU", "GRU"):
        _, h_n = nn.RNNBase(mode, F, H)(x)
        assert h_n.shape == (1, N, H)
    _, (h_n, c_n) = nn.RNNBase("LSTM", F, H)(x)
    assert h_n.shape == c_n.shape == (1, N, H)
    with pytest.raises(ValueError, match=r"mode must be one of 'RNN_TANH', 'RNN_RELU', 'LSTM', 'GRU'; got 'QRNN'"):
        nn.RNNBase("QRNN", F, H)
