"""Tolerances follow the magnitudes of what was summed: right programs pass, and wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import lucid
from lucid import nn
from lucid.errors import VerificationError
from lucid.export import to_onnx
from lucid.export.lowering.graph import lower
from lucid.export.lowering.plan import make_plan
from lucid.export.parity import check
from lucid.export.report import Report
from lucid.export.rounding import rounding
from lucid.proof.axes import prove
from lucid.proof.example import Example
from lucid.tensor import Tensor
from tests.ops.case import results
from tests.ops.test_ops import EXPORTED, exportable
from tests.proof.case import rand
from tests.tiers import thinned

W = lucid.tensor(rand(64, 64))
LARGE = lucid.tensor(rand(64, 64, scale=10))
LAYERS = [lucid.tensor(rand(64, 64 + i, scale=0.17)[:, :64]) for i in range(20)]


def filled(module: Any, scale: float) -> Any:
    for i, p in enumerate(module.parameters()):
        p._data[...] = np.random.default_rng(i).standard_normal(p.shape) * scale
    return module


lucid.manual_seed(0)
norm, convolution, plain = nn.LayerNorm(64), filled(nn.Conv1d(16, 16, 5), 5.0), nn.Linear(64, 64)
gru, lstm = filled(nn.GRU(8, 32), 0.5), filled(nn.LSTM(8, 32), 0.5)


def attention(x: Tensor) -> Tensor:
    return lucid.softmax(x @ W, -1) @ W


def sharp_attention(x: Tensor) -> Tensor:
    return lucid.softmax(x @ LARGE, -1) @ LARGE


def a_long_sum(x: Tensor) -> Tensor:
    return x.sum()


def sums_along_the_first_axis(x: Tensor) -> Tensor:
    return x.sum(0)


def a_sum_that_cancels(x: Tensor) -> Tensor:
    return (x - x.mean(0)).sum(0)


def many_products(x: Tensor) -> Tensor:
    for w in LAYERS:
        x = x @ w
    return x


def many_layers(x: Tensor) -> Tensor:
    for w in LAYERS:
        x = (x @ w * 3).tanh()
    return x


def exp_of_a_sum(x: Tensor) -> Tensor:
    return x.sum(-1).exp()


def running_sums(x: Tensor) -> Tensor:
    return x.cumsum(0)


def two_convolutions(x: Tensor) -> Tensor:
    return convolution(convolution(x))


def a_gradient(x: Tensor) -> Tensor:
    x.requires_grad_()
    return lucid.grad((attention(x) ** 2).sum(), [x])[0]


def gru_states(x: Tensor) -> Tensor:
    return gru(x)[0]


def lstm_gradients(x: Tensor) -> Any:
    return lucid.grad((lstm(x)[0] ** 2 * 100).sum(), list(lstm.parameters()))


def a_scan(x: Tensor) -> Tensor:
    state, _ = nn.scan(lambda h, x: (h + (x @ LARGE).tanh() * 100,) * 2, lucid.zeros(4, 64), x)
    return state


ORDERED = lucid.full((10_000,), 0.1)
"""NumPy and onnxruntime add these in different orders, on any processor; the sums differ by 1e-2."""

RIGHT: list[tuple[Callable[..., Any], Any, dict[str, Any]]] = [
    (attention, rand(64, 64), {}),
    (sharp_attention, rand(64, 64), {}),
    (a_long_sum, rand(10_000), {}),
    (a_long_sum, ORDERED, {}),
    (sums_along_the_first_axis, rand(10_000, 8, scale=100), {}),
    (a_sum_that_cancels, rand(10_000, 8, scale=100), {"dynamic": None}),
    (many_products, rand(8, 64), {}),
    (many_layers, rand(8, 64), {}),
    (norm, 10 + rand(4, 64, scale=0.01), {}),
    (norm, 1000 + rand(4, 64, scale=0.01), {}),
    (exp_of_a_sum, rand(4, 1000), {}),
    (running_sums, rand(5000, 4, scale=10), {}),
    (two_convolutions, rand(4, 16, 100), {}),
    (a_gradient, rand(64, 64), {}),
    (gru_states, rand(200, 2, 8), {}),
    (gru_states, rand(200, 2, 8), {"lowering": "scan"}),
    (lstm_gradients, rand(50, 2, 8), {}),
    (a_scan, rand(50, 4, 64), {}),
]


@pytest.mark.parametrize(
    ("function", "x", "options"), thinned(RIGHT, 3, 3), ids=lambda x: getattr(x, "__name__", None) or ""
)
def test_what_is_right_to_float32_is_exported(function: Any, x: Any, options: Any) -> None:
    report = to_onnx(function, lucid.tensor(x), **options).report
    assert report is not None
    for name, most in report.rounding.items():
        assert report.tolerances[name][1] >= most > 0
        assert f"{name}: rounding in the model's sums explains differences up to {most:.1e}" in str(report)


def test_the_report_says_what_was_applied() -> None:
    report = to_onnx(a_long_sum, ORDERED).report
    assert report is not None
    most = report.rounding["output"]
    assert 1e-4 < most < 1e-1
    assert report.tolerances == {"output": (1.3e-6, 1e-5 + most)}
    assert report.as_dict()["rounding"] == {"output": most}
    plain_report = to_onnx(plain, rand(3, 64)).report
    assert plain_report is not None
    assert plain_report.rounding == {}
    assert plain_report.tolerances == {"output": (1.3e-6, 1e-5)}


@pytest.mark.parametrize("given", [{"rtol": 1.3e-6}, {"atol": 1e-5}, {"rtol": 1.3e-6, "atol": 1e-5}])
def test_tolerances_that_are_given_stay(given: Any) -> None:
    with pytest.raises(VerificationError, match=r"beyond rtol=1.3e-06, atol=1e-05 \(see"):
        to_onnx(a_long_sum, ORDERED, **given)


def test_a_model_that_amplifies_rounding_without_bound_is_refused() -> None:
    chaotic = filled(nn.RNN(8, 32), 0.5)
    with pytest.raises(VerificationError, match=r"amplifies the rounding .* in float64, or give rtol and atol"):
        to_onnx(lambda x: chaotic(x)[0], rand(200, 2, 8), dynamic=None)


def test_the_estimate_holds_float64_and_conversions_to_float32() -> None:
    wide = lucid.tensor(rand(64, 64, scale=1000).astype(np.float64))
    x = rand(64, 64).astype(np.float64)
    assert to_onnx(lambda x: (x @ wide) @ wide, x).report is not None
    report = to_onnx(lambda x: (x @ wide) @ wide, x, precision="float32").report
    assert report is not None
    assert 0 < report.rounding["output"] < 1e4


def test_the_estimate_is_near_the_real_error() -> None:
    """A tolerance far above what happens would let mistakes through, and one below refuses right programs."""
    for function, x in (
        (many_products, rand(8, 64)),
        (sharp_attention, rand(64, 64)),
        (two_convolutions, rand(4, 16, 90)),
    ):
        example = Example(function, (lucid.tensor(x),), {})
        plan = make_plan(prove(function, example, None), "auto")
        (estimate,) = rounding(plan, example.arrays, {}, None)
        off = np.abs(function(lucid.tensor(x)).detach().numpy() - estimate.exact)
        assert off.max() > estimate.tolerance.max() / 300
        assert (off < estimate.tolerance).all()


@pytest.mark.parametrize("case", thinned(EXPORTED, 20, sample=3), ids=str)
def test_the_estimate_runs_every_op(case: Any) -> None:
    function, inputs = exportable(case)
    example = Example(function, tuple(inputs), {})
    estimates = rounding(make_plan(prove(function, example, None), "auto"), example.arrays, {}, None)
    for tensor, estimate in zip(results(function(*inputs)), estimates, strict=True):
        array = tensor.detach().numpy()
        if array.dtype.kind == "f":
            allowed = estimate.tolerance + 1e-5 + 1e-6 * np.abs(array)
            both = np.isfinite(array) & np.isfinite(estimate.exact)
            assert (np.abs(array[both] - estimate.exact[both]) <= allowed[both]).all()


# --- wrong models


def mutated(function: Any, x: Any, change: Callable[[ir.Model], None]) -> Report | None:
    """Checks a model that was changed after the lowering."""
    example = Example(function, (lucid.tensor(x),), {})
    plan = make_plan(prove(function, example, "auto"), "auto")
    model = lower(plan, 18)
    change(model)
    return check(model, model, plan, function, example, verify=True, rtol=None, atol=None)


def scaled(factor: float) -> Callable[[ir.Model], None]:
    """Multiplies all weights."""

    def change(model: ir.Model) -> None:
        for value in model.graph.initializers.values():
            array = value.const_value.numpy()  # type: ignore[union-attr]
            if array.dtype == np.float32 and array.size > 1:
                value.const_value = ir.tensor(array * np.float32(factor), name=value.name)

    return change


def turned(model: ir.Model) -> None:
    """Reverses the rows of all matrices."""
    for value in model.graph.initializers.values():
        array = value.const_value.numpy()  # type: ignore[union-attr]
        if array.ndim == 2:
            value.const_value = ir.tensor(np.ascontiguousarray(array[::-1]), name=value.name)


def shifted(model: ir.Model) -> None:
    """Forgets a ten-thousandth of each bias."""
    for value in model.graph.initializers.values():
        array = value.const_value.numpy()  # type: ignore[union-attr]
        if array.ndim == 1 and array.dtype == np.float32 and array.size > 1:
            value.const_value = ir.tensor(array - np.float32(1e-4), name=value.name)


def replaced(before: str, after: str) -> Callable[[ir.Model], None]:
    """Lowers one op as another."""

    def change(model: ir.Model) -> None:
        nodes = [node for node in model.graph if node.op_type == before]
        assert nodes
        nodes[-1].op_type = after

    return change


WRONG = [
    (attention, rand(64, 64), scaled(1.001)),
    (sharp_attention, rand(64, 64), scaled(1.001)),
    (many_products, rand(8, 64), scaled(1.0003)),
    (two_convolutions, rand(4, 16, 100), scaled(1.0003)),
    (gru_states, rand(20, 2, 8), scaled(1.001)),
    (attention, rand(64, 64), turned),
    (sharp_attention, rand(64, 64), turned),
    (many_products, rand(8, 64), turned),
    (plain, rand(64, 64), shifted),
    (lambda x: plain(attention(x)), rand(64, 64), shifted),
    (lambda x: (x.sum(0) * 2).exp(), rand(1000, 3, scale=0.1), replaced("Exp", "Softplus")),
    (a_long_sum, rand(10_000), replaced("ReduceSum", "ReduceMean")),
    (lambda x: x.mean(0).abs(), rand(10_000, 4), replaced("Abs", "Neg")),
    (lambda x: x.cumsum(0).tanh(), rand(500, 4), replaced("Tanh", "Softsign")),
]


@pytest.mark.parametrize(("function", "x", "change"), thinned(WRONG, 2, 3))
def test_mistakes_are_refused(function: Any, x: Any, change: Any) -> None:
    assert mutated(function, x, lambda model: None) is not None
    with pytest.raises(VerificationError, match="differs at"):
        mutated(function, x, change)


def test_the_message_says_what_rounding_explains() -> None:
    with pytest.raises(VerificationError, match=r"beyond rtol=1.3e-06, atol=1e-05; rounding explains no more than \d"):
        mutated(sharp_attention, rand(64, 64), scaled(1.001))


def test_an_op_that_does_not_run_in_float64_is_compared_by_the_defaults() -> None:
    from lucid.tensor import op
    from lucid.tracer.op import OPS

    @op(no_gradient="it is a test")
    def only_float32(x: Any, /) -> Any:
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return x * 1

    from lucid.export.lowering.registry import LOWERINGS, lowers

    @lowers("only_float32")
    def _(b: Any, x: Any) -> Any:
        return b.op("Mul", x, np.array(1.01, np.float32))

    try:
        with pytest.raises(VerificationError, match=r"atol=1e-05 \(see"):
            to_onnx(only_float32, rand(3, 4))
    finally:
        del OPS["only_float32"], LOWERINGS["only_float32"]
