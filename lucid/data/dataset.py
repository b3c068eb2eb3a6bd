"""Datasets: samples accessed by index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops.random import randperm
from ..tensor import Tensor, around, as_tensor
from .collate import batched

__all__ = ["Dataset", "Subset", "TensorDataset", "random_split"]


class Dataset:
    """The base of datasets, which define `__getitem__` and `__len__` (torch.utils.data.Dataset)."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__()")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__()")


class TensorDataset(Dataset):
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

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """Returns several samples as `default_collate` would stack them, with one indexing operation per tensor."""
        rows = np.asarray(indices, np.int64)
        return tuple(batched(around(tensor._data[rows])) for tensor in self.tensors)


class Subset(Dataset):
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


def random_split(
    dataset: Any,
    lengths: Sequence[float],
    generator: np.random.Generator | None = None,
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
    order = randperm(n).tolist() if generator is None else generator.permutation(n).tolist()
    parts = []
    start = 0
    for count in counts:
        parts.append(Subset(dataset, order[start : start + int(count)]))
        start += int(count)
    return parts
