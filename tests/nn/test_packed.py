"""Packed sequences, compared with torch.nn.utils.rnn."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.autograd import gradcheck, gradgradcheck
from lucid.errors import DtypeError, ShapeError
from lucid.nn.utils import rnn as packing

LENGTHS = {
    "sorted": [5, 3, 3, 1],
    "unsorted": [2, 5, 1, 4],
    "ties": [3, 5, 3, 5],
    "equal": [5, 5, 5, 5],
    "one of each": [1, 1, 1, 1],
    "a single one": [4],
}
CASES = [(name, sort) for name in LENGTHS for sort in (True, False) if not sort or name not in ("unsorted", "ties")]


def padded_batch(lengths, *features, dtype=np.float32, steps=5):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps, len(lengths), *features)).astype(dtype)
    for i, n in enumerate(lengths):
        x[n:, i] = np.nan
    return x


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("features", [(3,), (), (2, 3)])
@pytest.mark.parametrize(("name", "sort"), CASES)
def test_packing_and_unpacking_like_pytorch(name, sort, features, batch_first, torch):
    lengths = LENGTHS[name]
    array = padded_batch(lengths, *features)
    array = array.swapaxes(0, 1) if batch_first else array
    x, y = lucid.tensor(array), torch.tensor(array)
    ours = packing.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=sort)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(y, torch.tensor(lengths), batch_first, enforce_sorted=sort)
    np.testing.assert_array_equal(ours.data.numpy(), theirs.data.numpy())
    np.testing.assert_array_equal(ours.batch_sizes.numpy(), theirs.batch_sizes.numpy())
    assert (ours.sorted_indices is None) == (theirs.sorted_indices is None)
    if theirs.sorted_indices is not None:
        np.testing.assert_array_equal(ours.sorted_indices.numpy(), theirs.sorted_indices.numpy())
        np.testing.assert_array_equal(ours.unsorted_indices.numpy(), theirs.unsorted_indices.numpy())
    for options in ({}, {"padding_value": -1.5}, {"total_length": 7}, {"total_length": max(lengths)}):
        a, a_lengths = packing.pad_packed_sequence(ours, batch_first, **options)
        b, b_lengths = torch.nn.utils.rnn.pad_packed_sequence(theirs, batch_first, **options)
        # The only difference: the time axis keeps the size that it had before packing.
        time = 1 if batch_first else 0
        longer = a.shape[time] - b.shape[time]
        assert longer == (0 if "total_length" in options else 5 - max(lengths))
        widths = [(0, longer if axis == time else 0) for axis in range(a.ndim)]
        expected = np.pad(b.numpy(), widths, constant_values=options.get("padding_value", 0.0))
        np.testing.assert_array_equal(a.numpy(), expected)
        np.testing.assert_array_equal(a_lengths.numpy(), b_lengths.numpy())
        assert a_lengths.dtype == np.int64
    for a, b in zip(packing.unpack_sequence(ours), torch.nn.utils.rnn.unpack_sequence(theirs), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("padding_side", ["right", "left"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int64", "float16"])
def test_sequences_like_pytorch(dtype, batch_first, padding_side, torch):
    arrays = [np.arange(2 * n).reshape(n, 2).astype(dtype) + 1 for n in (4, 2, 3, 1, 0)]
    ours = packing.pad_sequence([lucid.tensor(a) for a in arrays], batch_first, 7, padding_side)
    theirs = torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], batch_first, 7, padding_side)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert ours.dtype == dtype
    if padding_side == "right":
        unpadded = packing.unpad_sequence(ours, [len(a) for a in arrays], batch_first)
        for a, b in zip(unpadded, arrays, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
    arrays = arrays[:-1]
    ours = packing.pack_sequence([lucid.tensor(a) for a in arrays], enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_sequence([torch.tensor(a) for a in arrays], enforce_sorted=False)
    np.testing.assert_array_equal(ours.data.numpy(), theirs.data.numpy())
    np.testing.assert_array_equal(ours.sorted_indices.numpy(), theirs.sorted_indices.numpy())


@pytest.mark.parametrize("dtype", ["int64", "int32", "bool", "float16", "float64"])
def test_the_dtype_stays(dtype):
    sequences = [lucid.tensor([1, 1, 1], dtype=dtype), lucid.tensor([1], dtype=dtype)]
    packed = packing.pack_sequence(sequences)
    assert packed.data.dtype == dtype
    padded, _ = packing.pad_packed_sequence(packed, total_length=4)
    assert padded.dtype == dtype
    assert padded.tolist() == [[1, 1], [1, 0], [1, 0], [0, 0]]


@pytest.mark.parametrize("kind", [list, np.array, lucid.tensor, lambda n: np.array(n, np.int32), np.uint8, np.uint64])
def test_lengths_of_every_kind(kind):
    lengths = kind([3, 1, 2])
    packed = packing.pack_padded_sequence(lucid.ones(3, 3), lengths, enforce_sorted=False)
    assert packed.lengths.dtype == np.int64
    assert packed.lengths.tolist() == [3, 1, 2]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [0, 2, 1]
    with pytest.raises(ShapeError, match="decreasing order"):
        packing.pack_padded_sequence(lucid.ones(3, 3), lengths)


@pytest.mark.parametrize(("name", "sort"), CASES)
def test_from_data(name, sort):
    lengths = LENGTHS[name]
    packed = packing.pack_padded_sequence(lucid.tensor(padded_batch(lengths, 3)), lengths, enforce_sorted=sort)
    for orders in (
        (packed.sorted_indices, packed.unsorted_indices),
        (packed.sorted_indices, None),
        (None, packed.unsorted_indices),
    ):
        again = packing.PackedSequence(packed.data, packed.batch_sizes, *orders)
        np.testing.assert_array_equal(again.data.numpy(), packed.data.numpy())
        np.testing.assert_array_equal(again.lengths.numpy(), lengths)
        assert (again.sorted_indices is None) == sort
        for a, b in zip(packing.unpack_sequence(again), packing.unpack_sequence(packed), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_errors():
    x = lucid.ones(3, 2, 4)
    pack = packing.pack_padded_sequence
    for lengths, message in (
        ([4, 1], r"from 1 to 3; got \[4, 1\]"),
        ([1, 0], "from 1 to 3"),
        ([-1, 1], "from 1 to 3"),
        ([3], "each of 2 sequences"),
        ([3, 2, 1], "each of 2 sequences"),
        ([[3, 2]], "each of 2 sequences"),
        ([1, 3], "enforce_sorted=False"),
    ):
        with pytest.raises(ShapeError, match=message) as caught:
            pack(x, lengths)
        assert isinstance(caught.value, RuntimeError)
        assert isinstance(caught.value, ValueError)
    for lengths in ([1.0, 1.0], [True, True]):
        with pytest.raises(DtypeError, match="integers"):
            pack(x, lengths)
    with pytest.raises(ShapeError, match="time and a batch axis"):
        pack(lucid.ones(3), [3])
    with pytest.raises(ShapeError, match="at least one sequence"):
        pack(lucid.ones(3, 0, 2), np.zeros(0, int))
    with pytest.raises(ShapeError, match="each of 3 sequences"):
        pack(x, [3, 2], batch_first=True)
    with pytest.raises(ValueError, match="at least the longest length, 3; got 2"):
        packing.pad_packed_sequence(pack(x, [3, 1]), total_length=2)
    with pytest.raises(ShapeError, match="got none"):
        packing.pad_sequence([])
    with pytest.raises(ShapeError, match="first axis alone"):
        packing.pad_sequence([lucid.ones(2, 3), lucid.ones(2, 4)])
    with pytest.raises(ShapeError, match="first axis alone"):
        packing.pad_sequence([lucid.tensor(1.0)])
    with pytest.raises(ValueError, match="padding_side"):
        packing.pad_sequence([lucid.ones(2)], padding_side="middle")


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        (3, ([2, 2],), "add up to 4"),
        (3, ([1, 2],), "never rise"),
        (3, ([3, 0],), "positive"),
        (0, ([],), "integers|positive"),
        (3, ([[3]],), "positive"),
        (3, ([2, 1], [0, 0]), "order 2 sequences"),
        (3, ([2, 1], [1, 2]), "order 2 sequences"),
        (3, ([2, 1], [0]), "order 2 sequences"),
        (3, ([2, 1], None, [0, 0, 1]), "order 2 sequences"),
        (3, ([2.0, 1.0],), "integers"),
    ],
)
def test_data_that_does_not_fit(data, arguments, message):
    with pytest.raises((ShapeError, DtypeError), match=message):
        packing.PackedSequence(lucid.ones(data), *arguments)


# --- gradients


def test_gradients():
    x = lucid.tensor(padded_batch([2, 4, 1], 2, dtype=np.float64, steps=4))
    x = lucid.where(lucid.tensor(np.isnan(x.numpy())), 9.0, x).requires_grad_()
    for through in (
        lambda x: packing.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False).data,
        lambda x: packing.pad_packed_sequence(packing.pack_padded_sequence(x, [4, 2, 1]), total_length=6)[0],
        lambda x: tuple(packing.unpad_sequence(x * x, [2, 4, 1])),
        lambda x: packing.pad_sequence([x[:3, 0], x[:1, 1]], padding_side="left"),
        lambda x: packing.PackedSequence(x.reshape(12, 2), [3, 3, 3, 3], [1, 2, 0]).padded * x,
    ):
        assert gradcheck(through, [x])
        assert gradgradcheck(lambda x, through=through: _squares(through(x)), [x])


def _squares(result):
    return tuple(y * y for y in result) if isinstance(result, tuple) else result * result


def test_no_gradient_from_the_padding():
    x = lucid.tensor(padded_batch([2, 5], 3)).requires_grad_()
    packed = packing.pack_padded_sequence(x, [2, 5], enforce_sorted=False)
    padded, _ = packing.pad_packed_sequence(packed)
    (padded * padded).sum().backward()
    expected = np.nan_to_num(2 * x.detach().numpy())
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_in_a_trace_packing_is_no_more_than_a_mask():
    from lucid.tracer import trace

    def model(x, lengths):
        packed = packing.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return packing.pad_packed_sequence(packed)

    graph = trace(model, lucid.ones(3, 2, 4), lucid.tensor([3, 1]))
    assert [node.op.name for node in graph.nodes if node.op.name not in ("count", "unsqueeze", "reshape_to")] == [
        "lt",
        "where",
    ]
    assert graph.reads == ()


def test_it_is_a_tree():
    from lucid.tracer import trace

    packed = packing.pack_sequence([lucid.ones(2, 3), lucid.ones(1, 3)])
    graph = trace(nn.RNN(3, 4), packed)
    assert list(graph.inputs) == ["x_padded", "x_lengths"]
    assert list(graph.outputs) == ["output_padded", "output_lengths", "h_n"]
    assert "lengths=" in repr(packed)
