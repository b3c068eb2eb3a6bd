"""DataLoader: iterates over a dataset in batches, and can resume at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ..errors import StateDictError
from .collate import default_collate
from .dataset import Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches (torch.utils.data.DataLoader, without worker processes).

    An interrupted pass can be resumed: after `load_state_dict` the next iteration begins with the batch that was next
    when `state_dict` was called. A batch counts as done once the loop body has received it, so a checkpoint written at
    the end of the body continues with the next batch.

    Args:
        dataset: any object with `__len__` and `__getitem__`.
        batch_size: how many samples are in a batch.
        shuffle: use a new random order in each pass.
        sampler: an iterable of sample indices, instead of `shuffle`. To resume in the middle of a pass, it must yield
            the same indices again, or have `state_dict` and `load_state_dict` as `RandomSampler` has.
        batch_sampler: an iterable of lists of sample indices, instead of `batch_size`, `shuffle`, `sampler` and
            `drop_last`.
        collate_fn: makes a batch of a list of samples.
        drop_last: leave out the last batch if it is smaller.
        generator: the source of the seed of the order; lucid's own generator, as `lucid.manual_seed` set it, if not
            given.
        seed: the seed itself, instead of a generator.

    Attributes:
        epoch: how many passes were completed, or abandoned for a new one.

    Raises:
        ValueError: some options exclude each other, or `batch_size` is below 1.

    Example:
        >>> data = lucid.data.TensorDataset(lucid.arange(5))
        >>> for (x,) in lucid.data.DataLoader(data, batch_size=2):
        ...     print(x)
        tensor([0, 1])
        tensor([2, 3])
        tensor([4])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        *,
        collate_fn: Callable[[list[Any]], Any] = default_collate,
        drop_last: bool = False,
        generator: np.random.Generator | None = None,
        seed: int | None = None,
    ) -> None:
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler sets the order, so shuffle must be False")
        if (generator is not None or seed is not None) and not shuffle:
            raise ValueError("DataLoader: generator and seed are for shuffle=True")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if sampler is None:
            sampler = RandomSampler(dataset, generator, seed=seed) if shuffle else SequentialSampler(dataset)
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last) if batch_sampler is None else batch_sampler
        self.epoch = 0
        # How many batches of the current pass are done, and the sampler's state when that pass began.
        self._done = 0
        self._start: dict[str, Any] | None = None
        self._resumed = False
        self._pass: object = None

    def __iter__(self) -> Iterator[Any]:
        this = self._pass = object()
        if self._resumed:
            self._resumed = False
        elif self._start is not None:
            self.epoch += 1
            self._done, self._start = 0, None
        if self._start is None:
            self._start = self._sampler_state()
        return self._batches(this, islice(iter(self.batch_sampler), self._done, None))

    def _batches(self, this: object, batches: Iterator[list[int]]) -> Iterator[Any]:
        for indices in batches:
            batch = self._collated(indices)
            if this is self._pass:
                self._done += 1
            yield batch
        if this is self._pass:
            self.epoch += 1
            self._done, self._start, self._pass = 0, None, None

    def __len__(self) -> int:
        return len(self.batch_sampler)  # type: ignore[arg-type]

    def _collated(self, indices: list[int]) -> Any:
        dataset, rows = self.dataset, indices
        while type(dataset) is Subset:
            rows = [dataset.indices[i] for i in rows]
            dataset = dataset.dataset
        if self.collate_fn is default_collate and type(dataset) is TensorDataset:
            return dataset.batch(rows)
        return self.collate_fn([self.dataset[i] for i in indices])

    def _sampler_state(self) -> dict[str, Any]:
        return dict(self.batch_sampler.state_dict()) if hasattr(self.batch_sampler, "state_dict") else {}

    def state_dict(self) -> dict[str, Any]:
        """Returns the position: passes completed, batches done in this one, and the sampler's state at its start."""
        start = self._sampler_state() if self._start is None else self._start
        return {"epoch": self.epoch, "done": self._done, "sampler": dict(start)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resumes at the position of a loader over the same dataset.

        Raises:
            StateDictError: the names do not fit, or more batches are done than there are.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a mapping with epoch, done, sampler; got {type(state_dict).__name__}")
        if state_dict.keys() != {"epoch", "done", "sampler"}:
            raise StateDictError(
                f"DataLoader: expected the keys epoch, done, sampler; got {', '.join(map(str, state_dict))}"
            )
        epoch, done, start = (state_dict[name] for name in ("epoch", "done", "sampler"))
        if not isinstance(epoch, int) or not isinstance(done, int) or not isinstance(start, Mapping):
            raise StateDictError("DataLoader: epoch and done must be integers, and sampler a mapping")
        if hasattr(self.batch_sampler, "__len__") and not 0 <= done <= len(self):
            raise StateDictError(
                f"DataLoader: {done} batches are done, but a pass has {len(self)}; is the dataset the same?"
            )
        start = dict(start)
        if hasattr(self.batch_sampler, "load_state_dict"):
            self.batch_sampler.load_state_dict(start)
        elif start:
            raise StateDictError(f"{type(self.batch_sampler).__name__} has no state; got {', '.join(map(str, start))}")
        self.epoch, self._done, self._start = epoch, done, start
        self._resumed, self._pass = True, None
