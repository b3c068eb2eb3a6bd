"""What a user's own op may leave out or get wrong, and what the error then says; docs/custom_ops.md has a right one."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid.errors import ExportError, GradientError


@lucid.op
def own_without_rule(x, /, power=2):
    return x**power


@lucid.op
def own_product(x, y, /):
    return x * y


def test_an_op_without_a_rule_computes_and_says_so_in_backward():
    x = lucid.ones(2, requires_grad=True)
    y = own_without_rule(x)
    assert y.requires_grad
    with pytest.raises(
        GradientError, match=r"own_without_rule, declared in .*test_custom_ops.* under @own_without_rule"
    ):
        (y * 2).sum().backward()
    with lucid.no_grad():
        assert not own_without_rule(x).requires_grad
    (y.detach() * x).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_an_op_without_a_lowering_says_what_to_write():
    with pytest.raises(ExportError, match=r"own_without_rule at .*a function of the builder, x, power, under @lucid"):
        lucid.export.to_onnx(lambda x: own_without_rule(x), lucid.ones(2))


@pytest.mark.parametrize(
    ("rule", "error", "match"),
    [
        (lambda g, x: g * x, GradientError, r"gave 1 gradients for 2 inputs \(x, y\); return one each"),
        (lambda g, y: (g * y, np.ones(2, np.float32)), GradientError, "gave a ndarray; compute with its tensors"),
        (lambda g: (g, 1.0), GradientError, "gave a float; compute with its tensors"),
        (lambda g, z: (g, g), TypeError, "asks for 'z'; there is g, out, needs, shapes, x, y"),
    ],
)
def test_wrong_rules(rule, error, match):
    x = lucid.ones(2, requires_grad=True)

    def differentiate():
        own_product.vjp(rule)
        own_product(x, x).sum().backward()

    with pytest.raises(error, match=match):
        differentiate()


def test_wrong_lowerings():
    with pytest.raises(ValueError, match="no op named 'own_typo' to lower"):
        lucid.export.lowers("own_typo")(lambda b, x: x)
    lucid.export.lowers(own_product)(lambda b, x: x)
    with pytest.raises(ExportError, match=r"lowering of own_product at .*it is called with the builder, x, y"):
        lucid.export.to_onnx(lambda x: own_product(x, x), lucid.ones(2))


def test_inputs_by_name_and_left_out():
    @lucid.op
    def own_scaled(x, scale=None, /, shift=0.0):
        return x * (1 if scale is None else scale) + shift

    x = lucid.ones(2)
    assert own_scaled(x).tolist() == [1, 1]
    assert own_scaled(x, scale=x + 1, shift=1.0).tolist() == [3, 3]
    assert own_scaled(x, 2, 1.0).tolist() == own_scaled(shift=1.0, scale=2, x=x).tolist() == [3, 3]
    for wrong in ((), (x, 1, 2, 3)):
        with pytest.raises(TypeError, match=r"own_scaled\(\) takes inputs \(x, scale\) and attributes \(shift\)"):
            own_scaled(*wrong)
    for options in ({"y": 1}, {"x": x}):
        with pytest.raises(TypeError, match="takes inputs"):
            own_scaled(x, **options)
