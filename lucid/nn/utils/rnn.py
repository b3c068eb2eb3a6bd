"""Sequences of different lengths (torch.nn.utils.rnn).

A `PackedSequence` keeps the padded tensor and the lengths. So packing, a recurrent layer and unpacking are recorded and
exported as one operator with a lengths input, and no shape depends on data. PyTorch's `data` and `batch_sizes` are
computed on demand.

Letters: T time, N batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...devices import CPU
from ...devices import device as Device
from ...errors import DtypeError, ShapeError
from ...ops.creation import arange, full
from ...ops.elementwise import astype, lt, where
from ...ops.index import getitem, index_sum
from ...ops.shape import cat, reshape, stack, transpose, unsqueeze
from ...tensor import Tensor, around, as_tensor
from ...tracer.dim import concrete
from ...tracer.mode import note

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence:
    """A batch of sequences of different lengths (torch.nn.utils.rnn.PackedSequence).

    Create it with `pack_padded_sequence` or `pack_sequence`, or, as in PyTorch, from `data`, `batch_sizes` and orders.

    Args:
        data: (sum of lengths, *), the steps of all sequences: the first step of each, then the second, and so on.
        batch_sizes: (T,), how many sequences are at least 1, 2, ... steps long.
        sorted_indices: (N,), the batch position of each sequence in the packed order; the same position if None.
        unsorted_indices: (N,), its inverse; computed from it if None.

    Attributes:
        padded: (T, N, *), the sequences, padded at the end.
        lengths: (N,), int64.
    """

    tree_names = ("padded", "lengths")

    padded: Tensor
    lengths: Tensor
    _sorted: bool
    _zero_padded: bool

    def __init__(
        self, data: Tensor, batch_sizes: Any, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> None:
        sizes = as_tensor(batch_sizes)._data
        if sizes.dtype.kind not in "iu":
            raise DtypeError(f"PackedSequence: batch_sizes must be integers; got {sizes.dtype}")
        if sizes.ndim != 1 or not sizes.size or sizes.min() < 1 or (sizes[1:] > sizes[:-1]).any():
            raise ShapeError(f"PackedSequence: batch_sizes must be positive and never rise; got {sizes.tolist()}")
        if data.ndim < 1 or data.shape[0] != sizes.sum():
            raise ShapeError(f"PackedSequence: batch_sizes add up to {sizes.sum()}; got data of shape {data.shape}")
        if sorted_indices is None and unsorted_indices is not None:
            sorted_indices = around(np.argsort(as_tensor(unsorted_indices)._data))
        steps, batch = len(sizes), int(sizes[0])
        order = np.arange(batch) if sorted_indices is None else as_tensor(sorted_indices)._data
        if order.shape != (batch,) or (np.sort(order) != np.arange(batch)).any():
            raise ShapeError(f"PackedSequence: the indices must order {batch} sequences; got {order.tolist()}")
        times, places = _positions(sizes, order)
        shape = (steps, batch, *data.shape[1:])
        self.padded = index_sum(data, around(times), around(places), index=("*", "*"), shape=shape)
        lengths = np.empty(batch, np.int64)
        lengths[order] = (sizes[:, None] > np.arange(batch)).sum(0)
        self.lengths = around(lengths)
        self._sorted = sorted_indices is None
        self._zero_padded = True

    @classmethod
    def of(
        cls, padded: Tensor, lengths: Tensor, is_sorted: bool = False, is_zero_padded: bool = False
    ) -> PackedSequence:
        """Packs a padded tensor (T, N, *); the flags say what is known of it and need not be computed again."""
        packed = cls.__new__(cls)
        packed.padded = padded
        packed.lengths = lengths
        packed._sorted = is_sorted
        packed._zero_padded = is_zero_padded
        return packed

    @property
    def data(self) -> Tensor:
        """The steps of all sequences (sum of lengths, *), in PyTorch's order: step by step, longest sequence first."""
        times, places = _positions(self.batch_sizes._data, self._order())
        return getitem(self.padded, (around(times), around(places)))

    @property
    def batch_sizes(self) -> Tensor:
        """How many sequences are at least 1, 2, ... steps long (max of lengths,)."""
        lengths = self.lengths._read("batch_sizes")
        return around((np.arange(int(lengths.max()))[:, None] < lengths).sum(1))

    @property
    def sorted_indices(self) -> Tensor | None:
        """The batch position of each sequence in the packed order (N,); None if they came sorted."""
        return None if self._sorted else around(self._order())

    @property
    def unsorted_indices(self) -> Tensor | None:
        """The inverse of `sorted_indices` (N,)."""
        return None if self._sorted else around(np.argsort(self._order()))

    @property
    def device(self) -> Device:
        """The CPU."""
        return CPU

    def to(self, *target: Any, **options: Any) -> PackedSequence:
        """Converts the sequences as `Tensor.to` does; the lengths stay int64."""
        return PackedSequence.of(self.padded.to(*target, **options), self.lengths, self._sorted, self._zero_padded)

    def _replace(self, **parts: Any) -> PackedSequence:
        """Returns a container with other parts, as in ``packed._replace(data=layer(packed.data))``."""
        names = ("data", "batch_sizes", "sorted_indices", "unsorted_indices")
        unknown = [name for name in parts if name not in names]
        if unknown:
            raise ValueError(f"PackedSequence: its parts are {', '.join(names)}; got {', '.join(unknown)}")
        return PackedSequence(**{name: parts[name] if name in parts else getattr(self, name) for name in names})

    def cpu(self) -> PackedSequence:
        """Returns the container itself: it is in the CPU's memory."""
        return self

    def cuda(self, device: Any = None) -> PackedSequence:
        """Raises RuntimeUnavailableError: training runs on the CPU, exported and compiled models on a GPU."""
        return self.to("cuda")

    def _order(self) -> np.ndarray[Any, Any]:
        lengths = self.lengths._read("the order of sequences")
        return np.arange(len(lengths)) if self._sorted else np.argsort(-lengths, kind="stable")

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """Returns the parts, padded and lengths, and the flags."""
        return (self.padded, self.lengths), (self._sorted, self._zero_padded)

    @classmethod
    def tree_unflatten(cls, rest: Any, parts: tuple[Any, ...]) -> PackedSequence:
        """Rebuilds the container from its parts."""
        padded, lengths = parts
        return cls.of(padded, lengths, *rest)

    def __repr__(self) -> str:
        return f"PackedSequence(padded={self.padded!r}, lengths={self.lengths!r})"


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs the sequences of a padded tensor (torch.nn.utils.rnn.pack_padded_sequence).

    Args:
        input: the sequences, padded at the end with anything.
        lengths: the number of steps of each sequence: a list, or a tensor of integers.
        batch_first: whether the batch is the first axis of `input`.
        enforce_sorted: reject lengths that are not in decreasing order, as PyTorch does; lucid needs no order.

    Shape:
        input: (T, N, *), or (N, T, *) if batch_first; lengths: (N,), from 1 to T.

    Raises:
        ShapeError: the number of lengths is not N, or a length is out of range or out of order.
        DtypeError: the lengths are not integers.

    Example:
        >>> x = lucid.tensor([[1.0, 2.0], [3.0, 0.0]])
        >>> nn.utils.rnn.pack_padded_sequence(x, [2, 1]).data
        tensor([1., 2., 3.])
    """
    if input.ndim < 2:
        raise ShapeError(f"pack_padded_sequence: input needs a time and a batch axis; got shape {input.shape}")
    lengths = as_tensor(lengths)
    if lengths.dtype.kind not in "iu":
        raise DtypeError(f"pack_padded_sequence: lengths must be integers; got {lengths.dtype}")
    if lengths.dtype != np.int64:
        lengths = astype(lengths, np.dtype(np.int64))
    steps, batch = input.shape[:2][::-1] if batch_first else input.shape[:2]
    if lengths.shape != (batch,):
        raise ShapeError(f"pack_padded_sequence: expected a length for each of {batch} sequences; got {lengths.shape}")
    note(input, *(("batch", "time") if batch_first else ("time", "batch")))
    note(lengths, "batch")
    values = lengths._data
    if batch == 0:
        raise ShapeError(f"pack_padded_sequence: expected at least one sequence; got shape {input.shape}")
    if values.min() < 1 or values.max() > concrete(steps):
        raise ShapeError(f"pack_padded_sequence: lengths must be from 1 to {steps}; got {values.tolist()}")
    if enforce_sorted and (values[1:] > values[:-1]).any():
        raise ShapeError(
            "pack_padded_sequence: lengths must be in decreasing order when enforce_sorted is True; got "
            f"{values.tolist()}; pass enforce_sorted=False, which costs nothing here"
        )
    return PackedSequence.of(transpose(input, 0, 1) if batch_first else input, lengths, is_sorted=enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Returns packed sequences as a padded tensor, and their lengths (torch.nn.utils.rnn.pad_packed_sequence).

    The time axis is that of the tensor that was packed, not the longest length as in PyTorch: no shape depends on data,
    so the graph is the same for every batch.

    Args:
        sequence: the sequences.
        batch_first: whether the batch becomes the first axis.
        padding_value: the value after the end of each sequence.
        total_length: the size of the time axis; not shorter than the longest sequence.

    Shape:
        The result: (T, N, *), or (N, T, *) if batch_first; and (N,).

    Raises:
        ValueError: `total_length` is shorter than the longest sequence.

    Example:
        >>> packed = nn.utils.rnn.pack_sequence([lucid.ones(2), lucid.ones(1)])
        >>> nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1.0)
        (tensor([[ 1.,  1.],
               [ 1., -1.]]), tensor([2, 1]))
    """
    padded, lengths = sequence.padded, sequence.lengths
    # A number of another kind would change the dtype.
    padding_value = padded.dtype.type(padding_value).item()
    steps = padded.shape[0]
    if total_length is not None and total_length != steps:
        longest = int(lengths._data.max())
        if total_length < longest:
            raise ShapeError(
                f"pad_packed_sequence: total_length must be at least the longest length, {longest}; got {total_length}"
            )
        if total_length < steps:
            padded = padded[:total_length]
        else:
            more = full((total_length - steps, *padded.shape[1:]), padding_value, dtype=padded.dtype)
            padded = cat([padded, more])
        steps = total_length
    if padding_value != 0 or not sequence._zero_padded:
        counts = lt(unsqueeze(arange(steps), 1), lengths)
        counts = reshape(counts, (*counts.shape, *[1] * (padded.ndim - 2)))
        padded = where(counts, padded, padding_value)
    return (transpose(padded, 0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: Literal["right", "left"] = "right",
) -> Tensor:
    """Pads sequences of different lengths, and stacks them (torch.nn.utils.rnn.pad_sequence).

    Shape:
        each sequence: (length, *); the result: (T, N, *), or (N, T, *) if batch_first, T being the longest length.

    Raises:
        ShapeError: there is no sequence, or they differ in more than their length.

    Example:
        >>> nn.utils.rnn.pad_sequence([lucid.ones(2), lucid.ones(1)], batch_first=True)
        tensor([[1., 1.],
                [1., 0.]])
    """
    sequences = list(sequences)
    if not sequences:
        raise ShapeError("pad_sequence: expected at least one sequence; got none")
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side must be 'right' or 'left'; got {padding_side!r}")
    if any(s.ndim == 0 or s.shape[1:] != sequences[0].shape[1:] for s in sequences):
        raise ShapeError(
            f"pad_sequence: sequences may differ in their first axis alone; got {[s.shape for s in sequences]}"
        )
    steps = max(s.shape[0] for s in sequences)
    rows = []
    for s in sequences:
        if s.shape[0] < steps:
            more = full((steps - s.shape[0], *s.shape[1:]), padding_value, dtype=s.dtype)
            s = cat([s, more] if padding_side == "right" else [more, s])
        rows.append(s)
    return stack(rows, 0 if batch_first else 1)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences of different lengths (torch.nn.utils.rnn.pack_sequence).

    Example:
        >>> nn.utils.rnn.pack_sequence([lucid.ones(2), lucid.ones(1)]).lengths
        tensor([2, 1])
    """
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """Returns each sequence of a padded tensor without its padding (torch.nn.utils.rnn.unpad_sequence).

    Example:
        >>> nn.utils.rnn.unpad_sequence(lucid.ones(2, 2), [2, 1])
        [tensor([1., 1.]), tensor([1.])]
    """
    padded = padded_sequences if batch_first else transpose(padded_sequences, 0, 1)
    return [padded[i, : int(n)] for i, n in enumerate(as_tensor(lengths).tolist())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Returns each sequence of a packed batch (torch.nn.utils.rnn.unpack_sequence).

    Example:
        >>> nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence([lucid.ones(2), lucid.ones(1)]))
        [tensor([1., 1.]), tensor([1.])]
    """
    return unpad_sequence(packed_sequences.padded, packed_sequences.lengths)


def _positions(batch_sizes: np.ndarray[Any, Any], order: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Returns the time and the batch position of each step of `PackedSequence.data`."""
    times = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    places = np.concatenate([order[:n] for n in batch_sizes]) if len(batch_sizes) else order[:0]
    return times, places
