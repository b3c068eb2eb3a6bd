"""nn.RNN, compared with PyTorch and with its definition written step by step."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import lucid
from lucid import nn

TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-5}, "float64": {"rtol": 1e-10, "atol": 1e-10}}
T, N, F, H = 5, 4, 3, 2
LENGTHS = [3, 5, 1, 4]


def stepwise(x, h0, weights, nonlinearity, lengths):
    """The reference: one step of one sequence at a time. `weights` has W_ih, W_hh, b_ih, b_hh (or None) per layer."""
    f = np.tanh if nonlinearity == "tanh" else lambda z: np.maximum(z, 0)
    last = []
    for k, (w_ih, w_hh, b_ih, b_hh) in enumerate(weights):
        output = np.zeros((*x.shape[:2], w_hh.shape[0]), x.dtype)
        h_n = np.zeros((x.shape[1], w_hh.shape[0]), x.dtype)
        for i in range(x.shape[1]):
            h = h0[k, i]
            for t in range(lengths[i]):
                z = w_ih @ x[t, i] + w_hh @ h
                if b_ih is not None:
                    z = z + b_ih + b_hh
                h = output[t, i] = f(z)
            h_n[i] = h
        last.append(h_n)
        x = output
    return x, np.stack(last)


def weights_of(rnn):
    own = {name: p.detach().numpy() for name, p in rnn.named_parameters()}
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [[own.get(f"{name}_l{k}") for name in names] for k in range(rnn.num_layers)]


def copied_to_torch(rnn):
    torch = pytest.importorskip("torch")
    double = rnn.weight_ih_l0.dtype == np.float64
    twin = torch.nn.RNN(
        rnn.input_size,
        rnn.hidden_size,
        rnn.num_layers,
        rnn.nonlinearity,
        rnn.bias,
        rnn.batch_first,
        dtype=torch.float64 if double else torch.float32,
    )
    twin.load_state_dict({name: torch.tensor(t.numpy()) for name, t in rnn.state_dict().items()})
    return twin


def differences(ours, theirs, **tolerance):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


FORMS = ["time first", "batch first", "unbatched", "unbatched batch first", "sorted", "unsorted", "packed batch first"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_like_pytorch(form, dtype, torch):
    """All combinations of options: values, and the gradients of input, state and parameters."""
    rng = np.random.default_rng(1)
    options = itertools.product((1, 2, 3), ("tanh", "relu"), (True, False), (None, 3, 2))
    for layers, nonlinearity, bias, state in options:
        rnn = nn.RNN(F, H, layers, nonlinearity, bias, "batch first" in form, dtype=dtype)
        twin = copied_to_torch(rnn)
        array = rng.normal(size=(T, N, F)).astype(dtype)
        hidden = rng.normal(size=(layers, N, H)).astype(dtype)
        unbatched = form.startswith("unbatched")
        lengths = sorted(LENGTHS, reverse=True) if form == "sorted" else LENGTHS
        if unbatched:
            array, hidden = array[:, 0], hidden[:, 0]
        elif "batch first" in form:
            array = array.swapaxes(0, 1)
        packed = form in ("sorted", "unsorted", "packed batch first")
        if state == 2:
            if unbatched:
                continue
            # lucid's short form: a state for the first layer only; the others start from zeros.
            hidden[1:] = 0
        results = []
        for library, model in ((lucid, rnn), (torch, twin)):
            x = library.tensor(array.copy(), requires_grad=True)
            h0 = None if state is None else library.tensor(hidden.copy(), requires_grad=True)
            hx = h0[0] if state == 2 and library is lucid else h0
            given = x
            if packed:
                pack = library.nn.utils.rnn.pack_padded_sequence
                given = pack(x, library.tensor(lengths), "batch first" in form, enforce_sorted=form == "sorted")
            output, h_n = model(given, hx)
            if packed:
                unpack = library.nn.utils.rnn.pad_packed_sequence
                output, out_lengths = unpack(output, "batch first" in form, total_length=T)
                assert out_lengths.tolist() == lengths
            weigh_output = library.tensor(np.cos(np.arange(output.numel())))
            weigh_output = weigh_output.reshape(output.shape).to(output.dtype)
            weigh_state = library.tensor(np.sin(1 + np.arange(h_n.numel()))).reshape(h_n.shape).to(h_n.dtype)
            ((output * weigh_output).sum() + (h_n * h_n * weigh_state).sum()).backward()
            found = [output.detach().numpy(), h_n.detach().numpy(), x.grad.numpy()]
            if h0 is not None:
                found.append(h0.grad.numpy()[:1] if state == 2 else h0.grad.numpy())
            found += [p.grad.numpy() for p in model.parameters()]
            results.append(found)
        assert results[0][0].dtype == dtype
        differences(*results, **TOLERANCE[dtype])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize(("layers", "bias"), [(1, True), (2, False), (3, True)])
def test_the_definition(layers, bias, nonlinearity):
    rng = np.random.default_rng(2)
    rnn = nn.RNN(F, H, layers, nonlinearity, bias, dtype="float64")
    x, h0 = rng.normal(size=(T, N, F)), rng.normal(size=(layers, N, H))
    for lengths in ([T] * N, LENGTHS):
        given = lucid.tensor(x)
        if lengths is LENGTHS:
            given = nn.utils.rnn.pack_padded_sequence(given, lengths, enforce_sorted=False)
        output, h_n = rnn(given, lucid.tensor(h0))
        output = output.padded if lengths is LENGTHS else output
        expected = stepwise(x, h0, weights_of(rnn), nonlinearity, lengths)
        differences([output.detach().numpy(), h_n.detach().numpy()], expected, rtol=1e-12, atol=1e-14)


SHAPES = [(1, 1, 1, 1), (1, 3, 2, 4), (7, 1, 1, 2), (2, 2, 9, 1), (400, 2, 1, 3), (3, 40, 5, 17)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_odd_sizes(shape, nonlinearity, torch):
    steps, batch, features, hidden = shape
    rnn = nn.RNN(features, hidden, 2, nonlinearity)
    twin = copied_to_torch(rnn)
    array = np.random.default_rng(3).normal(size=(steps, batch, features)).astype(np.float32)
    x, y = lucid.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    for model, given in ((rnn, x), (twin, y)):
        output, h_n = model(given)
        (output.sum() + (h_n * h_n).sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-4, atol=1e-5)
    for p, q in zip(rnn.parameters(), twin.parameters(), strict=True):
        scale = np.abs(q.grad.numpy()).max() + 1
        np.testing.assert_allclose(p.grad.numpy() / scale, q.grad.numpy() / scale, rtol=1e-4, atol=1e-5)


def test_views_of_every_kind():
    base = np.random.default_rng(4).normal(size=(2 * N, 3 * T, 2 * F))
    rnn = nn.RNN(F, H, 2, dtype="float64")
    state = np.random.default_rng(5).normal(size=(N, 2, H)).swapaxes(0, 1)
    for view in (
        base[::2, ::3, ::2].swapaxes(0, 1),
        base[::-2, T - 1 :: -1, ::-2].swapaxes(0, 1),
        np.asfortranarray(base[:N, :T, :F].swapaxes(0, 1)),
        np.broadcast_to(base[0, 0, :F], (T, N, F)),
        np.moveaxis(base[:N, :T, F:], 1, 0),
    ):
        x, y = lucid.from_numpy(view).requires_grad_(), lucid.tensor(np.array(view, order="C"), requires_grad=True)
        h, k = lucid.from_numpy(state).requires_grad_(), lucid.tensor(state.copy(), requires_grad=True)
        for given, hx in ((x, h), (y, k)):
            output, h_n = rnn(given, hx)
            (output * output).sum().backward(retain_graph=True)
            h_n.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(h.grad.numpy(), k.grad.numpy(), rtol=1e-12)


def test_an_empty_batch():
    rnn = nn.RNN(F, H, 2)
    x = lucid.zeros(T, 0, F, requires_grad=True)
    output, h_n = rnn(x)
    assert (output.shape, h_n.shape) == ((T, 0, H), (2, 0, H))
    (output.sum() + h_n.sum()).backward()
    assert x.grad.shape == (T, 0, F)
    assert all(not p.grad.numpy().any() for p in rnn.parameters())


def test_float16():
    rnn = nn.RNN(F, H, 2, dtype="float16")
    x = lucid.randn(T, N, F, dtype="float16")
    output, h_n = rnn(x)
    (output.sum() + h_n.sum()).backward()
    weights = [[w.astype(np.float64) for w in layer] for layer in weights_of(rnn)]
    expected, _ = stepwise(x.numpy().astype(np.float64), np.zeros((2, N, H)), weights, "tanh", [T] * N)
    np.testing.assert_allclose(output.detach().numpy(), expected, atol=5e-3)
    assert all(p.grad.dtype == np.float16 for p in rnn.parameters())


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e38])
def test_nothing_in_the_padding_matters(garbage, nonlinearity):
    rnn = nn.RNN(F, H, 2, nonlinearity)
    rng = np.random.default_rng(6)
    array, hidden = rng.normal(size=(T, N, F)).astype(np.float32), rng.normal(size=(2, N, H)).astype(np.float32)
    results = []
    for fill in (0.0, garbage):
        filled = array.copy()
        for i, n in enumerate(LENGTHS):
            filled[n:, i] = fill
        x, h0 = lucid.tensor(filled, requires_grad=True), lucid.tensor(hidden, requires_grad=True)
        rnn.zero_grad()
        output, h_n = rnn(nn.utils.rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False), h0)
        padded, _ = nn.utils.rnn.pad_packed_sequence(output)
        ((padded * padded).sum() + h_n.sum()).backward()
        tensors = [padded.detach(), h_n.detach(), x.grad, h0.grad, *(p.grad for p in rnn.parameters())]
        results.append([t.numpy() for t in tensors])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    for i, n in enumerate(LENGTHS):
        assert not results[1][2][n:, i].any()


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_nan_stays_in_its_sequence(nonlinearity):
    rnn = nn.RNN(F, H, 1, nonlinearity)
    array = np.ones((T, N, F), np.float32)
    array[2, 1, 0] = np.nan
    output, h_n = rnn(lucid.tensor(array))
    where = np.isnan(output.detach().numpy()).any(-1)
    expected = np.zeros((T, N), bool)
    expected[2:, 1] = True
    np.testing.assert_array_equal(where, expected)
    assert np.isnan(h_n.detach().numpy()[0, 1]).all()


# --- dropout


def test_dropout_acts_between_layers_in_training_only():
    x = lucid.randn(T, N, F)
    certain = nn.RNN(F, H, 3, dropout=1.0)
    output, h_n = certain(x)
    silent = nn.RNN(F, H, 3)
    silent.load_state_dict(certain.state_dict())
    expected, expected_h = stepwise(x.numpy(), np.zeros((3, N, H), np.float32), weights_of(certain), "tanh", [T] * N)
    certain.eval()
    differences([t.detach().numpy() for t in certain(x)], (expected, expected_h), rtol=1e-5, atol=1e-6)
    # In training, layers above the first get zeros. The output of the last layer has no dropout.
    zeros, _ = stepwise(
        np.zeros((T, N, H), np.float32), np.zeros((1, N, H), np.float32), weights_of(certain)[2:], "tanh", [T] * N
    )
    differences([output.detach().numpy()], [zeros], rtol=1e-5, atol=1e-6)
    differences([h_n.detach().numpy()[0]], [expected_h[0]], rtol=1e-5, atol=1e-6)
    output.sum().backward()
    assert not certain.weight_ih_l0.grad.numpy().any()
    assert not np.isnan(certain.weight_hh_l2.grad.numpy()).any()


def test_dropout_statistics():
    p, hidden, steps = 0.3, 64, 200
    rnn = nn.RNN(1, hidden, 2, "relu", bias=False, dropout=p)
    nn.init.zeros_(rnn.weight_hh_l0)
    nn.init.zeros_(rnn.weight_hh_l1)
    nn.init.ones_(rnn.weight_ih_l0)
    rnn.load_state_dict({"weight_ih_l1": np.eye(hidden)}, strict=False)
    output = rnn(lucid.ones(steps, 1, 1))[0].detach().numpy()
    kept = output != 0
    np.testing.assert_allclose(output[kept], 1 / (1 - p), rtol=1e-6)
    assert abs(kept.mean() - (1 - p)) < 0.02
    assert abs(output.mean() - 1) < 0.03
    # The mask is drawn for each step, sequence and call.
    assert (kept[0] != kept[1]).any()
    assert (rnn(lucid.ones(steps, 1, 1))[0].detach().numpy() != output).any()
    lucid.manual_seed(3)
    first = rnn(lucid.ones(steps, 1, 1))[0].tolist()
    lucid.manual_seed(3)
    assert rnn(lucid.ones(steps, 1, 1))[0].tolist() == first


def test_dropout_of_a_single_layer_warns_where_the_user_stands():
    with pytest.warns(UserWarning, match="does nothing with num_layers=1") as caught:
        nn.RNN(2, 3, dropout=0.5)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.RNN(2, 3, 2, dropout=0.5)


# --- state


def test_state_dict_round_trip_with_pytorch(torch):
    theirs = torch.nn.RNN(F, H, 3, "relu", batch_first=True)
    ours = nn.RNN(F, H, 3, "relu", batch_first=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    x = np.random.default_rng(7).normal(size=(N, T, F)).astype(np.float32)
    expected = [t.detach().numpy() for t in theirs(torch.tensor(x))]
    differences([t.detach().numpy() for t in ours(lucid.tensor(x))], expected, rtol=1e-5, atol=1e-6)
    ours.reset_parameters()
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    expected = [t.detach().numpy() for t in theirs(torch.tensor(x))]
    differences([t.detach().numpy() for t in ours(lucid.tensor(x))], expected, rtol=1e-5, atol=1e-6)


def test_initial_values():
    rnn = nn.RNN(30, 100, 2)
    for p in rnn.parameters():
        values = p.detach().numpy()
        assert (np.abs(values) <= 0.1).all()
        assert np.abs(values).max() > 0.09
        assert abs(values.mean()) < 0.02
    before = rnn.weight_ih_l0.tolist()
    rnn.reset_parameters()
    assert rnn.weight_ih_l0.tolist() != before


def test_shared_weights():
    """If two layers share their weights, their gradients add up."""
    rnn = nn.RNN(H, H, 2, dtype="float64")
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(rnn, f"{name}_l1", getattr(rnn, f"{name}_l0"))
    assert len(list(rnn.parameters())) == 4
    apart = nn.RNN(H, H, 2, dtype="float64")
    apart.load_state_dict(rnn.state_dict())
    x = lucid.randn(T, N, H, dtype="float64")
    for model in (rnn, apart):
        model(x)[0].sum().backward()
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        total = getattr(apart, f"{name}_l0").grad + getattr(apart, f"{name}_l1").grad
        np.testing.assert_allclose(getattr(rnn, f"{name}_l0").grad.numpy(), total.numpy(), rtol=1e-12)


def test_the_state_carries_over_pieces():
    rnn = nn.RNN(F, H, 2)
    x = lucid.randn(6, N, F)
    whole, whole_h = rnn(x)
    pieces, h = [], None
    for i in range(0, 6, 2):
        output, h = rnn(x[i : i + 2], h)
        pieces.append(output)
    np.testing.assert_allclose(lucid.cat(pieces).detach().numpy(), whole.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(h.detach().numpy(), whole_h.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_result_is_not_the_state_that_was_given():
    rnn = nn.RNN(F, H)
    x, h0 = lucid.randn(T, N, F), lucid.zeros(1, N, H)
    before = x.numpy().copy()
    output, h_n = rnn(x, h0)
    assert not h0.numpy().any()
    np.testing.assert_array_equal(x.numpy(), before)
    assert not np.shares_memory(output._data, h_n._data)


def test_repr():
    assert repr(nn.RNN(10, 20)) == "RNN(10, 20)"
    full = nn.RNN(10, 20, 2, "relu", False, True, 0.5)
    assert repr(full) == "RNN(10, 20, num_layers=2, bias=False, batch_first=True, dropout=0.5, nonlinearity=relu)"


def test_an_infinite_state_spoils_only_what_depends_on_it(torch):
    """The gradient must be 0, not infinity times 0, which is NaN."""
    rnn = nn.RNN(1, 1, nonlinearity="relu", bias=False)
    nn.init.ones_(rnn.weight_ih_l0)
    twin = copied_to_torch(rnn)
    for library, model in ((lucid, rnn), (torch, twin)):
        model(library.tensor([[[np.inf]]]))[0].sum().backward()
    assert rnn.weight_hh_l0.grad.tolist() == twin.weight_hh_l0.grad.tolist() == [[0]]
    assert rnn.weight_ih_l0.grad.tolist() == twin.weight_ih_l0.grad.tolist() == [[np.inf]]
