"""Constructors, types and other small idioms of programs written for PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lucid
from lucid.errors import DtypeError, ExportError, GradientError, RuntimeUnavailableError
from lucid.export import to_onnx

KINDS = (
    "HalfTensor",
    "FloatTensor",
    "DoubleTensor",
    "ByteTensor",
    "ShortTensor",
    "IntTensor",
    "LongTensor",
    "BoolTensor",
)

X = lucid.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


# --- constructors


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_a_type_as_in_pytorch(kind, torch):
    mine, theirs = getattr(lucid, kind), getattr(torch, kind)
    for data in ([1, 0, 3], [[1.5], [0.0]], (2, 3)):
        found, wanted = mine(data), theirs(data)
        assert str(wanted.dtype) == f"torch.{found.dtype}"
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert mine(2, 3).shape == tuple(theirs(2, 3).shape)
    assert mine().shape == tuple(theirs().shape)
    assert isinstance(mine(2), mine)
    assert isinstance(mine(2), lucid.Tensor)
    assert mine(2).type() == theirs(2).type()
    assert isinstance(lucid.ones(1), mine) is (kind == "FloatTensor")
    assert X.type(mine).dtype == X.type(theirs(2).type()).dtype == mine(1).dtype


def test_the_constructor():
    assert lucid.Tensor([1, 2]).dtype == np.float32
    assert lucid.Tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert lucid.Tensor(np.array([1.0, 2.0])).dtype == np.float32
    assert lucid.Tensor(3, 4).shape == lucid.Tensor(lucid.ones(3, 4).shape).shape == (3, 4)
    assert lucid.Tensor(3).tolist() == [0, 0, 0]
    assert lucid.Tensor().shape == (0,)
    x = lucid.ones(2)
    assert np.shares_memory(lucid.Tensor(x).numpy(), x.numpy())
    source = np.ones(2, np.float32)
    assert not np.shares_memory(lucid.Tensor(source).numpy(), source)
    assert np.shares_memory(lucid.from_numpy(source).numpy(), source)


@pytest.mark.parametrize("data", [(1.5,), ("a",), (2, 0.5), ([1], [2]), (None,)])
def test_what_is_neither_sizes_nor_elements(data):
    with pytest.raises(TypeError, match=r"Tensor\(\) takes sizes or one sequence of numbers"):
        lucid.Tensor(*data)


def test_a_tensor_of_another_dtype_is_refused():
    with pytest.raises(DtypeError, match=r"float32 tensor shares no elements with one of int64; use x.to\('float32'\)"):
        lucid.Tensor(lucid.tensor([1]))
    with pytest.raises(DtypeError, match="type: expected a dtype"):
        X.type("LongTensors")


def test_new_tensors_by_an_example():
    x = lucid.ones(2, dtype="float64")
    assert x.new(2, 3).shape == (2, 3)
    assert x.new([1, 2]).tolist() == [1, 2]
    assert x.new_tensor([1, 2], requires_grad=True).requires_grad
    for made in (x.new(2), x.new([1]), x.new_tensor([1]), x.new_empty(2), x.new_empty((2, 3)), x.new_zeros(1)):
        assert made.dtype == np.float64
    assert x.new_tensor([1.5], dtype="int64").tolist() == [1]


# --- what a tensor says of itself


def test_descriptions_as_in_pytorch(torch):
    for made in (
        lambda m: m.ones(2, 3, 4),
        lambda m: m.ones(2, 3, 4).transpose(0, 2),
        lambda m: m.ones(2, 3, 4)[:, ::2],
        lambda m: m.tensor([True, False]),
        lambda m: m.ones(3, 1).expand(3, 4),
        lambda m: m.zeros(()),
    ):
        x, y = made(lucid), made(torch)
        assert x.stride() == y.stride()
        assert x.is_contiguous() == y.is_contiguous()
        assert (x.nelement(), x.ndimension(), x.element_size(), x.nbytes) == (
            y.nelement(),
            y.ndimension(),
            y.element_size(),
            y.nbytes,
        )
        assert x.shape.numel() == y.shape.numel()
        assert x.itemsize == y.itemsize
    assert lucid.ones(2, 3).stride(-1) == 1
    assert lucid.ones(2, 3).size(axis=1) == 3


def test_a_shape_is_a_tuple():
    shape = X.shape
    assert shape == (2, 3)
    assert isinstance(shape, tuple)
    assert isinstance(shape, lucid.Size)
    assert repr(shape) == "(2, 3)"
    assert {shape: 1}[2, 3] == 1
    assert lucid.Size([2, 3]).numel() == 6
    assert lucid.Size().numel() == 1
    assert X.size().numel() == 6


def test_constants():
    assert (lucid.pi, lucid.e, lucid.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(lucid.nan)
    assert lucid.finfo(lucid.float32).max == np.finfo(np.float32).max
    assert lucid.iinfo("int8").max == 127
    assert lucid.is_tensor(X)
    assert not lucid.is_tensor(np.ones(1))


# --- modes


def test_a_mode_decorates_with_and_without_parentheses():
    x = lucid.ones(1, requires_grad=True)

    @lucid.no_grad
    def bare(y):
        """Doubles."""
        return y * 2

    @lucid.no_grad()
    def called(y):
        return y * 2

    @lucid.inference_mode
    def bare_inference(y):
        return y * 2

    @lucid.inference_mode()
    def inference(y):
        return y * 2

    @lucid.enable_grad
    def recorded(y):
        return y * 2

    for function in (bare, called, bare_inference, inference):
        assert not function(x).requires_grad
        assert lucid.is_grad_enabled()
    assert bare.__doc__ == "Doubles."
    with lucid.no_grad():
        assert recorded(x).requires_grad
        with lucid.inference_mode(False):
            assert not (x * 2).requires_grad
    with lucid.inference_mode():
        assert not (x * 2).requires_grad
    with lucid.inference_mode(mode=False):
        assert (x * 2).requires_grad

    @lucid.no_grad
    def steps():
        yield lucid.is_grad_enabled()

    assert list(steps()) == [False]


# --- in an exported function


def test_new_tensors_of_a_traced_size():
    def function(x):
        return x.new(x.shape[0], 2).type(lucid.FloatTensor) + x[:, :1] + lucid.FloatTensor(x.shape[0], 1)

    exported = to_onnx(function, X, dynamic="auto")
    assert not any(exported.fixed.values())


def test_a_shape_in_a_trace_counts_its_elements():
    exported = to_onnx(lambda x: x.sum() / x.shape.numel(), X, dynamic="auto")
    assert not any(exported.fixed.values())


def test_strides_are_no_part_of_an_exported_function():
    with pytest.raises(ExportError, match=r"stride\(\) depends on how NumPy stores a tensor"):
        to_onnx(lambda x: x * x.stride(0), X, dynamic="auto")


# --- small things that programs write


def test_ranges_and_repeated_lists():
    assert X[range(1), range(2, 3)].tolist() == [3.0]
    y = X.clone()
    y[:, range(2)] = 0
    assert y.tolist() == [[0, 0, 3], [0, 0, 6]]
    assert [0] * lucid.tensor(3) == [0, 0, 0]
    with pytest.raises(TypeError):
        [0] * lucid.tensor(1.5)


def test_writes_of_other_elements():
    x = lucid.zeros(2, 3)
    assert x.set_(X) is x
    assert np.shares_memory(x.numpy(), X.numpy())
    assert lucid.zeros(2, 3).fill_diagonal_(1).tolist() == [[1, 0, 0], [0, 1, 0]]
    draws = lucid.zeros(1000).random_(2, 5)
    assert draws.unique().tolist() == [2, 3, 4]
    assert lucid.zeros(100, dtype="int64").random_(3).max() == 2
    assert abs(lucid.zeros(20_000).exponential_(2.0).mean() - 0.5) < 0.02
    for call in (lambda: x.random_(0), lambda: x.exponential_(0.0), lambda: lucid.zeros(3).fill_diagonal_(1)):
        with pytest.raises(ValueError, match=r"(random_|exponential_|fill_diagonal_): "):
            call()


def test_backward_of_several_tensors():
    w = lucid.tensor([1.0, 2.0], requires_grad=True)
    y = w * w
    lucid.autograd.backward([y.sum(), y], [None, lucid.tensor([10.0, 0.0])])
    assert w.grad.tolist() == [22.0, 4.0]
    with pytest.raises(GradientError, match="one of grad_tensors for each tensor; got 1 for 2"):
        lucid.autograd.backward([y, y], [y])


def test_names_of_settings():
    assert lucid.get_default_dtype() == np.float32
    lucid.set_default_dtype(lucid.float32)
    with pytest.raises(DtypeError, match="the default dtype is float32; got float64; pass dtype="):
        lucid.set_default_dtype(lucid.float64)
    with lucid.device("cpu"), lucid.autograd.set_detect_anomaly(True):
        assert lucid.ones(1).tolist() == [1]
    with pytest.raises(RuntimeUnavailableError), lucid.device("cuda"):
        pass


def test_parts_of_a_packed_sequence_are_replaced():
    packed = lucid.nn.utils.rnn.pack_padded_sequence(X, [3, 2], batch_first=True)
    doubled, lengths = lucid.nn.utils.rnn.pad_packed_sequence(packed._replace(data=packed.data * 2), batch_first=True)
    assert doubled.tolist() == [[2, 4, 6], [8, 10, 0]]
    assert lengths.tolist() == [3, 2]
    with pytest.raises(ValueError, match=r"its parts are data, .*; got lengths"):
        packed._replace(lengths=[1, 2])
