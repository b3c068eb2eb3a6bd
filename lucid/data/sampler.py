"""Samplers: the order in which samples are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..errors import StateDictError
from ..ops.generator import Generator, integer_below
from ..tensor import Tensor

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """The base of samplers, which define `__iter__` and, if they can, `__len__` (torch.utils.data.Sampler)."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")


class SequentialSampler(Sampler[int]):
    """Yields all sample indices in order (torch.utils.data.SequentialSampler).

    >>> list(lucid.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _Drawn(Sampler[int]):
    """A sampler whose orders are functions of two numbers: a seed and the number of earlier orders.

    They are the whole state, so an order can be restored without storing it.
    """

    def __init__(self, generator: Generator | np.random.Generator | None, seed: int | None) -> None:
        name = type(self).__name__
        if generator is not None and seed is not None:
            raise ValueError(f"{name}: give a generator or a seed, not both")
        if seed is not None and seed < 0:
            raise ValueError(f"{name}: seed must not be negative; got {seed}")
        self.generator = generator
        self.seed = seed
        self.epoch = 0

    def _order(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Returns one order."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        key = [self._settled(), self.epoch]
        self.epoch += 1
        return iter(self._order(np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))).tolist())

    def _settled(self) -> int:
        if self.seed is None:
            self.seed = integer_below(2**62, self.generator)
        return self.seed

    def state_dict(self) -> dict[str, int]:
        """Returns the seed and the number of orders so far."""
        return {"seed": self._settled(), "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Resumes with the order that was next."""
        if state_dict.keys() != {"seed", "epoch"}:
            raise StateDictError(
                f"{type(self).__name__}: expected the keys seed, epoch; got {', '.join(map(str, state_dict))}"
            )
        self.seed, self.epoch = int(state_dict["seed"]), int(state_dict["epoch"])


class RandomSampler(_Drawn):
    """Yields sample indices in a new random order each time (torch.utils.data.RandomSampler).

    Args:
        data_source: what to draw from.
        replacement: draw each index from all, rather than each once before any comes again.
        num_samples: how many to draw; as many as there are if None.
        generator: the source of the seed; lucid's own generator, as `lucid.manual_seed` set it, if not given. One
            number is drawn, when the first order is needed.
        seed: the seed itself, instead of a generator.

    Raises:
        ValueError: `num_samples` is not a positive integer, or there are a generator and a seed.

    Example:
        >>> sampler = lucid.data.RandomSampler("abc", seed=0)
        >>> sorted(sampler)
        [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | np.random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed)
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be a bool; got {type(replacement).__name__}")
        if num_samples is not None:
            _check_count("RandomSampler", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many indices an order has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _order(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        n, wanted = len(self.data_source), self.num_samples
        if self.replacement and n:
            return rng.integers(n, size=wanted)
        rounds = [rng.permutation(n) for _ in range(-(-wanted // n))] if n else []
        return np.concatenate([np.empty(0, np.int64), *rounds])[:wanted]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_Drawn):
    """Yields given indices in a new random order each time (torch.utils.data.SubsetRandomSampler).

    Args:
        indices: the indices.
        generator, seed: see `RandomSampler`.

    Example:
        >>> sorted(lucid.data.SubsetRandomSampler([7, 3, 5]))
        [3, 5, 7]
    """

    def __init__(
        self,
        indices: Sequence[int],
        generator: Generator | np.random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed)
        self.indices = indices

    def _order(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        return np.asarray(_plain(self.indices), np.int64)[rng.permutation(len(self.indices))]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Drawn):
    """Draws each sample as often as its weight says (torch.utils.data.WeightedRandomSampler).

    Args:
        weights: (N,), one for each sample; they need not add up to 1.
        num_samples: how many to draw.
        replacement: whether a sample may be drawn again.
        generator, seed: see `RandomSampler`.

    Raises:
        ValueError: the weights are negative, not finite or all 0; or more samples are asked for, without replacement,
            than have a weight.

    Example:
        >>> list(lucid.data.WeightedRandomSampler([0.0, 1.0, 0.0], 3))
        [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | np.random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed)
        _check_count("WeightedRandomSampler", num_samples)
        if not isinstance(replacement, bool):
            raise TypeError(f"WeightedRandomSampler: replacement must be a bool; got {type(replacement).__name__}")
        given = np.asarray(_plain(weights), np.float64)
        if given.ndim != 1 or not np.isfinite(given).all() or (given < 0).any() or not given.sum() > 0:
            raise ValueError(
                "WeightedRandomSampler: weights must be one row of finite numbers that are not negative, and not all "
                f"0; got {weights!r}"
            )
        if not replacement and num_samples > np.count_nonzero(given):
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} samples without replacement, but {np.count_nonzero(given)} have "
                "a weight above 0"
            )
        self.weights = weights
        self.num_samples = num_samples
        self.replacement = replacement
        self._shares = given / given.sum()

    def _order(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        return rng.choice(len(self._shares), self.num_samples, self.replacement, self._shares)

    def __len__(self) -> int:
        return self.num_samples


def _check_count(name: str, num_samples: Any) -> None:
    if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples < 1:
        raise ValueError(f"{name}: num_samples must be a positive integer; got {num_samples!r}")


def _plain(numbers: Any) -> Any:
    return numbers._data if isinstance(numbers, Tensor) else numbers


class BatchSampler(Sampler[list[int]]):
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
