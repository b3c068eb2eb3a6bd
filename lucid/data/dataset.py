"""Datasets: samples accessed by index."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from ..ops.generator import Generator, numpy_generator
from ..tables import Shown
from ..tensor import Tensor, around, as_tensor
from .collate import batched

__all__ = ["ConcatDataset", "Dataset", "IterableDataset", "Subset", "TensorDataset", "random_split"]


T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """The base of datasets, which define `__getitem__` and `__len__` (torch.utils.data.Dataset).

    The sum of two is their `ConcatDataset`.
    """

    def __getitem__(self, index: int) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__()")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__()")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """The base of datasets that define `__iter__`, such as streams and files too large to index
    (torch.utils.data.IterableDataset).

    Each worker of a loader iterates over it, so with several it yields each sample several times, unless it asks
    `get_worker_info` for its share.

    Example:
        >>> class Lines(lucid.data.IterableDataset):
        ...     def __iter__(self):
        ...         return iter(["a", "b", "c"])
        >>> list(lucid.data.DataLoader(Lines(), batch_size=2))
        [['a', 'b'], ['c']]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")

    def __len__(self) -> int:
        # `list` and progress bars ask for the length, and take this error for an answer.
        raise TypeError(f"object of type {type(self).__name__!r} has no len()")


class ConcatDataset(Dataset[Any], Shown):
    """The samples of several datasets, one dataset after the other (torch.utils.data.ConcatDataset).

    Attributes:
        datasets: the datasets.
        cumulative_sizes: how many samples each and those before it have.

    Raises:
        ValueError: there is no dataset. TypeError: one has no `__getitem__`, as an `IterableDataset`.

    Example:
        >>> lucid.data.ConcatDataset(["ab", "c"])[2]
        'c'
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset; got none")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
                raise TypeError(f"ConcatDataset: {type(dataset).__name__} has no samples by index")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"ConcatDataset: index {index} is out of range; there are {n} samples")
        index %= n
        part = bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def _facts(self) -> dict[str, Any]:
        return {"samples": self.cumulative_sizes[-1], "datasets": [type(part).__name__ for part in self.datasets]}


class TensorDataset(Dataset[tuple[Tensor, ...]], Shown):
    """A dataset of the slices of tensors along their first axis (torch.utils.data.TensorDataset).

    Raises:
        ValueError: there is no tensor, or they differ in the size of the first axis.

    Example:
        >>> data = lucid.data.TensorDataset(lucid.tensor([[1.0], [2.0]]), lucid.tensor([0, 1]))
        >>> data[1]
        (tensor([2.]), tensor(1))
    """

    def __init__(self, *tensors: Tensor | np.ndarray[Any, Any]) -> None:
        self.tensors = tuple(as_tensor(tensor) for tensor in tensors)
        if not self.tensors:
            raise ValueError("TensorDataset: expected at least one tensor; got none")
        if any(not tensor.ndim for tensor in self.tensors) or len({len(tensor) for tensor in self.tensors}) > 1:
            shapes = ", ".join(str(tensor.shape) for tensor in self.tensors)
            raise ValueError(f"TensorDataset: all tensors need the same size in their first axis; got shapes {shapes}")

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def _facts(self) -> dict[str, Any]:
        kinds = [f"{tensor.dtype}{list(tensor.shape[1:])}" for tensor in self.tensors]
        return {"samples": self.tensors[0].shape[0], "each": f"({', '.join(kinds)})"}

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """Returns several samples as `default_collate` would stack them, with one indexing operation per tensor."""
        rows = np.asarray(indices, np.int64)
        return tuple(batched(around(tensor._data[rows])) for tensor in self.tensors)


class Subset(Dataset[Any], Shown):
    """Some of the samples of a dataset (torch.utils.data.Subset).

    Example:
        >>> lucid.data.Subset(["a", "b", "c"], [2, 0])[0]
        'c'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def _facts(self) -> dict[str, Any]:
        return {"samples": len(self.indices), "dataset": type(self.dataset).__name__}


def random_split(
    dataset: Any,
    lengths: Sequence[float],
    generator: Generator | np.random.Generator | None = None,
    *,
    seed: int | None = None,
) -> list[Subset]:
    """Splits a dataset at random (torch.utils.data.random_split).

    Args:
        dataset: any object with `__len__` and `__getitem__`.
        lengths: the number of samples of each part, or fractions that add up to 1: each is rounded down, and the
            samples left over go to the parts in turn, one each.
        generator: the source of the random order; lucid's own, as `lucid.manual_seed` set it, if not given.
        seed: a seed, instead of a generator.

    Raises:
        ValueError: the lengths are negative or do not add up to the size of the dataset.

    Example:
        >>> train, test = lucid.data.random_split(range(10), [0.8, 0.2], seed=0)
        >>> len(train), len(test)
        (8, 2)
    """
    if generator is not None and seed is not None:
        raise ValueError("random_split: give a generator or a seed, not both")
    n = len(dataset)
    counts = list(lengths)
    if any(not length >= 0 for length in counts):
        raise ValueError(f"random_split: lengths must not be negative; got {counts}")
    if math.isclose(sum(counts), 1):
        whole = [math.floor(n * fraction) for fraction in counts]
        for i in range(n - sum(whole)):
            whole[i % len(whole)] += 1
        counts = list(whole)
    if sum(counts) != n or any(count != int(count) for count in counts):
        raise ValueError(
            f"random_split: lengths must add up to {n}, the size of the dataset, or to 1; got {list(lengths)}"
        )
    if seed is not None:
        generator = np.random.Generator(np.random.PCG64(seed))
    source = generator if isinstance(generator, np.random.Generator) else numpy_generator(generator)
    order = source.permutation(n).tolist()
    parts = []
    start = 0
    for count in counts:
        parts.append(Subset(dataset, order[start : start + int(count)]))
        start += int(count)
    return parts
