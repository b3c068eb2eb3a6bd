"""Tensors: how they are made, what dtype they get, and the ways out of lucid."""

from __future__ import annotations

import array
import collections
import copy
import math
import pickle
import weakref

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import AxisError, DtypeError, GradientError, ShapeError

DTYPES = ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"]


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        ([1, 2], "int64"),
        ([True, False], "bool"),
        ([1, 2.5], "float32"),
        ([], "float32"),
        (math.nan, "float32"),
        (np.float64(1.5), "float64"),
        (np.arange(3, dtype=np.uint8), "uint8"),
        (np.ones(2), "float64"),
        (np.ones(2, np.float16), "float16"),
        ([np.ones(2, np.float32), np.zeros(2, np.float32)], "float32"),
    ],
)
def test_dtype_of_new_tensors(data, dtype):
    made = lucid.tensor(data)
    assert made.dtype == dtype
    np.testing.assert_array_equal(made.numpy(), np.asarray(data).astype(dtype))


class Table:
    """What brings an array of its own, as tables of pandas and pyarrow do."""

    def __init__(self, *columns):
        self.columns = columns

    def __array__(self, dtype=None, copy=None):
        return np.array(self.columns, dtype)


class Described:
    """What describes its memory."""

    def __init__(self, column):
        self.column, self.__array_interface__ = column, column.__array_interface__


MINUTE = 1_700_000_040.0
"""A time in seconds: float32 holds it to two minutes."""


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "float16", "bool"])
def test_what_brings_its_own_array_keeps_its_dtype(dtype):
    values = np.array([0, 1, 1], dtype)
    column = np.array([0.0, 1.0, 1.0]).astype(dtype)
    for data in (Described(column), memoryview(column), Table(*column)):
        for made in (lucid.tensor(data), lucid.as_tensor(data)):
            assert made.dtype == (dtype if not isinstance(data, Table) else np.asarray(data).dtype)
            np.testing.assert_array_equal(made.numpy(), values)


def test_a_column_of_times_keeps_its_minutes():
    for data in (Table(MINUTE), array.array("d", [MINUTE])):
        assert lucid.tensor(data).tolist() == [MINUTE]
    assert lucid.tensor(Table(MINUTE), dtype="float32").dtype == np.float32
    assert lucid.tensor(collections.deque([1.5])).dtype == np.float32


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"time": [MINUTE, MINUTE + 60], "value": [1.0, 2.0]})
    assert lucid.tensor(frame).tolist() == [[MINUTE, 1.0], [MINUTE + 60, 2.0]]
    assert lucid.tensor(frame["time"]).dtype == np.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_asked_for(dtype):
    made = lucid.tensor([0, 1, 1], dtype=dtype)
    assert made.dtype == dtype
    assert made.tolist() == [0, 1, 1]


def test_tensor_copies_and_from_numpy_shares():
    array = np.zeros(3, np.float32)
    copied, shared, same = lucid.tensor(array), lucid.from_numpy(array), lucid.as_tensor(array)
    array[0] = 7
    assert copied.tolist() == [0, 0, 0]
    assert shared.tolist() == same.tolist() == [7, 0, 0]
    assert lucid.as_tensor(shared) is shared
    assert lucid.as_tensor(shared, "float64").dtype == "float64"


def test_tensor_of_a_tensor_is_a_copy():
    x = lucid.ones(2, requires_grad=True)
    y = lucid.tensor(x)
    assert not y.requires_grad
    assert not np.shares_memory(y._data, x._data)


@pytest.mark.parametrize("data", [None, "abc", [1, "a"], [[1], [1, 2]], 1j, object(), [2**80], {}])
def test_what_is_no_number_is_refused(data):
    with pytest.raises(DtypeError, match="tensor"):
        lucid.tensor(data)


def test_wrapping_what_is_no_array():
    with pytest.raises(TypeError, match="from_numpy"):
        lucid.from_numpy([1.0])
    assert type(lucid.from_numpy(np.ones(2).view(np.recarray))._data) is np.ndarray


def test_strides_of_every_kind():
    base = np.arange(24, dtype=np.float64).reshape(4, 6)
    for view in (base[::2, ::3], base[::-1], base.T, base[:, ::-2], base[1:3, 5:0:-1], np.asfortranarray(base)):
        x = lucid.from_numpy(view).requires_grad_()
        (x * x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), 2 * view)
        np.testing.assert_array_equal((x.T @ x).detach().numpy(), view.T @ view)


