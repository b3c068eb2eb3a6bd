"""Samplers: the order in which samples are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from ..errors import StateDictError
from ..ops.random import randint

__all__ = ["BatchSampler", "RandomSampler", "SequentialSampler"]


class SequentialSampler:
    """Yields all sample indices in order (torch.utils.data.SequentialSampler).

    >>> list(lucid.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, dataset: Sized) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.dataset)))

    def __len__(self) -> int:
        return len(self.dataset)


class RandomSampler:
    """Yields all sample indices, in a new random order each time (torch.utils.data.RandomSampler).

    The order is a function of two numbers: a seed and the number of earlier orders. They are the whole state, so an
    order can be restored without storing it.

    Args:
        dataset: what to draw from.
        generator: the source of the seed; lucid's own generator, as `lucid.manual_seed` set it, if not given. One
            number is drawn, when the first order is needed.
        seed: the seed itself, instead of a generator.

    Example:
        >>> sampler = lucid.data.RandomSampler("abc", seed=0)
        >>> sorted(sampler)
        [0, 1, 2]
    """

    def __init__(
        self, dataset: Sized, generator: np.random.Generator | None = None, *, seed: int | None = None
    ) -> None:
        if generator is not None and seed is not None:
            raise ValueError("RandomSampler: give a generator or a seed, not both")
        if seed is not None and seed < 0:
            raise ValueError(f"RandomSampler: seed must not be negative; got {seed}")
        self.dataset = dataset
        self.generator = generator
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        key = [self._settled(), self.epoch]
        self.epoch += 1
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).permutation(len(self.dataset))
        return iter(order.tolist())

    def __len__(self) -> int:
        return len(self.dataset)

    def _settled(self) -> int:
        if self.seed is None:
            high = 2**62
            drawn = randint(0, high, ()).item() if self.generator is None else self.generator.integers(high)
            self.seed = int(drawn)
        return self.seed

    def state_dict(self) -> dict[str, int]:
        """Returns the seed and the number of orders so far."""
        return {"seed": self._settled(), "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Resumes with the order that was next."""
        if state_dict.keys() != {"seed", "epoch"}:
            raise StateDictError(f"RandomSampler: expected the keys seed, epoch; got {', '.join(map(str, state_dict))}")
        self.seed, self.epoch = int(state_dict["seed"]), int(state_dict["epoch"])


class BatchSampler:
    """Groups the indices of another sampler into batches (torch.utils.data.BatchSampler).

    Args:
        sampler: any iterable of sample indices.
        batch_size: how many samples are in a batch.
        drop_last: leave out the last batch if it is smaller.

    Raises:
        ValueError: `batch_size` is not an integer of at least 1.

    Example:
        >>> list(lucid.data.BatchSampler(range(5), 2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be an integer of at least 1; got {batch_size!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        # The order is fixed here, not when the first batch is requested.
        return self._batches(iter(self.sampler))

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the sampler; empty if it has none."""
        return dict(self.sampler.state_dict()) if hasattr(self.sampler, "state_dict") else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads the state of the sampler."""
        if hasattr(self.sampler, "load_state_dict"):
            self.sampler.load_state_dict(state_dict)
        elif state_dict:
            raise StateDictError(f"{type(self.sampler).__name__} has no state; got {', '.join(map(str, state_dict))}")
