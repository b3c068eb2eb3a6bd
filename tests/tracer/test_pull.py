"""Gradient rules on arrays: one rule for what is recorded and for what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid.errors import GradientError
from lucid.ops.elementwise import exp, tanh
from lucid.ops.linalg import matmul
from lucid.ops.shape import transpose
from lucid.tensor import Tensor
from lucid.tracer.op import FUNCTIONS, OPS
from lucid.tracer.pull import on_arrays

SCALE = 2.0
TABLE = {"a": 1.0}


def operators(g: Any, x: Any, y: Any) -> Any:
    return g * (1 - x * x) / 2.0, -g if y else None


def ops_and_functions(g: Any, x: Any) -> Any:
    return matmul(exp(g), transpose(x, -1, -2)), x.T, OPS["sum_to"](g, shape=x.shape[1:])


def comprehensions(g: Any, x: Any) -> Any:
    return tuple([part * g for part, _ in zip((x, x), range(2), strict=True)])


def a_method(g: Any, x: Any) -> Any:
    return g * x.sum()


def a_type(g: Any, x: Any) -> Any:
    return g * x if isinstance(x, Tensor) else g


def a_number(g: Any) -> Any:
    return g * SCALE


def a_table(g: Any) -> Any:
    return g * TABLE["a"]


def numpy_itself(g: Any) -> Any:
    return np.negative(g)


def an_import(g: Any) -> Any:
    from math import pi

    return g * pi


def a_write(g: Any) -> Any:
    g[0] = 0
    return g


@pytest.mark.parametrize("rule", [operators, ops_and_functions, comprehensions])
def test_rules_of_ops_and_operators_run_on_arrays(monkeypatch: pytest.MonkeyPatch, rule: Any) -> None:
    monkeypatch.setattr(rule, "__module__", "lucid.ops.some")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 3)) for _ in range(rule.__code__.co_argcount)]
    arrays = [*arrays[:2], 1] if len(arrays) == 3 else arrays
    made = on_arrays(rule)
    assert made is not None
    found = made(*arrays)
    expected = rule(*[lucid.from_numpy(x) if isinstance(x, np.ndarray) else x for x in arrays])
    for one, other in zip(found, expected, strict=True):
        assert type(one) is np.ndarray
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [a_method, a_type, a_number, a_table, numpy_itself, ops_and_functions, an_import, a_write, len, lambda g: g.sum()],
)
def test_rules_that_do_anything_else_do_not(rule: Any) -> None:
    assert on_arrays(rule) is None


def test_a_users_names_are_looked_up_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    op = declared("scaled", a_number)
    for scale in (2.0, 5.0):
        monkeypatch.setitem(globals(), "SCALE", scale)
        x = lucid.ones(2, requires_grad=True)
        op(x).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [scale, scale]


def test_an_op_may_name_its_parameters_as_python_names_functions() -> None:
    def forward(len: Any, list: Any, /, tuple: float = 3.0) -> Any:
        return len * list * tuple

    def rule(g: Any, len: Any, list: Any, tuple: float) -> Any:
        return g * list * tuple, g * len * tuple

    forward.__name__ = "named"
    op: Any = lucid.op(forward)
    op.vjp(rule)
    x, y = lucid.tensor([2.0], requires_grad=True), lucid.tensor([5.0], requires_grad=True)
    op(x, y).backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.item(), y.grad.item()) == (15.0, 6.0)


def test_a_rule_with_a_closure_does_not() -> None:
    scale = lucid.ones(1)
    assert on_arrays(lambda g: g * scale) is None


def test_most_rules_do() -> None:
    rules = [op.rule for op in OPS.values() if op.rule is not None and not op.variadic]
    assert sum(on_arrays(rule) is not None for rule in rules) > 0.7 * len(rules)
    for name in ("add", "mul", "tanh", "matmul", "linear", "softmax", "sum", "rnn_cell", "lstm_cell", "gru_cell"):
        assert on_arrays(OPS[name].rule) is not None  # type: ignore[arg-type]


def declared(name: str, rule: Any) -> Any:
    """Declares an op that doubles its input, with a gradient rule."""

    def forward(x: Any, /) -> Any:
        return x * 2

    forward.__name__ = name
    op: Any = lucid.op(forward)
    op.vjp(rule)
    return op


@pytest.fixture(autouse=True)
def _forget() -> Any:
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name], FUNCTIONS[name]


def test_a_users_rule_of_operators_runs_on_arrays_where_nothing_records_it() -> None:
    def rule(g: Any, x: Any) -> Any:
        return g * 2 + 0 * x

    op = declared("doubled", rule)
    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    (op(x) * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [4.0, 8.0]
    (g,) = lucid.grad((op(x) * x).sum(), [x], create_graph=True)
    assert g.tolist() == [4.0, 8.0]
    (second,) = lucid.grad(g.sum(), [x])
    assert second.tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda g: 1.0, "gave a float"),
        (lambda g: (g, g), "gave 2 gradients for 1 inputs"),
        (lambda g: (), "gave 0 gradients"),
        (lambda g: np.negative(g.numpy()), "gave a ndarray"),
    ],
)
def test_wrong_rules_are_refused(rule: Any, words: str) -> None:
    op = declared("doubled", rule)
    with pytest.raises(GradientError, match=words):
        op(lucid.ones(2, requires_grad=True)).sum().backward()


def test_other_dtypes_run_on_tensors() -> None:
    x = lucid.tensor([1.0, 2.0], dtype="float16", requires_grad=True)
    (tanh(x) * lucid.tensor([1, 2])).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float16
    expected = (1 - np.tanh([1.0, 2.0]) ** 2) * [1, 2]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-2)


def test_gradients_without_axes_and_of_several_uses() -> None:
    x = lucid.tensor(0.5, requires_grad=True)
    y = tanh(x)
    z = y * y + y * x + x
    z.backward()
    t, slope = np.tanh(0.5), 1 - np.tanh(0.5) ** 2
    assert x.grad is not None
    assert x.grad.shape == ()
    np.testing.assert_allclose(x.grad.item(), 2 * t * slope + slope * 0.5 + t + 1, rtol=1e-6)


def test_leaves_share_no_gradient() -> None:
    """The rule of a sum gives both operands the same array."""
    x, y = lucid.ones(3, requires_grad=True), lucid.ones(3, requires_grad=True)
    seed = lucid.ones(3)
    (x + y).backward(seed)
    assert x.grad is not None
    assert y.grad is not None
    x.grad.add_(1.0)
    assert y.grad.tolist() == seed.tolist() == [1.0, 1.0, 1.0]
    kept = lucid.ones(3, requires_grad=True)
    middle = kept + 0.0
    middle.retain_grad()
    middle.sum().backward()
    assert kept.grad is not None
    assert middle.grad is not None
    kept.grad.add_(1.0)
    assert middle.grad.tolist() == [1.0, 1.0, 1.0]


def test_sums_of_gradients_do_not_write_into_what_others_have() -> None:
    """A gradient that arrives twice is added up; what arrived first may be an array that another node got, too."""
    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    a = x * 1.0
    b = a + a
    c = b + a
    d = c + b
    d.backward(lucid.tensor([1.0, 10.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [5.0, 50.0]
