"""RNNCell, LSTMCell and GRUCell against their definitions, composed of small ops, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.export import to_onnx
from tests.tiers import thinned

F, H = 3, 2


def rnn(f, x, h, w, r, b=None, c=None):
    return (f(nn.functional.linear(x, w, b) + nn.functional.linear(h, r, c)),)


def lstm(x, h, cell, w, r, b=None, c=None):
    i, f, g, o = (nn.functional.linear(x, w, b) + nn.functional.linear(h, r, c)).chunk(4, -1)
    following = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * following.tanh(), following


def gru(x, h, w, r, b=None, c=None):
    x_r, x_z, x_n = nn.functional.linear(x, w, b).chunk(3, -1)
    h_r, h_z, h_n = nn.functional.linear(h, r, c).chunk(3, -1)
    reset, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    return ((1 - z) * (x_n + reset * h_n).tanh() + z * h,)


COMPOSED = {
    "tanh": (nn.RNNCell, {}, lambda *args: rnn(lucid.tanh, *args)),
    "relu": (nn.RNNCell, {"nonlinearity": "relu"}, lambda *args: rnn(lucid.relu, *args)),
    "lstm": (nn.LSTMCell, {}, lstm),
    "gru": (nn.GRUCell, {}, gru),
}

each_cell = pytest.mark.parametrize("name", COMPOSED)


def made(name, bias=True, batch=(4,), dtype="float64"):
    """Returns a cell, its definition, and the tensors that both take: input, states, parameters."""
    layer, options, composed = COMPOSED[name]
    lucid.manual_seed(0)
    cell = layer(F, H, bias, dtype=dtype, **options)
    states = 2 if layer is nn.LSTMCell else 1
    inputs = [lucid.randn(*batch, n).to(dtype).requires_grad_() for n in (F, *[H] * states)]

    def run(*tensors):
        x, hx, parameters = tensors[0], tensors[1 : 1 + states], tensors[1 + states :]
        for key, p in zip([key for key, _ in cell.named_parameters()], parameters, strict=True):
            cell._parameters[key] = p
        found = cell(x, hx if states > 1 else hx[0])
        return found if isinstance(found, tuple) else (found,)

    return run, composed, [*inputs, *(p.detach().requires_grad_() for p in cell.parameters())]


def gradients(function, tensors, create_graph=False):
    loss = sum((y * y * (i + 1)).sum() for i, y in enumerate(function(*tensors)))
    return lucid.autograd.grad(loss, tensors, create_graph=create_graph)


@pytest.mark.parametrize("batch", [(4,), ()])
@pytest.mark.parametrize("bias", [True, False])
@each_cell
def test_values_and_gradients_of_the_definition(name, bias, batch):
    run, composed, tensors = made(name, bias, batch)
    for a, b in zip(run(*tensors), composed(*tensors), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-14)
    expected = gradients(composed, tensors)
    for create_graph in (False, True):
        # Recorded or not, the gradients are the same.
        for a, b in zip(gradients(run, tensors, create_graph), expected, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.numpy(), atol=1e-13)


@pytest.mark.parametrize("batch", thinned([(2,), ()], 2))
@each_cell
def test_gradients_of_both_orders(name, batch):
    run, _, tensors = made(name, True, batch)
    assert gradcheck(run, tensors, atol=1e-6, rtol=1e-6)
    assert gradgradcheck(lambda *t: tuple(y * y for y in run(*t)), tensors, atol=1e-5, rtol=1e-5)


@each_cell
def test_only_what_is_needed(name):
    """Each operand alone may require a gradient."""
    run, composed, tensors = made(name)
    for i, wanted in enumerate(tensors):
        alone = [t.detach() for t in tensors]
        alone[i] = wanted
        (a,), (b,) = (lucid.autograd.grad(f(*alone)[-1].sum(), [wanted]) for f in (run, composed))
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-13)


@each_cell
def test_hostile_numbers(name):
    """Closed and open gates, infinities and NaN, as the definition has them; no warning."""
    run, composed, tensors = made(name, dtype="float32")
    x = tensors[0].detach().numpy().copy()
    x[:4, 0] = 1e4, -1e4, np.inf, np.nan
    given = [lucid.tensor(x), *tensors[1:]]
    for a, b in zip(run(*given), composed(*given), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6)


@each_cell
def test_a_step_is_one_node(name):
    run, _, tensors = made(name)
    value = run(*tensors)[0]._value
    assert value.node.op.name == {"tanh": "rnn", "relu": "rnn"}.get(name, name) + "_cell"
    assert all(v is None or v.node is None for v in value.node.inputs)


@pytest.mark.parametrize("dtype", thinned(["float32", "float64"], 2))
@each_cell
def test_exported_gradients_of_both_orders(name, dtype):
    run, _, tensors = made(name, dtype=dtype)

    def penalty(x):
        states = [(x[:, :H] * (i + 1)).detach().requires_grad_() for i in range(count)]
        everything = [x.requires_grad_(), *states, *parameters]
        first = gradients(run, everything, create_graph=True)
        return first, lucid.autograd.grad(sum((g * g).sum() for g in first), everything)

    count = len(tensors) - 5
    parameters = tensors[1 + count :]
    exported = to_onnx(penalty, tensors[0].detach(), rtol=1e-4 if dtype == "float32" else None)
    assert list(exported.axes["x"]) == [0]


@each_cell
def test_batches_are_separable(name):
    layer, options, _ = COMPOSED[name]
    state = lucid.randn(4, H)
    exported = to_onnx(layer(F, H, **options), lucid.randn(4, F), (state, state) if layer is nn.LSTMCell else state)
    assert exported.separation is not None


@pytest.mark.parametrize("name", thinned(COMPOSED, 4))
def test_int8(name):
    layer, options, _ = COMPOSED[name]
    lucid.manual_seed(0)
    cell = layer(128, 128, **options)
    exported = to_onnx(cell, lucid.randn(4, 128), precision="int8")
    assert exported.operators["MatMulInteger"] == 2 if layer is not nn.RNNCell else 1


@each_cell
def test_loops_like_pytorch(name, torch):
    layer, options, _ = COMPOSED[name]
    ours = layer(F, H, **options)
    theirs = getattr(torch.nn, layer.__name__)(F, H, **options)
    theirs.load_state_dict({key: torch.tensor(t.numpy()) for key, t in ours.state_dict().items()})
    array = np.random.default_rng(0).normal(size=(9, 4, F)).astype(np.float32)
    results = []
    for library, cell in ((lucid, ours), (torch, theirs)):
        x, state, total = library.tensor(array, requires_grad=True), None, 0
        for t in range(9):
            state = cell(x[t], state)
            total = total + ((state[0] if isinstance(state, tuple) else state) ** 2).sum()
        total.backward()
        results.append([total.item(), x.grad.numpy(), *(p.grad.numpy() for p in cell.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