def test_broadcast_memory_gets_a_gradient_of_its_own():
    x = lucid.from_numpy(np.broadcast_to(np.float32(2), (3,))).requires_grad_()
    (x * lucid.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [1, 2, 3]
    x.grad.numpy()[0] = 5


# --- out of lucid


def test_numbers():
    assert lucid.tensor(2.5).item() == 2.5
    assert type(lucid.tensor([3]).item()) is int
    assert float(lucid.tensor([[2.5]])) == 2.5
    assert int(lucid.tensor(2.9)) == 2
    assert [10, 20, 30][lucid.tensor(1)] == 20
    assert bool(lucid.tensor(0.1))
    assert not lucid.tensor([False])
    assert lucid.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


def test_numbers_that_are_none():
    for convert in (float, int, bool, lambda x: x.item()):
        with pytest.raises(ShapeError):
            convert(lucid.ones(2))
    with pytest.raises(ShapeError):
        bool(lucid.zeros(0))
    with pytest.raises(TypeError, match="index"):
        [1, 2][lucid.tensor(1.0)]


def test_length_and_iteration():
    x = lucid.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert len(lucid.zeros(0, 3)) == 0
    assert list(lucid.zeros(0, 3)) == []
    for broken in (len, iter):
        with pytest.raises(TypeError, match="without axes"):
            broken(lucid.tensor(1.0))
    a, b = lucid.tensor([5, 6])
    assert (a.item(), b.item()) == (5, 6)


def test_contains():
    x = lucid.tensor([[1, 2], [3, 4]])
    assert 3 in x
    assert 7 not in x
    assert lucid.tensor(4) in x
    assert math.nan not in lucid.tensor([math.nan])


def test_numpy_and_gradients():
    x = lucid.ones(2, requires_grad=True)
    for convert in (lambda t: t.numpy(), np.asarray, np.array):
        with pytest.raises(GradientError, match=r"x.detach\(\).numpy\(\)"):
            convert(x)
    assert np.shares_memory(x.detach().numpy(), x._data)
    assert np.asarray(x.detach(), dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x.detach(), copy=True), x._data)


