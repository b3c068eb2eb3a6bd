"""DataLoader: iterates over a dataset in batches, and can resume at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any

import numpy as np

from ..errors import StateDictError
from ..ops.generator import Generator, integer_below
from ..tables import Shown
from .collate import default_collate, default_convert
from .dataset import IterableDataset, Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler
from .workers import Worker, in_order, in_turn

__all__ = ["DataLoader"]


class DataLoader(Shown):
    """Iterates over a dataset in batches (torch.utils.data.DataLoader).

    An interrupted pass can be resumed: after `load_state_dict` the next iteration begins with the batch that was next
    when `state_dict` was called. A batch counts as done once the loop body has received it, so a checkpoint written at
    the end of the body continues with the next batch. What workers have loaded ahead does not count.

    Args:
        dataset: any object with `__len__` and `__getitem__`, or an `IterableDataset`.
        batch_size: how many samples are in a batch; None for single samples, which are not collated.
        shuffle: use a new random order in each pass.
        sampler: an iterable of sample indices, instead of `shuffle`. To resume in the middle of a pass, it must yield
            the same indices again, or have `state_dict` and `load_state_dict` as `RandomSampler` has.
        batch_sampler: an iterable of lists of sample indices, instead of `batch_size`, `shuffle`, `sampler` and
            `drop_last`.
        num_workers: how many threads load batches ahead of the loop; the batches stay in order. 0 loads each when it
            is due. What workers draw with lucid's functions depends on the seed, the pass and the batch alone.
        collate_fn: makes a batch of a list of samples, or converts a single one; `default_collate`, or
            `default_convert`, if None.
        pin_memory: has no effect.
        drop_last: leave out the last batch if it is smaller.
        timeout: must be 0: a thread cannot be interrupted.
        worker_init_fn: what each worker runs first, with its number.
        multiprocessing_context: must be None: workers are threads.
        generator: the source of the seeds of the order and of the workers; lucid's own generator, as
            `lucid.manual_seed` set it, if not given.
        prefetch_factor: how many batches each worker loads ahead; 2 if None.
        persistent_workers: keep the workers, and their copies of the dataset, for the next pass.
        seed: the seed of the order, instead of a generator.

    Attributes:
        epoch: how many passes were completed, or abandoned for a new one.

    Raises:
        ValueError: some options exclude each other, or a number is out of range.

    Example:
        >>> data = lucid.data.TensorDataset(lucid.arange(5))
        >>> for (x,) in lucid.data.DataLoader(data, batch_size=2, num_workers=2):
        ...     print(x)
        tensor([0, 1])
        tensor([2, 3])
        tensor([4])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: None = None,
        generator: Generator | np.random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        seed: int | None = None,
    ) -> None:
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset sets the order: no shuffle, sampler or batch_sampler")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler sets the order, so shuffle must be False")
        if seed is not None and not shuffle:
            raise ValueError("DataLoader: seed is for shuffle=True")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: batch_size=None makes no batches, so drop_last must be False")
        _check_workers(num_workers, prefetch_factor, persistent_workers, timeout, multiprocessing_context)
        batches = BatchSampler(() if sampler is None else sampler, 1 if batch_size is None else batch_size, drop_last)
        if not self._iterable:
            if sampler is None and shuffle:
                sampler = RandomSampler(dataset, generator=generator, seed=seed)
            elif sampler is None:
                sampler = SequentialSampler(dataset)
            batches.sampler = sampler
            if batch_sampler is not None:
                batch_size = None
            elif batch_size is not None:
                batch_sampler = batches
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_collate if self._batches_samples else default_convert)
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.epoch = 0
        # How many batches of the current pass are done, and the sampler's state when that pass began.
        self._done = 0
        self._start: dict[str, Any] | None = None
        self._resumed = False
        self._pass: object = None
        self._seed: int | None = None
        self._kept: list[Worker] = []

    @property
    def _batches_samples(self) -> bool:
        return self.batch_sampler is not None or self.batch_size is not None

    @property
    def _order(self) -> Any:
        """What yields the indices: of batches, or of single samples."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        this = self._pass = object()
        if self._resumed:
            self._resumed = False
        elif self._start is not None:
            self.epoch += 1
            self._done, self._start = 0, None
        if self._start is None:
            self._start = self._sampler_state()
        order = None if self._iterable else islice(iter(self._order), self._done, None)
        return self._results(this, order, self._done)

    def _results(self, this: object, order: Iterator[Any] | None, done: int) -> Iterator[Any]:
        workers = self._workers()
        align = getattr(self.batch_sampler, "align", None)  # of a sampler of parts, which other processes have, too
        try:
            for batch in self._loaded(workers, order, done):
                if align is not None:
                    batch = align(batch)
                if this is self._pass:
                    self._done += 1
                yield batch
        finally:
            if not self.persistent_workers:
                for worker in workers:
                    worker.close()
        if this is self._pass:
            self.epoch += 1
            self._done, self._start, self._pass = 0, None, None

    def _loaded(self, workers: list[Worker], order: Iterator[Any] | None, done: int) -> Iterator[Any]:
        """Yields the batches of a pass from the given one on."""
        epoch, ahead = self.epoch, self.prefetch_factor or 0
        for worker in workers:
            worker.ready()
        if order is None:
            # What was done is read again and dropped.
            stream = in_turn(workers, self._stream_of, ahead) if workers else self._stream(self.dataset)
            yield from islice(stream, done, None)
        elif not workers:
            for indices in order:
                yield self._fetched(self.dataset, indices)
        else:

            def run(worker: Worker, task: tuple[int, Any]) -> Any:
                worker.generator.begin(epoch, task[0])
                return self._fetched(worker.info.dataset, task[1])

            yield from in_order(workers, zip(count(done), order, strict=False), run, ahead)

    def _workers(self) -> list[Worker]:
        """Returns the workers: those of the last pass if they are kept, else new ones."""
        if self._kept or not self.num_workers:
            return self._kept
        seed = self._settled()
        made = [Worker(i, self.num_workers, seed, self.dataset, self.worker_init_fn) for i in range(self.num_workers)]
        if self.persistent_workers:
            self._kept = made
        return made

    def _settled(self) -> int:
        """Returns the seed of the workers."""
        if self._seed is None:
            self._seed = integer_below(2**62, self.generator)
        return self._seed

    def _stream_of(self, worker: Worker) -> Iterator[Any]:
        worker.generator.begin(self.epoch, worker.info.id)
        return self._stream(worker.info.dataset)

    def _stream(self, dataset: Any) -> Iterator[Any]:
        """Yields the batches of an `IterableDataset`."""
        samples = iter(dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._order)
        n = len(self.dataset)
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _facts(self) -> dict[str, Any]:
        batches = self.batch_sampler if self.batch_size is None else None
        sampler = self.sampler if batches is None else batches
        return {
            "dataset": type(self.dataset).__name__,
            "batch_size": self.batch_size,
            "sampler": None if self._iterable else type(sampler).__name__,
            "drop_last": self.drop_last,
            "num_workers": self.num_workers,
            "epoch": self.epoch,
            "batches_done": self._done,
        }

    def _fetched(self, dataset: Any, indices: Any) -> Any:
        """Returns one batch, or one sample."""
        if not self._batches_samples:
            return self.collate_fn(dataset[indices])
        if not indices and hasattr(self.batch_sampler, "align"):
            return None
        source, rows = dataset, indices
        while type(source) is Subset:
            rows = [source.indices[i] for i in rows]
            source = source.dataset
        if self.collate_fn is default_collate and type(source) is TensorDataset:
            return source.batch(rows)
        if hasattr(dataset, "__getitems__"):
            return self.collate_fn(dataset.__getitems__(indices))
        return self.collate_fn([dataset[i] for i in indices])

    def _sampler_state(self) -> dict[str, Any]:
        return dict(self._order.state_dict()) if hasattr(self._order, "state_dict") else {}

    def state_dict(self) -> dict[str, Any]:
        """Returns the position: passes completed, batches done in this one, the sampler's state at its start, and the
        seed of the workers, if there are any."""
        start = self._sampler_state() if self._start is None else self._start
        state = {"epoch": self.epoch, "done": self._done, "sampler": dict(start)}
        return {**state, "seed": self._settled()} if self.num_workers else state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resumes at the position of a loader over the same dataset.

        Raises:
            StateDictError: the names do not fit, or more batches are done than there are.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a mapping with epoch, done, sampler; got {type(state_dict).__name__}")
        if state_dict.keys() - {"seed"} != {"epoch", "done", "sampler"}:
            raise StateDictError(
                f"DataLoader: expected the keys epoch, done, sampler; got {', '.join(map(str, state_dict))}"
            )
        epoch, done, start = (state_dict[name] for name in ("epoch", "done", "sampler"))
        seed = state_dict.get("seed", self._seed)
        if not isinstance(epoch, int) or not isinstance(done, int) or not isinstance(start, Mapping):
            raise StateDictError("DataLoader: epoch and done must be integers, and sampler a mapping")
        if seed is not None and not (isinstance(seed, int) and seed >= 0):
            raise StateDictError(f"DataLoader: seed must be an integer that is not negative; got {seed!r}")
        if hasattr(self._order, "__len__") and not 0 <= done <= len(self):
            raise StateDictError(
                f"DataLoader: {done} batches are done, but a pass has {len(self)}; is the dataset the same?"
            )
        start = dict(start)
        if hasattr(self._order, "load_state_dict"):
            self._order.load_state_dict(start)
        elif start:
            raise StateDictError(f"{type(self._order).__name__} has no state; got {', '.join(map(str, start))}")
        self.epoch, self._done, self._start, self._seed = epoch, done, start, seed
        self._resumed, self._pass = True, None
        self._close()

    def _close(self) -> None:
        """Ends the workers that were kept."""
        for worker in self._kept:
            worker.close()
        self._kept = []


def _check_workers(workers: Any, prefetch: Any, persistent: bool, timeout: float, context: Any) -> None:
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
        raise ValueError(f"DataLoader: num_workers must be an integer of at least 0; got {workers!r}")
    if prefetch is not None and (not workers or not isinstance(prefetch, int) or prefetch < 1):
        raise ValueError(
            f"DataLoader: prefetch_factor must be an integer of at least 1, with num_workers > 0; got {prefetch!r}"
        )
    if persistent and not workers:
        raise ValueError("DataLoader: persistent_workers needs num_workers > 0")
    if timeout:
        raise ValueError(f"DataLoader: timeout must be 0, a thread cannot be interrupted; got {timeout}")
    if context is not None:
        raise ValueError("DataLoader: multiprocessing_context must be None, workers are threads")
