"""NaN, infinities, overflow and empty axes: onnxruntime must give what the eager model gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError, ShapeError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from lucid.runtime import Session
from lucid.runtime.session.bounded import without_guards
from tests.tiers import thinned

T, N, F, H = 6, 3, 4, 5

Array = np.ndarray[Any, Any]

each_layer = pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])

VALUES = [np.nan, np.inf, -np.inf, 3e38]


def randn(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def flat(results: Any) -> list[Array]:
    if isinstance(results, (tuple, list)):
        return [array for result in results for array in flat(result)]
    return [results.detach().numpy()]


def assert_same(found: Any, expected: Any) -> None:
    expected = flat(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def states(layer: type, value: Array) -> Any:
    h = lucid.tensor(value)
    return (h, h * 0.5) if layer is nn.LSTM else h


# --- recurrent layers


@pytest.mark.parametrize("value", thinned(VALUES, 2))
@pytest.mark.parametrize("layers", thinned([1, 2], 2))
@each_layer
def test_an_element_of_a_sequence(layer: type, layers: int, value: float) -> None:
    model = layer(F, H, layers)
    exported = to_onnx(model, lucid.randn(3, 2, F))
    session = Session(exported)
    # A runtime other than lucid's runs the file as it is.
    ort = pytest.importorskip("onnxruntime")
    plain = ort.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    x = randn(T, N, F)
    for places in ([(2, 0, 1)], [(0, 1, 0), (4, 2, 3)]):
        for place in places:
            x[place] = value
        expected = model(lucid.tensor(x))
        for _ in range(3):  # the later calls use buffers
            assert_same(session(x), expected)
        assert_same(plain.run(None, {"x": x}), expected)
    clean = randn(T, N, F)
    assert_same(session(clean), model(lucid.tensor(clean)))


@pytest.mark.parametrize("value", thinned(VALUES, 4))
@each_layer
def test_an_initial_state(layer: type, value: float) -> None:
    model = layer(F, H, 2)
    h = randn(2, N, H)
    session = Session(to_onnx(model, lucid.randn(3, N, F), states(layer, h)))
    h[0, 1, 2] = value
    given = states(layer, h)
    found = session(randn(T, N, F), *(part.numpy() for part in (given if layer is nn.LSTM else (given,))))
    assert_same(found, model(lucid.tensor(randn(T, N, F)), given))


@pytest.mark.parametrize("value", thinned([np.nan, np.inf, 1e38], 2))
@each_layer
def test_a_weight(layer: type, value: float) -> None:
    model = layer(F, H)
    model.weight_hh_l0.detach()._data[1, 2] = value
    x = randn(T, N, F)
    assert_same(Session(to_onnx(model, lucid.tensor(x)))(x), model(lucid.tensor(x)))


@each_layer
def test_padding_does_not_matter_and_sequences_do_not_mix(layer: type) -> None:
    model = layer(F, H, 2)

    def forward(x: lucid.Tensor, lengths: lucid.Tensor) -> Any:
        output, final = model(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(output)[0], final

    lengths = np.array([2, T, 4])
    session = Session(to_onnx(forward, lucid.randn(T, N, F), lucid.tensor(lengths)))
    clean = randn(T, N, F)
    hostile = clean.copy()
    for i, n in enumerate(lengths):
        hostile[n:, i] = np.nan
    assert_same(session(hostile, lengths), forward(lucid.tensor(clean), lucid.tensor(lengths)))
    hostile[1, 2, 0] = np.nan
    found = session(hostile, lengths)
    assert_same(found, forward(lucid.tensor(hostile), lucid.tensor(lengths)))
    assert np.isnan(found[0][1:4, 2]).all()
    assert np.isfinite(found[0][:, :2]).all()


@each_layer
def test_a_stream(layer: type) -> None:
    model = layer(F, H)
    session = Session(to_onnx(model, lucid.randn(3, 2, F), states(layer, randn(1, 2, H))))
    x = randn(T, 2, F)
    x[3, 1, 0] = np.nan
    expected = flat(model(lucid.tensor(x)))[0]
    stream = session.stream(batch=2)
    for _ in range(2):
        found = [stream(x[t : t + 1])[0] for t in range(T)]
        np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)
        stream.reset([1])
        np.testing.assert_allclose(stream(x[:1])[0][0, 1], expected[0, 1], atol=1e-6)
        stream.reset()
    infinite = np.full((1, 2, H), np.inf, np.float32)
    stream.state = {"h0": infinite}
    given = lucid.tensor(infinite)
    expected = model(lucid.tensor(x[:2]), (given, lucid.zeros(1, 2, H)) if layer is nn.LSTM else given)
    np.testing.assert_allclose(stream(x[:2])[0], flat(expected)[0], atol=1e-6)


@each_layer
def test_compiled(layer: type, quick_choices: None) -> None:
    model = layer(F, H).eval()
    compiled = lucid.compile(model)
    x = randn(T, N, F)
    for value in (1.0, np.nan, np.inf, 1.0):
        x[2, 0, 1] = value
        for _ in range(2):
            assert_same(flat(compiled(lucid.tensor(x))), model(lucid.tensor(x)))


@pytest.mark.parametrize(("variance", "bounded"), [(1.0, True), (0.0, True), (-1.0, False), (np.nan, False)])
def test_after_a_batch_norm(variance: float, bounded: bool) -> None:
    """A session leaves the guard out only where the norm of bounded inputs is bounded."""
    norm, rnn = nn.BatchNorm1d(F).eval(), nn.LSTM(F, H)
    norm.running_var.copy_(lucid.tensor([variance, 1.0, 2.0, 3.0]))  # type: ignore[union-attr]

    def model(x: lucid.Tensor) -> Any:
        return rnn(norm(x.flatten(0, 1)).reshape(x.shape))[0]

    exported = to_onnx(model, lucid.randn(3, 2, F))
    assert (without_guards(exported.proto) is not None) == bounded
    session, x = Session(exported), randn(T, N, F)
    for value in (0.5, np.nan, np.inf, 1e30):
        x[2, 0, 1] = value
        assert_same(session(x), model(lucid.tensor(x)))


@each_layer
def test_what_becomes_nan_inside_of_the_model(layer: type) -> None:
    """The standard deviation of a single step is NaN."""
    model = layer(F, H)
    exported = to_onnx(lambda x: model((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)), lucid.randn(T, N, F))
    assert list(exported.axes["x"]) == [0, 1]
    found = Session(exported)(randn(T, 1, F))
    assert all(np.isnan(result).all() for result in found)


@each_layer
def test_float16(layer: type) -> None:
    model = layer(F, H)
    session = Session(to_onnx(model, lucid.randn(T, N, F), precision="float16"))
    x = randn(T, N, F)
    x[2, 0, 1] = np.nan
    for found, expected in zip(session(x), flat(model(lucid.tensor(x))), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-2)


# --- other operators

ROWS = np.array(
    [[1, 5, 1], [np.nan, 2, 2], [3, np.nan, 9], [9, np.nan, np.nan], [4, np.inf, np.nan], [-np.inf, 1, np.inf]]
)

REDUCTIONS: dict[str, Callable[[lucid.Tensor], Any]] = {
    "amax": lambda x: (lucid.amax(x, 1), lucid.amax(x, 0), lucid.amax(x), lucid.amax(x, 1, keepdim=True)),
    "amin": lambda x: (lucid.amin(x, 1), lucid.amin(x, 0), lucid.amin(x), lucid.amin(x, 1, keepdim=True)),
    "argmax": lambda x: (lucid.argmax(x, 1), lucid.argmax(x, 0), lucid.argmax(x), lucid.argmax(x, 1, keepdim=True)),
    "argmin": lambda x: (lucid.argmin(x, 1), lucid.argmin(x, 0), lucid.argmin(x), lucid.argmin(x, 1, keepdim=True)),
    "max": lambda x: tuple(lucid.max(x, 1)),
    "min": lambda x: tuple(lucid.min(x, 0)),
}


@pytest.mark.parametrize("opset", thinned([17, 13, 20], 3))
@pytest.mark.parametrize("dtype", thinned([np.float32, np.float64], 2))
@pytest.mark.parametrize("name", REDUCTIONS)
def test_extrema(name: str, dtype: Any, opset: int) -> None:
    function = REDUCTIONS[name]
    x = ROWS.astype(dtype)
    session = Session(to_onnx(function, lucid.tensor(np.ones((2, 3), dtype)), opset=opset))
    assert_same(session(x), function(lucid.tensor(x)))


ELEMENTWISE: list[tuple[Callable[[lucid.Tensor], Any], list[float]]] = [
    (nn.functional.gelu, [3e38, -3e38, np.inf, np.nan]),
    (lambda x: nn.functional.gelu(x, approximate="tanh"), [3e38, -3e38, np.inf, np.nan]),
    (lambda x: x**0.5, [-np.inf, -1, 4, np.inf]),
    (lambda x: x // 0.0, [1, -1, 0, np.nan, np.inf]),
    (lambda x: x // (x * 0), [1, -1, 0]),
    (lambda x: 3.0 // x, [2, 0.0, -0.0, np.inf]),
    (lambda x: x // 2.0, [np.inf, -3, 3e38]),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("row", range(len(ELEMENTWISE)))
def test_elementwise(row: int) -> None:
    function, values = ELEMENTWISE[row]
    x = np.array(values, np.float32)
    assert_same(Session(to_onnx(function, lucid.ones(2)))(x), function(lucid.tensor(x)))


GREATEST, LEAST = 2**63 - 1, -(2**63)

INTEGERS: list[tuple[Callable[[lucid.Tensor], Any], list[int]]] = [
    (lambda x: x // -2, [GREATEST, LEAST, 5, -5]),
    (lambda x: x // 3, [GREATEST, LEAST, 5, -5, 6, -6]),
    (lambda x: x // -1, [GREATEST, LEAST, 5, -5]),
    (lambda x: x // x.flip(0), [GREATEST, LEAST, 5, -5, -1, 1, 3, -1, 7, -2]),
    (lambda x: 7 // x, [2, -2, -1, 1, LEAST]),
    (lambda x: x % -2, [GREATEST, LEAST, 5, -5]),
    (lambda x: x.sum(), [GREATEST, GREATEST, 5]),
    (lambda x: x.sum(), [2**60 + 1] * 3),
    (lambda x: x.reshape(2, -1).sum(0, keepdim=True), [2**60 + 1, -1, 2**62, LEAST, 2**53, 7]),
    (lambda x: x.prod(), [GREATEST, GREATEST, 5]),
    (lambda x: x.prod(), [2**30 + 1, 2**25 + 1]),
    (lambda x: x.reshape(2, -1).prod(1, keepdim=True), [2**40, 2**40, 3, 2**30 + 1, 2**25 + 1, -1]),
    (lambda x: x.reshape(1, 2, -1).prod(), [3, -5, 2**40, 7]),
]


@pytest.mark.parametrize("row", range(len(INTEGERS)))
@pytest.mark.parametrize("dtype", thinned([np.int64, np.int32], 2))
def test_integers(row: int, dtype: Any) -> None:
    function, values = INTEGERS[row]
    x = np.array(values, np.int64).astype(dtype)
    x[x == 0] = 1
    found = Session(to_onnx(function, lucid.tensor(np.arange(1, len(x) + 1, dtype=dtype))))(x)
    expected = flat(function(lucid.tensor(x)))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_an_integer_is_not_divided_by_zero() -> None:
    x = np.array([4, 0], np.int64)
    for function in (lambda x: 7 // x, lambda x: 7 % x):
        with pytest.raises(ZeroDivisionError, match="integer cannot be divided by 0"):
            function(lucid.tensor(x))
        session = Session(to_onnx(function, lucid.tensor([4, 1])))
        with pytest.raises(LucidError, match="by zero"):
            session(x)


EMPTY: list[tuple[Callable[[lucid.Tensor], Any], Any]] = [
    (lambda x: x.mean(), np.nan),
    (lambda x: x.mean(0), np.full(3, np.nan)),
    (lambda x: x.mean(1), np.zeros(0)),
    (lambda x: nn.functional.mse_loss(x, x * 0), np.nan),
    (lambda x: x.sum(0), np.zeros(3)),
    (lambda x: x.prod(0), np.ones(3)),
    (lambda x: x.long().prod(0), np.ones(3)),
    (lambda x: x.amax(1), np.zeros(0)),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("row", range(len(EMPTY)))
def test_no_elements(row: int) -> None:
    function, expected = EMPTY[row]
    x = np.zeros((0, 3), np.float32)
    assert_same(Session(to_onnx(function, lucid.ones(2, 3)))(x), lucid.tensor(np.asarray(expected)))
    assert_same(flat(function(lucid.tensor(x))), lucid.tensor(np.asarray(expected)))


@pytest.mark.parametrize("name", ["amax", "amin", "argmax", "argmin"])
def test_no_elements_have_no_extremum(name: str) -> None:
    def function(x: lucid.Tensor) -> Any:
        return getattr(lucid, name)(x, 0)

    empty = np.zeros((0, 3), np.float32)
    with pytest.raises(ShapeError):
        function(lucid.tensor(empty))
    exported = to_onnx(function, lucid.ones(2, 3))
    assert list(exported.conditions) == ["x_dim_0 >= 1"]
    with pytest.raises(ShapeError, match="x_dim_0 >= 1"):
        Session(exported)(empty)
    model = nn.RNN(3, 4)
    exported = to_onnx(lambda x: function(model(x)[0]), lucid.randn(5, 2, 3))
    assert not exported.conditions  # a layer runs over the axis: it has a step