def test_arrays_and_tensors_mix():
    array, x = np.array([1.0, 2.0], np.float32), lucid.tensor([3.0, 4.0])
    ints, bits = np.array([5, 6]), lucid.tensor([3, 4])
    for mixed, expected in (
        (array + x, [4, 6]),
        (array - x, [-2, -2]),
        (x - array, [2, 2]),
        (array * x, [3, 8]),
        (array @ x, 11.0),
        (array / x, [1 / 3, 0.5]),
        (array // x, [0, 0]),
        (array % x, [1, 2]),
        (array**x, [1, 16]),
        (ints & bits, [1, 4]),
        (ints | bits, [7, 6]),
        (ints ^ bits, [6, 2]),
        (array == x, [0, 0]),
        (array != x, [1, 1]),
        (array < x - 1, [1, 1]),
        (array <= x - 2, [1, 1]),
        (array > x - 2, [0, 0]),
        (array >= x - 2, [1, 1]),
    ):
        assert isinstance(mixed, lucid.Tensor)
        np.testing.assert_allclose(mixed.numpy(), np.float32(expected))


@pytest.mark.parametrize("scalar", [np.sqrt(2), np.float32(2), np.int64(3), np.bool_(True), np.float16(0.5)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_numpy_scalar_is_a_number(scalar, dtype):
    x = lucid.full((2,), 3.0, dtype=dtype, requires_grad=True)
    number = scalar.item()
    for y, expected in (
        (x * scalar, x._data * number),
        (scalar * x, number * x._data),
        (x / scalar, x._data / number),
        (x + scalar, x._data + number),
    ):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.detach().numpy(), expected)
        (g,) = lucid.grad(y.sum(), [x])
        assert g.dtype == x.dtype


@pytest.mark.parametrize("number", [True, 2, 2.0])
def test_a_python_number_takes_the_dtype_of_the_tensor(number):
    for dtype in ("float16", "float32", "float64"):
        assert (lucid.ones(2, dtype=dtype) * number).dtype == dtype
        assert (number / lucid.ones(2, dtype=dtype)).dtype == dtype


def test_an_array_without_axes_is_a_tensor_without_axes():
    assert (lucid.ones(2) * np.array(2.0)).dtype == np.float32
    assert (lucid.tensor([1, 2]) * np.array(2.0)).dtype == np.float64


@pytest.mark.parametrize("other", ["abc", object(), [1.0, 2.0], 1j])
def test_operands_that_are_no_numbers(other):
    with pytest.raises(TypeError, match="mul: expected Tensors, arrays or numbers"):
        lucid.ones(2) * other


def test_text():
    assert repr(lucid.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(lucid.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(lucid.tensor(True)) == "tensor(True)"
    assert repr(lucid.tensor([1], dtype="int8")) == "tensor([1], dtype=int8)"
    assert repr(lucid.zeros(0)) == "tensor([])"
    x = lucid.tensor([1.0], requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2.], from=mul)"
    assert repr(nn.Parameter(lucid.tensor([1.0]))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    assert len(repr(lucid.zeros(1000, 1000))) < 500
    assert f"{lucid.tensor(1.23456):.2f}" == "1.23"
    assert f"{lucid.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(TypeError):
        f"{lucid.tensor([1.0]):.2f}"


def test_facts():
    x = lucid.zeros(2, 3, 4, dtype="float64")
    assert (x.ndim, x.dim(), x.numel(), x.size(), x.size(-1)) == (3, 3, 24, (2, 3, 4), 4)
    assert x.T.shape == (4, 3, 2)
    assert x.is_floating_point()
    assert not lucid.arange(3).is_floating_point()


def test_hash_is_identity():
    a, b = lucid.ones(2), lucid.ones(2)
    assert len({a, b, a}) == 2


def test_errors_say_what_was_asked():
    with pytest.raises(ShapeError, match=r"add: .*; got \(float32\[2\], float32\[3\]\)"):
        lucid.ones(2) + lucid.ones(3)
    with pytest.raises(AxisError, match=r"sum: .*float32\[2\], dim=3"):
        lucid.ones(2).sum(3)
    with pytest.raises(AxisError, match="out of bounds"):
        lucid.ones(2)[5]


# --- leaves, copies


def test_requires_grad():
    with pytest.raises(DtypeError, match="int64"):
        lucid.tensor([1], requires_grad=True)
    x = lucid.ones(2).requires_grad_()
    assert x.requires_grad
    assert x.is_leaf
    y = x * 2
    assert y.requires_grad
    assert not y.is_leaf
    with pytest.raises(GradientError, match="leaf"):
        y.requires_grad = False
    assert y.detach().is_leaf
    assert not y.detach().requires_grad
    assert not (x > 0).requires_grad
    assert not x.long().requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_leaves_of_their_own(duplicate):
    for kind in (lucid.Tensor, nn.Parameter):
        x = lucid.tensor([1.0, 2.0], requires_grad=True) if kind is lucid.Tensor else kind(np.array([1.0, 2.0]))
        (x * x).sum().backward()
        twin = duplicate(x)
        assert type(twin) is kind
        assert twin.grad.tolist() == [2, 4]
        twin.grad = None
        (twin * 3).sum().backward()
        assert x.grad.tolist() == [2, 4]
        assert twin.grad.tolist() == [3, 3]


def test_results_cannot_be_copied():
    y = lucid.ones(2, requires_grad=True) * 2
    for duplicate in (copy.deepcopy, pickle.dumps):
        with pytest.raises(GradientError, match="leaf"):
            duplicate(y)
    assert copy.deepcopy(y.detach()).tolist() == [2, 2]


def test_a_deep_copy_shares_nothing():
    x = lucid.ones(2)
    a, b = copy.deepcopy([x, x])
    assert a is b
    assert not np.shares_memory(a._data, x._data)


def test_tensors_can_be_referenced_weakly():
    x = lucid.ones(2, requires_grad=True)
    y = x * 2
    ref = weakref.ref(y)
    del y
    assert ref() is None


def test_arrays_of_other_classes():
    x = lucid.ones(2, requires_grad=True)
    (x * np.ones(2, np.float32).view(np.recarray)).sum().backward()
    assert x.grad.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("flip_", r"x\.copy_\(x\.flip\(\.\.\.\)\)"),
        ("grad_fn", "repr"),
        ("nothing_", "has no attribute 'nothing_'$"),
        ("_", "has no attribute '_'$"),
    ],
)
def test_what_is_absent_says_what_to_write_instead(name, hint):
    x = lucid.nn.Parameter(lucid.ones(2))
    assert not hasattr(x, name)
    with pytest.raises(AttributeError, match=f"'Parameter' object has no attribute '{name}'"):
        getattr(x, name)
    with pytest.raises(AttributeError, match=hint):
        getattr(x, name)
