"""Custom ops that lack something or are wrong, and the errors they raise. docs/custom_ops.md has a correct op."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid.errors import ExportError, GradientError
from lucid.tracer import OPS
from lucid.tracer.trace import trace


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
    with pytest.raises(GradientError, match=r"own_without_rule, declared in .*test_custom.* under @own_without_rule"):
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
        with pytest.raises(TypeError, match=r"own_scaled\(\) (missing 1 required|takes from 1 to 3)"):
            own_scaled(*wrong)
    for options in ({"y": 1}, {"x": x}):
        with pytest.raises(TypeError, match=r"own_scaled\(\) got (an unexpected keyword|multiple values for) argument"):
            own_scaled(x, **options)


def test_an_attribute_without_default_after_an_input_with_one():
    @lucid.op
    def own_clipped(x, low=None, /, *, high):
        return np.clip(x, low, high)

    x = lucid.tensor([-1.0, 0.5, 2.0])
    assert own_clipped(x, high=1.0).tolist() == [-1, 0.5, 1]
    assert own_clipped(x, 0, high=1.0).tolist() == [0, 0.5, 1]
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'high'"):
        own_clipped(x)


def test_an_op_without_inputs_and_one_of_several_results():
    @lucid.op
    def own_constant(*, value):
        return np.float32(value), np.arange(2)

    one, two = own_constant(value=3)
    assert (one.item(), one.shape, two.tolist()) == (3, (), [0, 1])
    graph = trace(lambda x: x + own_constant(value=2)[0], lucid.ones(2))
    assert [node.op.name for node in graph.nodes] == ["own_constant", "add"]


def test_a_gradient_declared_after_the_first_call():
    @lucid.op
    def own_late_product(x, y, /):
        return x * y

    x, y = (lucid.tensor([value], requires_grad=True) for value in (2.0, 3.0))
    with pytest.raises(GradientError, match=r"own_late_product, declared in .* has no gradient rule"):
        own_late_product(x, y).backward()

    @own_late_product.vjp
    def _(g, x, y):
        return None if y is None else g * y, None if x is None else g * x

    own_late_product(x, y).backward()
    assert (x.grad.item(), y.grad.item()) == (3, 2)
    own_late_product.keep_for(x="y", y="x")
    assert list(own_late_product(x, y.detach())._value.node.saved[0]) == [1]
    own_late_product.vjp(own_late_product.rule)
    assert list(own_late_product(x, y.detach())._value.node.saved[0]) == [1]


def test_names_that_an_op_may_not_have():
    def own_named(_x, y, /, _dim=0):
        return _x

    with pytest.raises(TypeError, match="own_named: names of inputs and attributes begin with a letter; got _x, _dim"):
        lucid.op(own_named)
    assert "own_named" not in OPS


def test_names_that_builtins_have():
    @lucid.op
    def own_builtins(*isinstance, type, tuple=1, ValueError=0, enumerate=0, zip=0):
        return sum(isinstance) * type * tuple

    @own_builtins.vjp
    def _(g, isinstance, type):
        return tuple([g * type] * len(isinstance))

    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    y = own_builtins(x, x, 1, type=3)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([9, 15], [6, 6])
    assert own_builtins(type=3).tolist() == 0


def test_copies_and_pickles_of_an_op_are_the_op():
    model = lucid.nn.Sequential(lucid.nn.Linear(2, 2))
    model.activation = lucid.tanh
    lucid.tanh(lucid.ones(1))
    assert copy.deepcopy(model).activation is lucid.tanh
    assert pickle.loads(pickle.dumps(lucid.tanh)) is lucid.tanh
    assert pickle.loads(pickle.dumps(own_product)) is own_product
