"""Dtypes and shapes: every dtype, numbers on either side of an operator, axes that are empty or of size one."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import lucid
from lucid.errors import DtypeError
from lucid.export import to_onnx
from lucid.tracer.op import FUNCTIONS
from tests.ops.case import Sample, run, wrapped
from tests.ops.cases import CASES
from tests.tiers import thinned

ELEMENTWISE = [case for case in CASES if case.elementwise]
UFUNCS = [case for case in ELEMENTWISE if isinstance(case.ref, np.ufunc)]
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float16", "float32", "float64"]


def drawn(case, shape, dtype):
    """Returns the inputs of a case in another shape and dtype."""
    rng = np.random.default_rng(5)
    kinds = [Sample("float", shape, x.low, x.high).draw(rng, np.float64) for x in case.inputs]
    if dtype == "bool":
        return [x > 0.9 for x in kinds]
    # Small integers from 1 on, so that nothing overflows and nothing is divided by 0.
    return [x.astype(dtype) if dtype.startswith("float") else (np.abs(x) * 2 + 1).astype(dtype) for x in kinds]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0), (1, 3), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("case", thinned(ELEMENTWISE, 8, sample=3), ids=str)
def test_every_shape(case, shape):
    arrays = drawn(case, shape, "float64")
    wanted = np.asarray(case.ref(*arrays))
    (found,) = run(case, wrapped(arrays))
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", thinned(UFUNCS, 8, sample=3), ids=str)
def test_every_dtype(case, dtype):
    arrays = drawn(case, (4,), dtype)
    if case.name in ("floor_divide", "remainder", "fmod") and dtype == "bool":
        # NumPy's quotient of integers and 0 is 0.
        with pytest.raises(ZeroDivisionError):
            run(case, wrapped(arrays))
        return
    try:
        with np.errstate(all="ignore"):
            wanted = case.ref(*arrays)
    except (TypeError, ValueError):
        if case.name == "sign":
            # As in PyTorch, bools are their own signs.
            np.testing.assert_array_equal(run(case, wrapped(arrays))[0].numpy(), arrays[0])
            return
        with pytest.raises((TypeError, ValueError)):
            run(case, wrapped(arrays))
        return
    (found,) = run(case, wrapped(arrays))
    if case.name in ("floor", "ceil", "trunc", "rint") and not dtype.startswith("float"):
        # As in PyTorch, and in NumPy from 2.1 on: rounding returns integers unchanged.
        wanted = arrays[0]
    if case.name == "square" and dtype == "bool":
        wanted = wanted.astype(np.int64)
    # As in NumPy, but what NumPy makes float64 or float16 of integers is float32, as in PyTorch.
    makes_floats = wanted.dtype.kind == "f" and not dtype.startswith("float")
    assert found.dtype == ("float32" if makes_floats else wanted.dtype)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-3 if wanted.dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "float16"])
@pytest.mark.parametrize("case", thinned(UFUNCS, 20, sample=3), ids=str)
def test_every_dtype_is_exported(case, dtype):
    if dtype == "bool" and case.name in ("floor_divide", "remainder", "fmod"):
        return  # False is 0, and onnxruntime refuses to divide by 0
    tensors = wrapped(drawn(case, (4,), dtype))
    try:
        run(case, tensors)
    except (TypeError, ValueError):
        return
    to_onnx(lambda *xs: case.run(FUNCTIONS[case.name], *xs), *tensors, dynamic=None, opset=18, rtol=1e-6)


REDUCTIONS = ("sum", "prod", "mean", "amax", "amin", "argmax", "argmin", "any", "all", "cumsum")
REARRANGED = {
    "tile": lambda x: lucid.tile(x, (2, 1)),
    "pad": lambda x: lucid.nn.functional.pad(x, (1, 2), value=1),
    "cat": lambda x: lucid.cat([x, x]),
    "flip": lambda x: lucid.flip(x, 0),
    "tril": lucid.tril,
    "where": lambda x: lucid.where(lucid.tensor([True, False, True]), x, x[0]),
    "index": lambda x: x[lucid.tensor([1, 0]), 1:],
    "clamp": lambda x: lucid.clamp(x, 1, 2),
    "matmul": lambda x: x @ x.t(),
    "einsum": lambda x: lucid.einsum("ij,ij->i", x, x),
}


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "float16"])
@pytest.mark.parametrize("name", thinned(REDUCTIONS, 3))
def test_reductions_of_every_dtype(name, dtype):
    x = (np.arange(6).reshape(2, 3) % 4).astype(dtype)
    function = getattr(np, name)(x, axis=1)
    tensor = lucid.tensor(x)
    found = getattr(tensor, name)(dim=1)
    assert found.dtype == function.dtype
    np.testing.assert_allclose(found.numpy(), function, rtol=1e-6)
    to_onnx(lambda x: getattr(x, name)(dim=1), tensor, dynamic=None)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "float16"])
@pytest.mark.parametrize("name", thinned(REARRANGED, 3))
def test_other_ops_of_every_dtype(name, dtype):
    if dtype == "bool" and name in ("clamp", "matmul", "einsum"):
        return
    tensor = lucid.tensor((np.arange(6).reshape(2, 3) % 4).astype(dtype))
    found = REARRANGED[name](tensor)
    assert found.dtype == dtype or name == "einsum"
    to_onnx(REARRANGED[name], tensor, dynamic=None, opset=18)


# --- numbers on either side of an operator

OPERATORS = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.ge,
    operator.eq,
)
NUMBERS = (2, 2.0, True, np.float32(2), np.float64(2), np.int64(2), np.int8(2), np.bool_(True))


def named(x):
    return type(x).__name__ if not callable(x) else x.__name__


@pytest.mark.parametrize("number", NUMBERS, ids=named)
@pytest.mark.parametrize("function", thinned(OPERATORS, 8, sample=3), ids=named)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8"])
def test_numbers_on_either_side(function, number, dtype):
    array = np.array([1, 3, 5], dtype)
    # A NumPy scalar is a number like any other; a float makes float32 of integers, and so does a division.
    plain = number.item() if isinstance(number, np.generic) else number
    floats = dtype.startswith("int") and (isinstance(plain, float) or function is operator.truediv)
    operand = array.astype("float32") if floats else array
    for left, right in (("array", number), (number, "array")):
        mine = [lucid.tensor(array) if isinstance(x, str) else x for x in (left, right)]
        theirs = [operand if isinstance(x, str) else plain for x in (left, right)]
        # The ** of NumPy 2.0 has special rules for some numbers.
        found, wanted = function(*mine), (np.power if function is operator.pow else function)(*theirs)
        assert isinstance(found, lucid.Tensor)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


def test_arrays_on_either_side():
    x, array = lucid.tensor([1.0, 2.0]), np.array([3.0, 4.0], np.float32)
    for function in OPERATORS:
        for found, wanted in (
            (function(x, array), function(x.numpy(), array)),
            (function(array, x), function(array, x.numpy())),
        ):
            assert isinstance(found, lucid.Tensor)
            np.testing.assert_array_equal(found.numpy(), wanted)


def test_where_of_two_numbers_is_as_a_tensor_of_them():
    mask = lucid.tensor([True, False])
    assert lucid.where(mask, 1.0, 0.0).dtype == np.float32
    assert lucid.where(mask, 1, 0).dtype == np.int64
    assert lucid.where(mask, True, False).dtype == np.bool_
    to_onnx(lambda m: lucid.where(m, 1.0, 0.0), mask)


def test_allclose():
    x = lucid.tensor([1.0, float("nan")])
    assert not lucid.allclose(x, x)
    assert lucid.allclose(x, x, equal_nan=True)
    assert lucid.allclose(x[:1], 1.0)


def test_matrix_product_with_an_array():
    x, array = lucid.ones(2, 3), np.ones((3, 2), np.float32)
    np.testing.assert_array_equal((x @ array).numpy(), np.full((2, 2), 3))
    np.testing.assert_array_equal((array @ x).numpy(), np.full((3, 3), 2))


@pytest.mark.parametrize("function", [operator.and_, operator.or_, operator.xor], ids=named)
def test_bits_and_logic(function):
    for left, right in (([True, False], [True, True]), ([6, 3], [2, 1])):
        np.testing.assert_array_equal(
            function(lucid.tensor(left), lucid.tensor(right)).numpy(), function(np.array(left), np.array(right))
        )
    np.testing.assert_array_equal(function(3, lucid.tensor([5, 6])).numpy(), function(3, np.array([5, 6])))
    with pytest.raises(DtypeError, match=r"bitwise_.*float32\[1\]"):
        function(lucid.ones(1), lucid.ones(1))


def test_conversions_keep_what_needs_no_conversion():
    x = lucid.ones(2)
    assert x.float() is x
    assert x.to("float32") is x
    assert x.contiguous() is x
    assert x.to("cpu") is x
    for name in ("half", "double", "long", "int", "bool"):
        assert getattr(x, name)().dtype == {"half": "f2", "double": "f8", "long": "i8", "int": "i4", "bool": "?"}[name]
    assert x.type_as(lucid.tensor([1])).dtype == np.int64


def test_pytorchs_names_of_dtypes(torch):
    for name in ("half", "float", "double", "short", "int", "long", "bool", "uint8"):
        assert str(getattr(torch, name)) == f"torch.{getattr(lucid, name)}"
        assert name == "uint8" or name not in lucid.__all__
