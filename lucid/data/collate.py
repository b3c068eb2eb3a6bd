"""Collation: merges samples into one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError
from ..tensor import Tensor, around, as_tensor, tensor

__all__ = ["Axes", "batched", "default_collate", "default_convert", "pad_collate"]


class Axes(tuple[str, ...]):
    """The names of the first axes of a batch.

    Attributes:
        padding: the value after shorter sequences.
    """

    padding: float = 0.0


def batched(x: Tensor, *axes: str, padding: float = 0.0) -> Tensor:
    """Names the first axes of a batch, by default the first one ``batch``: an export calls them so."""
    x._axes = named = Axes(axes or ("batch",))
    named.padding = padding
    return x


def default_collate(samples: Sequence[Any]) -> Any:
    """Stacks tensors, arrays and numbers along a new first axis, field by field (torch.utils.data.default_collate).

    Tuples, lists and dicts keep their structure; strings and bytes become a list. Python floats become float32, as
    everywhere in lucid (PyTorch: float64).

    Shape: each sample (*) → (N, *)

    Raises:
        ShapeError: the samples differ in shape; `pad_collate` is for sequences of different length.
        DtypeError: a sample has another type.

    Example:
        >>> lucid.data.default_collate([(lucid.tensor([1.0, 2.0]), 0), (lucid.tensor([3.0, 4.0]), 1)])
        (tensor([[1., 2.],
                [3., 4.]]), tensor([0, 1]))
    """
    first = _first(samples)
    if isinstance(first, (Tensor, np.ndarray, np.generic)):
        arrays = [_array(sample) for sample in samples]
        if len({array.shape for array in arrays}) > 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise ShapeError(
                f"default_collate: samples need the same shape; got {shapes}. Pass "
                "collate_fn=lucid.data.pad_collate for sequences of different length"
            )
        return batched(as_tensor(np.stack(arrays)))
    if isinstance(first, (bool, int, float)):
        return batched(tensor(list(samples)))
    if isinstance(first, (str, bytes)):
        return list(samples)
    return _by_field(samples, default_collate)


def default_convert(sample: Any) -> Any:
    """Converts the arrays in a sample to tensors, and leaves everything else (torch.utils.data.default_convert).

    >>> lucid.data.default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    if isinstance(sample, (np.ndarray, np.generic)) and sample.dtype.kind in "fiub":
        return as_tensor(np.asarray(sample))
    if isinstance(sample, Mapping):
        return {key: default_convert(value) for key, value in sample.items()}
    if isinstance(sample, (tuple, list)):
        items = [default_convert(item) for item in sample]
        return type(sample)(*items) if hasattr(sample, "_fields") else type(sample)(items)
    return sample


def pad_collate(samples: Sequence[Any], *, batch_first: bool = False, padding_value: float = 0.0) -> Any:
    """Pads sequences to the longest, and returns their lengths too.

    Each sequence, that is each tensor or array with at least one axis, becomes a pair (padded, lengths). Tuples, lists
    and dicts keep their structure, and `default_collate` handles everything else in them. So samples (sequence, label)
    become ``((padded, lengths), labels)``. Use `functools.partial` for options.

    Shape:
        each sequence: (T, *), T may differ
        padded: (T_max, N, *), or (N, T_max, *) if `batch_first`
        lengths: (N,), int64

    Args:
        samples: the samples.
        batch_first: put the batch axis before the time axis, as in `nn.RNN`.
        padding_value: the value of the padding after a shorter sequence.

    Raises:
        ShapeError: the sequences differ in more than their length.

    Example:
        >>> (padded, lengths), labels = lucid.data.pad_collate([(np.array([1, 2, 3]), 0), (np.array([4]), 1)])
        >>> padded.T, lengths, labels
        (tensor([[1, 2, 3],
                [4, 0, 0]]), tensor([3, 1]), tensor([0, 1]))
    """
    first = _first(samples)
    if isinstance(first, (Tensor, np.ndarray)) and first.ndim:
        return _padded([_array(sample) for sample in samples], batch_first, padding_value)
    if isinstance(first, (tuple, list, Mapping)):
        return _by_field(
            samples, lambda field: pad_collate(field, batch_first=batch_first, padding_value=padding_value)
        )
    return default_collate(samples)


def _padded(arrays: list[np.ndarray[Any, Any]], batch_first: bool, padding_value: float) -> tuple[Tensor, Tensor]:
    rest = arrays[0].shape[1:]
    if any(not array.ndim or array.shape[1:] != rest for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ShapeError(f"pad_collate: sequences may differ in their first axis only; got shapes {shapes}")
    lengths = np.array([len(array) for array in arrays], np.int64)
    padded = np.full((len(arrays), lengths.max(), *rest), padding_value, np.result_type(*arrays))
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    if batch_first:
        return batched(around(padded), "batch", "time", padding=padding_value), batched(around(lengths))
    x = around(np.ascontiguousarray(padded.swapaxes(0, 1)))
    return batched(x, "time", "batch", padding=padding_value), batched(around(lengths))


def _by_field(samples: Sequence[Any], collate: Callable[[Sequence[Any]], Any]) -> Any:
    first = samples[0]
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in samples):
            raise ShapeError(f"samples need the same keys; the first has {', '.join(map(repr, first))}")
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in samples}) > 1:
            raise ShapeError(f"samples need the same number of fields; got {[len(sample) for sample in samples]}")
        fields = [collate(field) for field in zip(*samples, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else type(first)(fields)
    raise DtypeError(
        "samples must be tensors, arrays, numbers, strings, or tuples, lists or dicts of them; "
        f"got {type(first).__name__}"
    )


def _first(samples: Sequence[Any]) -> Any:
    if not len(samples):
        raise ShapeError("expected at least one sample; got none")
    return samples[0]


def _array(sample: Any) -> np.ndarray[Any, Any]:
    return sample._data if isinstance(sample, Tensor) else np.asarray(sample)
