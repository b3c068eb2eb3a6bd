"""Values and gradients at the edges of a definition: nothing left to average, bases below 0, norms that only count."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import grad
from lucid.export import to_onnx
from lucid.nn import functional as F

IGNORED = lucid.tensor([0, 0])
WEIGHT = lucid.tensor([1.0, 2.0, 3.0])
LOSSES = {
    "cross_entropy": lambda x, t: F.cross_entropy(x, t, ignore_index=0),
    "weighted": lambda x, t: F.cross_entropy(x, t, WEIGHT, ignore_index=0),
    "smoothed": lambda x, t: F.cross_entropy(x, t, ignore_index=0, label_smoothing=0.1),
    "weighted_smoothed": lambda x, t: F.cross_entropy(x, t, WEIGHT, ignore_index=0, label_smoothing=0.1),
    "nll_loss": lambda x, t: F.nll_loss(x.log_softmax(1), t, ignore_index=0),
    "weighted_nll_loss": lambda x, t: F.nll_loss(x.log_softmax(1), t, WEIGHT, ignore_index=0),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def loss_and_gradient(loss):
    """Returns a function of scores and targets."""

    @lucid.enable_grad()
    def function(x, t):
        x = x.requires_grad_()
        found = loss(x, t)
        return found, grad(found, [x])[0]

    return function


@each_loss
def test_a_batch_that_is_ignored_teaches_nothing(loss):
    x = lucid.randn(2, 3, requires_grad=True)
    found = loss(x, IGNORED)
    assert np.isnan(found.item())
    (gradient,) = grad(found, [x], create_graph=True)
    assert gradient.tolist() == [[0, 0, 0], [0, 0, 0]]
    (second,) = grad(gradient.sum(), [x])
    assert not second.numpy().any()


@each_loss
def test_a_batch_that_is_ignored_teaches_nothing_when_exported(loss):
    exported = to_onnx(loss_and_gradient(loss), lucid.randn(2, 3), lucid.tensor([0, 1]))
    session = lucid.runtime.Session(exported)
    found, gradient = session(np.ones((2, 3), np.float32), np.array([0, 0]))
    assert np.isnan(found)
    assert not gradient.any()


def test_a_batch_that_is_ignored_teaches_nothing_when_compiled():
    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x, t):
            return F.cross_entropy(self.layer(x), t, ignore_index=0)

    loss = Loss()
    model = lucid.compile_backward(loss)
    for target in (lucid.tensor([1, 2]), IGNORED):
        loss.zero_grad()
        found = model(lucid.ones(2, 4), target)
        assert np.isnan(found.item()) == (target is IGNORED)
        assert loss.layer.weight.grad.numpy().any() == (target is not IGNORED)


def test_the_exponents_gradient_at_bases_of_0_and_below():
    x = lucid.tensor([-2.0, 0.0, 0.0, 0.0, 2.0], requires_grad=True)
    y = lucid.tensor([2.0, 0.0, 1.5, -1.0, 3.0], requires_grad=True)
    _, gy = grad((x**y).sum(), [x, y])
    np.testing.assert_allclose(gy.numpy(), [np.nan, 0.0, 0.0, -np.inf, 8 * np.log(2)], rtol=1e-6)
    for base, wanted in ((0.0, [0.0, -np.inf]), (-1.0, [np.nan, np.nan])):
        exponent = lucid.tensor([1.0, -1.0], requires_grad=True)
        np.testing.assert_array_equal(grad((base**exponent).sum(), [exponent])[0].numpy(), wanted)


def test_a_norm_that_counts_has_the_gradient_0():
    x = lucid.tensor([1.0, 0.0, -2.0], requires_grad=True)
    count = x.norm(p=0)
    assert count.item() == 2
    count.backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_a_mean_without_axes_has_a_gradient():
    for dim in (0, -1):
        x = lucid.tensor(2.0, requires_grad=True)
        x.mean(dim).backward()
        assert x.grad.item() == 1


@pytest.mark.parametrize("dtype", ["int64", "int8"])
def test_lines_of_integers_are_rounded_towards_0(dtype):
    # PyTorch's values.
    wanted = [4] + [3] * 7 + [2] * 7 + [1] * 7 + [0] * 13 + [-1] * 7 + [-2] * 7 + [-3]
    assert lucid.linspace(4.3, -3, 50, dtype=dtype).tolist() == wanted
    assert lucid.linspace(0, 9.7, 4, dtype=dtype).tolist() == [0, 3, 6, 9]
    assert lucid.linspace(2, 5, 1, dtype=dtype).tolist() == [2]
    assert lucid.linspace(2, 5, 0, dtype=dtype).tolist() == []


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8"])
def test_functions_of_small_integers_are_not_of_half_precision(dtype):
    x = lucid.tensor(np.array([1, 0, 1], dtype))
    for name in ("exp", "log", "sqrt", "tanh", "sin", "cos", "expm1", "log1p", "log2", "rsqrt", "sigmoid"):
        y = getattr(x, name)()
        assert y.dtype == np.float32, name
        np.testing.assert_allclose(y.numpy(), getattr(x.float(), name)().numpy(), rtol=1e-6)
    assert F.silu(x).dtype == lucid.logaddexp(x, x).dtype == np.float32
    assert x.square().dtype == ("int64" if dtype == "bool" else dtype)


def test_unsigned_integers_do_not_wrap_in_a_sigmoid():
    x = lucid.tensor(np.array([3, 0], np.uint8))
    np.testing.assert_allclose(x.sigmoid().numpy(), [0.95257413, 0.5], rtol=1e-6)
    np.testing.assert_allclose(F.silu(x).numpy(), [2.8577224, 0.0], rtol=1e-6)
