"""The dtype of a result: PyTorch's rules, for tensors with and without axes, numbers and NumPy scalars."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest

import lucid
from lucid.errors import DtypeError
from lucid.export import to_onnx
from lucid.tracer import trace

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def operand(dtype, axes):
    values = np.array([1, 0, 1] if dtype == "bool" else [1, 2, 3]).astype(dtype)
    return values if axes else np.array(values[2])


OPERANDS = {
    **{f"{dtype}{[3] if axes else []}": operand(dtype, axes) for dtype in DTYPES for axes in (1, 0)},
    "2": 2,
    "2.5": 2.5,
    "True": True,
    **{f"{type(x).__name__}()": x for x in (np.float64(2.5), np.float32(2.5), np.int64(2), np.int8(2))},
}


def fill(library, name):
    """Returns a function of two operands, of lucid or of PyTorch."""
    if hasattr(operator, name):
        return getattr(operator, name)
    if name == "where":
        return lambda x, y: library.where(library.tensor([True, False, True]), x, y)
    if name in ("cat", "stack"):
        return lambda x, y: getattr(library, name)([x, y])
    if name in ("floor", "trunc"):
        return lambda x, y: library.div(x, y, rounding_mode=name)
    return getattr(library, name)


ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor")
COMPARISONS = ("lt", "ge", "eq", "ne")
FUNCTIONS = ("maximum", "minimum", "logaddexp", "where", "cat", "stack", "clamp", "floor", "trunc")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ARITHMETIC + COMPARISONS + FUNCTIONS)
def test_all_pairs_as_in_pytorch(torch, name):
    mine, theirs = fill(lucid, name), fill(torch, name)
    compared = 0
    for (left, x), (right, y) in itertools.product(OPERANDS.items(), OPERANDS.items()):
        if not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
            continue
        if (
            name == "pow"
            and (x is True or y is True or left.startswith("bool"))
            and right in ("True", "bool[3]", "bool[]")
        ):
            continue  # NumPy raises bools to the power of bools as int8
        try:
            wanted = theirs(*[torch.tensor(z) if isinstance(z, np.ndarray) else z for z in (x, y)])
        except (TypeError, RuntimeError, NotImplementedError):
            continue
        found = mine(*[lucid.tensor(z) if isinstance(z, np.ndarray) else z for z in (x, y)])
        assert str(wanted.dtype) == f"torch.{found.dtype}", (left, right)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=2e-3, err_msg=f"{left}, {right}")
        compared += 1
    assert compared > 30


@pytest.mark.parametrize(
    ("inputs", "dtype"),
    [
        (("int64[3]", "2.5"), "float32"),
        (("bool[3]", "2"), "int64"),
        (("int8[3]", "2"), "int8"),
        (("int64[3]", "float32[3]"), "float32"),
        (("int64[]", "float16[3]"), "float16"),
        (("float32[3]", "float64[]"), "float32"),
        (("float32[3]", "float64()"), "float32"),
        (("int32[3]", "int64[]"), "int32"),
        (("int64[3]", "float64[]"), "float64"),
        (("int64[3]", "float64()"), "float32"),
        (("float32[3]", "float64[3]"), "float64"),
        (("float64[]", "float32[]"), "float64"),
        (("uint8[3]", "int8[3]"), "int16"),
        (("True", "2"), "int64"),
    ],
    ids=str,
)
def test_result_type(inputs, dtype):
    given = [OPERANDS[name] for name in inputs]
    tensors = [lucid.tensor(x) if isinstance(x, np.ndarray) else x for x in given]
    for pair in (tensors, tensors[::-1]):
        assert lucid.result_type(*pair) == dtype
        if any(isinstance(x, lucid.Tensor) for x in pair):
            assert (pair[0] + pair[1]).dtype == dtype
            assert lucid.where(lucid.tensor([True, False, True]), *pair).dtype == dtype


@pytest.mark.parametrize("name", ["div", "exp", "log", "sqrt", "tanh", "sigmoid", "reciprocal", "erf", "logsumexp"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"])
def test_functions_of_integers_give_float32(name, dtype):
    x = lucid.tensor(operand(dtype, 1))
    found = lucid.div(x, x + 1) if name == "div" else getattr(lucid, name)(x, *([0] if name == "logsumexp" else []))
    assert found.dtype == (dtype if dtype.startswith("float") else "float32")


def test_comparisons_are_made_in_the_promoted_dtype():
    # 2 ** 24 + 1 is no float32.
    assert (lucid.tensor([2**24 + 1]) == float(2**24)).tolist() == [True]
    assert (lucid.tensor([2**24 + 1]) == 2**24).tolist() == [False]
    assert (lucid.tensor([0.1]) == lucid.tensor(np.float64(0.1))).tolist() == [True]


def test_cat_of_three_dtypes():
    parts = [lucid.tensor([True]), lucid.tensor([1], dtype="int64"), lucid.tensor([0.5])]
    for order in itertools.permutations(parts):
        assert lucid.cat(order).dtype == np.float32


def test_gradients_have_the_dtype_of_their_tensor():
    x, y = lucid.ones(3, requires_grad=True), lucid.tensor(np.float64(2), requires_grad=True)
    product = x * y
    assert product.dtype == np.float32
    product.sum().backward(create_graph=True)
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(y.grad.detach().numpy(), 3)


def test_large_integers_are_filled_as_they_are():
    x = lucid.tensor([2**24 + 1, 2])
    assert x.masked_fill(lucid.tensor([False, True]), -1e9).tolist() == [2**24 + 1, -(10**9)]
    assert (x > 5).masked_fill(lucid.tensor([False, True]), 2).tolist() == [True, True]


@pytest.mark.parametrize(
    "function",
    [
        lambda i, x: i * 0.5 + i / 3,
        lambda i, x: i * x + (i > 1.5),
        lambda i, x: lucid.cat([i, x, i > 1]),
        lambda i, x: lucid.where(i > 1, i, x) + np.float64(0.1),
        lambda i, x: x * lucid.tensor(np.float64(2.0)),
        lambda i, x: lucid.exp(i) + lucid.sigmoid(x),
        lambda i, x: i / i.shape[0] + x * (i.shape[0] / 2),
    ],
)
def test_export(function):
    """The converted inputs are converted in the file, too, at all sizes."""
    i, x = lucid.tensor([1, 2, 3]), lucid.tensor([0.5, 1.5, 2.5])
    exported = to_onnx(function, i, x, dynamic="auto")
    assert function(i, x).dtype == np.float32
    assert all(out.dtype != np.float64 for node in trace(function, i, x).nodes for out in node.outputs)
    assert exported is not None


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: x @ y,
        lambda x, y: lucid.nn.functional.linear(x, y),
        lambda x, y: lucid.nn.functional.linear(x, x, y[0]),
        lambda x, y: lucid.nn.Linear(2, 3)(y),
        lambda x, y: lucid.nn.LayerNorm(2)(y),
        lambda x, y: lucid.nn.Conv1d(2, 3, 1)(y.reshape(1, 2, 2)),
        lambda x, y: lucid.nn.MultiheadAttention(2, 1)(y, y, y),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64"])
def test_products_refuse_another_dtype(call, dtype):
    x, y = lucid.ones(2, 2), lucid.ones(2, 2, dtype=dtype)
    with pytest.raises(DtypeError, match=rf"has dtype .*{dtype}.* convert"):
        call(x, y)


def test_an_operand_that_is_no_number():
    for x, y in ((lucid.ones(1), "a"), ("a", lucid.ones(1)), ("a", "b"), ([1.0], [2.0])):
        with pytest.raises(DtypeError, match="add: expected Tensors, arrays or numbers; got"):
            lucid.add(x, y)


def test_a_custom_op_promotes_if_it_says_so():
    @lucid.op
    def halved_sum(x, y, /):
        return (x + y) * 0.5

    halved_sum.sizes(lambda x, y: x)
    i, x = lucid.tensor([1, 2]), lucid.tensor([0.5, 1.5])
    assert halved_sum(i, x).dtype == np.float64
    halved_sum.promotes("x", "y")
    assert halved_sum(i, x).dtype == np.float32
    halved_sum.promotes()
    halved_sum.needs_one_dtype("x", "y")
    with pytest.raises(DtypeError, match="halved_sum: x has dtype int64, but y has float32; convert one of them"):
        halved_sum(i, x)
