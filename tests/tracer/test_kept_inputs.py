"""Inputs that an op keeps for its gradient: a product keeps only the factors that a gradient needs."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid.autograd import grad, gradcheck, gradgradcheck

PRODUCTS = {
    "mul": lambda x, c: (x * c).sum(),
    "mul_by_a_number": lambda x, c: (x * 2.0 + 3.0 * x).sum(),
    "matmul": lambda x, c: (x @ c.T).sum(),
    "matmul_of_vectors": lambda x, c: x[0] @ c[0],
    "matmul_of_a_batch": lambda x, c: (lucid.stack([c, c]) @ x.T).sum(),
    "linear": lambda x, c: F.linear(x, c).sum(),
    "linear_weight": lambda x, c: F.linear(c, x).sum(),
}


def overwrite(x):
    x.grad = lucid.ones_like(x)
    lucid.optim.SGD([x], lr=0.5).step()
    x.grad = None


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_factor_may_be_overwritten_if_the_other_is_constant(name):
    x, c = lucid.ones(2, 3, requires_grad=True), lucid.tensor(np.arange(6.0).reshape(2, 3), dtype="float32")
    expected = grad(PRODUCTS[name](x, c), x)[0]
    y = PRODUCTS[name](x, c)
    overwrite(x)
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected.numpy())


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != "mul_by_a_number"])
def test_if_both_have_gradients_neither_may(name):
    x, w = lucid.ones(2, 3, requires_grad=True), lucid.ones(2, 3, requires_grad=True)
    y = PRODUCTS[name](x, w)
    overwrite(x)
    with pytest.raises(lucid.errors.GradientError, match="overwritten"):
        y.backward()


@pytest.mark.parametrize("name", PRODUCTS)
def test_gradients_by_one_factor_alone(name):
    rng = np.random.default_rng(1)
    x, c = lucid.tensor(rng.standard_normal((2, 3)), requires_grad=True), lucid.tensor(rng.standard_normal((2, 3)))
    assert gradcheck(lambda x: PRODUCTS[name](x, c), [x])
    assert gradgradcheck(lambda x: PRODUCTS[name](x * x, c), [x])


def test_a_frozen_layer_keeps_no_input():
    layer = lucid.nn.Linear(3, 2).requires_grad_(False)
    y = layer(lucid.ones(4, 3, requires_grad=True) * 2)
    kept, _, _ = y._value.node.saved
    assert set(kept) == {1}
