"""First- and second-order gradients of nn.RNN, compared with central differences in float64."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.ops.recurrent import rnn as fused
from lucid.ops.recurrent import rnn_backward
from tests.tiers import thinned

CASES = [
    (nonlinearity, layers, bias, lengths, state)
    for nonlinearity in ("tanh", "relu")
    for layers, bias in ((1, True), (2, False))
    for lengths in (None, [2, 3, 1])
    for state in (None, 3, 2)
]


def _functional(nonlinearity, layers, bias, lengths, state):
    """Returns the layer as a function of all its differentiable inputs, and inputs far from the kink of relu."""
    rng = np.random.default_rng(0)
    rnn = nn.RNN(2, 2, layers, nonlinearity, bias, dtype="float64")
    names = [name for name, _ in rnn.named_parameters()]
    shapes = [(3, 3, 2)] + ([] if state is None else [(layers, 3, 2) if state == 3 else (3, 2)])
    inputs = [lucid.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    inputs += [lucid.tensor(rng.normal(size=p.shape), requires_grad=True) for p in rnn.parameters()]

    def forward(x, *rest):
        hx, rest = (None, rest) if state is None else (rest[0], rest[1:])
        for name, p in zip(names, rest, strict=True):
            rnn._parameters[name] = p
        given = x if lengths is None else nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, h_n = rnn(given, hx)
        return (output if lengths is None else output.padded), h_n

    return forward, inputs


@pytest.mark.parametrize("case", CASES, ids=str)
def test_first_order(case):
    forward, inputs = _functional(*case)
    assert gradcheck(forward, inputs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("case", thinned([c for c in CASES if c[4] != 2 and (c[1] == 1 or c[3])], 4), ids=str)
def test_second_order(case):
    forward, inputs = _functional(*case)
    assert gradgradcheck(forward, inputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("lengths", [None, [2, 3, 1]])
def test_one_output_alone(lengths, which):
    forward, inputs = _functional("tanh", 1, True, lengths, 3)
    assert gradcheck(lambda *args: forward(*args)[which], inputs)
    assert gradgradcheck(lambda *args: forward(*args)[which], inputs)


@pytest.mark.parametrize("wanted", range(6))
def test_one_input_alone(wanted):
    rng = np.random.default_rng(1)
    shapes = [(3, 2, 2), (1, 2, 3), (3, 2), (3, 3), (3,), (3,)]
    inputs = [lucid.tensor(rng.normal(size=s), requires_grad=i == wanted) for i, s in enumerate(shapes)]
    lengths = lucid.tensor([3, 2])

    def forward(*args):
        return fused(*args, lengths)

    assert gradcheck(forward, inputs)
    assert gradgradcheck(forward, inputs)


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_backward_op_itself(nonlinearity, reverse):
    rng = np.random.default_rng(2)
    incoming, states, weight = (
        lucid.tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 2, 2), (3, 2, 2), (2, 2))
    )
    inputs = [incoming, states, weight] if nonlinearity == "tanh" else [incoming, weight]

    def backward(incoming, *rest):
        return rnn_backward(
            *(incoming, *rest) if len(rest) == 2 else (incoming, states.detach(), *rest),
            nonlinearity=nonlinearity,
            reverse=reverse,
        )

    assert gradcheck(backward, inputs)
    assert gradgradcheck(backward, inputs)
    (third,) = lucid.autograd.grad(backward(*inputs).sum(), weight, create_graph=True)
    assert gradgradcheck(
        lambda w: lucid.autograd.grad(backward(*inputs[:-1], w).sum(), w, create_graph=True)[0], weight
    )
    assert third.requires_grad


@pytest.mark.parametrize("bias", ["both", "bias_ih", "bias_hh", "neither"])
def test_the_fused_op_is_the_composed_one(bias):
    """Compares with the same layer written in small ops: values, first- and second-order gradients."""
    rng = np.random.default_rng(3)
    shapes = [(4, 2, 3), (1, 2, 2), (2, 3), (2, 2), (2,), (2,)]
    missing = {4: bias in ("bias_hh", "neither"), 5: bias in ("bias_ih", "neither")}
    inputs = [
        None if missing.get(i) else lucid.tensor(rng.normal(size=s), requires_grad=True) for i, s in enumerate(shapes)
    ]

    def composed(x, h0, w_ih, w_hh, b_ih, b_hh):
        h, states = h0[0], []
        for t in range(x.shape[0]):
            z = x[t] @ w_ih.T + h @ w_hh.T
            z = z if b_ih is None else z + b_ih
            z = z if b_hh is None else z + b_hh
            h = z.tanh()
            states.append(h)
        return lucid.stack(states), h.unsqueeze(0)

    wanted = [x for x in inputs if x is not None]
    results = []
    for outputs in (fused(*inputs, None), composed(*inputs)):
        loss = (outputs[0] * outputs[0]).sum() + outputs[1].sum()
        first = lucid.autograd.grad(loss, wanted, create_graph=True)
        penalty = sum(((g * g).sum() for g in first), lucid.tensor(0.0))
        second = lucid.autograd.grad(penalty, wanted)
        results.append([t.detach().numpy() for t in (*outputs, *first, *second)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_second_order_like_pytorch(nonlinearity, torch):
    rng = np.random.default_rng(4)
    rnn = nn.RNN(3, 4, 2, nonlinearity, dtype="float64")
    twin = torch.nn.RNN(3, 4, 2, nonlinearity, dtype=torch.float64)
    twin.load_state_dict({name: torch.tensor(t.numpy()) for name, t in rnn.state_dict().items()})
    array = rng.normal(size=(6, 2, 3))
    results = []
    for library, model in ((lucid, rnn), (torch, twin)):
        x = library.tensor(array, requires_grad=True)
        output, h_n = model(x)
        loss = (output * output).sum() + h_n.sum()
        (g,) = library.autograd.grad(loss, x, create_graph=True)
        (g * g).sum().backward()
        results.append([p.grad.numpy() for p in model.parameters()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_a_long_sequence():
    """Ten thousand steps: backward is a loop, not a recursion, and the gradient equals a central difference."""
    rnn = nn.RNN(1, 2, dtype="float64")
    x = lucid.randn(10_000, 1, 1, dtype="float64", requires_grad=True)
    rnn(x)[0].sum().backward()
    eps, at = 1e-6, 5_000
    ends = []
    for sign in (1, -1):
        array = x.detach().numpy().copy()
        array[at] += sign * eps
        ends.append(rnn(lucid.tensor(array))[0].sum().item())
    np.testing.assert_allclose(x.grad.numpy()[at, 0, 0], (ends[0] - ends[1]) / (2 * eps), rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_recurrent_weight_from_a_state_of_zero(steps: int, value: float) -> None:
    """As in PyTorch, a missing state counts as zeros, and NaN or infinity times zero is NaN."""
    dz, states = lucid.randn(steps, 2, 4).numpy(), lucid.randn(steps, 2, 3).numpy()
    dz[0, 1, 2] = value
    found = lucid.ops.recurrent.recurrent_weight_gradient(lucid.tensor(dz), None, lucid.tensor(states)).numpy()
    earlier = np.concatenate([np.zeros_like(states[:1]), states[:-1]])
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found, np.einsum("tno,tnh->oh", dz, earlier), rtol=1e-5, atol=1e-6)
    assert np.isnan(found[2]).all()
    assert np.isfinite(np.delete(found, 2, 0)).all()
