"""lucid.grad as in PyTorch; gradcheck and gradgradcheck with correct and with wrong gradients."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid.autograd import grad, gradcheck, gradgradcheck
from lucid.errors import GradientError


def leaf(*shape, dtype="float64"):
    return lucid.tensor(np.random.default_rng(1).standard_normal(shape).astype(dtype), requires_grad=True)


@lucid.op
def lying(x, /):
    """Returns x squared; its gradient is half of the correct one."""
    return x * x


@lying.vjp
def _(g, x):
    return g * x


@lucid.op
def honest_once(x, /):
    """Returns x cubed; only its second-order gradient is wrong."""
    return x * x * x


@honest_once.vjp
def _(g, x):
    return g * (lying(x) * 3)


def test_gradients_of_several_outputs_add_up():
    x, y = leaf(3), leaf(3)
    gx, gy = grad([(x * y).sum(), x * x], [x, y], [None, lucid.ones(3, dtype="float64")])
    np.testing.assert_allclose(gx.numpy(), (y + 2 * x).detach().numpy())
    np.testing.assert_allclose(gy.numpy(), x.detach().numpy())
    assert x.grad is None
    assert y.grad is None


def test_of_an_inner_tensor():
    x = leaf(3)
    inner = x * x
    g, gx = grad((inner * inner).sum(), [inner, x])
    np.testing.assert_allclose(g.numpy(), 2 * inner.detach().numpy())
    np.testing.assert_allclose(gx.numpy(), 4 * x.detach().numpy() ** 3)


def test_of_an_output_by_itself():
    x = leaf(3)
    y = x * 2
    (g,) = grad(y, y, lucid.ones(3, dtype="float64"))
    np.testing.assert_array_equal(g.numpy(), np.ones(3))


def test_the_same_input_twice():
    x = leaf()
    first, second = grad(x * x, [x, x])
    assert first.item() == second.item() == 2 * x.item()


def test_gradients_of_gradients():
    x = leaf(3)
    (g,) = grad((x**3).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x, create_graph=True)
    (i,) = grad(h.sum(), x)
    np.testing.assert_allclose(h.detach().numpy(), 6 * x.detach().numpy())
    np.testing.assert_allclose(i.numpy(), np.full(3, 6.0))


def test_a_graph_serves_once_unless_it_is_retained():
    x = leaf(3)
    y = (x * x).sum()
    grad(y, x, retain_graph=True)
    grad(y, x)
    with pytest.raises(GradientError, match="freed by an earlier backward"):
        grad(y, x)


def test_unused_inputs():
    x, y = leaf(3), leaf(2)
    with pytest.raises(GradientError, match=r"no output depends on input 1, of shape \(2,\); allow_unused=True"):
        grad((x * x).sum(), [x, y])
    g, none = grad((x * x).sum(), [x, y], allow_unused=True)
    assert g is not None
    assert none is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: grad(x * 2, x), "gradient can be omitted for a single element only"),
        (lambda x: grad(x * 2, x, lucid.ones(2)), r"gradient has shape \(2,\), but the tensor has \(3,\)"),
        (lambda x: grad(x * 2, x, [None, None]), "one of grad_outputs for each output; got 2 for 1 outputs"),
        (lambda x: grad(lucid.ones(3), x), "output 0 was not computed from any tensor that requires gradients"),
        (lambda x: grad((x * 2).sum(), lucid.ones(3)), r"input 0, of shape \(3,\), does not require gradients"),
    ],
    ids=["no_gradient", "shape", "count", "output", "input"],
)
def test_refused(call, message):
    with pytest.raises(GradientError, match=message):
        call(leaf(3))


def test_checks_pass():
    x, y = leaf(2, 3), leaf(3)
    assert gradcheck(lambda x, y: (x * y, (x @ y).exp()), [x, y])
    assert gradgradcheck(lambda x, y: (x * y, (x @ y).exp()), [x, y])
    assert gradcheck(lambda x, n: x * n, [x, 3])
    assert gradgradcheck(lambda x: x * 2, x)


def test_checks_fail_and_say_where():
    x = leaf(2)
    with pytest.raises(
        GradientError, match=r"gradcheck: the gradient of output 0\[0\] in input 0\[0\] is .*but the finite"
    ):
        gradcheck(lying, x)
    assert not gradcheck(lying, x, raise_exception=False)
    assert gradcheck(honest_once, x)
    with pytest.raises(GradientError, match=r"gradgradcheck: the gradient of output 0\[0\] in input 0\[0\] is"):
        gradgradcheck(honest_once, x)
    assert not gradgradcheck(honest_once, x, raise_exception=False)


def test_checks_need_float64_that_requires_gradients():
    with pytest.raises(GradientError, match="finite differences need float64, but input 0 is float32"):
        gradcheck(lying, leaf(2, dtype="float32"))
    with pytest.raises(GradientError, match="none of the inputs requires gradients"):
        gradgradcheck(lying, lucid.ones(2, dtype="float64"))


def test_checks_leave_the_inputs_alone():
    x = leaf(2, 3)
    before = x.detach().numpy().copy()
    gradcheck(lambda x: x.t() @ x, x)
    np.testing.assert_array_equal(x.detach().numpy(), before)
    assert x.grad is None


def test_agrees_with_pytorch(torch):
    x, y = leaf(2, 3), leaf(3)
    a, b = (torch.tensor(t.detach().numpy(), requires_grad=True) for t in (x, y))
    mine = grad(((x * y).tanh() @ y).sum(), [x, y], create_graph=True)
    theirs = torch.autograd.grad(((a * b).tanh() @ b).sum(), [a, b], create_graph=True)
    for g, h in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy())
    (second,) = grad((mine[0] ** 2).sum(), y)
    (wanted,) = torch.autograd.grad((theirs[0] ** 2).sum(), b)
    np.testing.assert_allclose(second.numpy(), wanted.numpy())
