"""Workers: threads that load samples ahead of the loop that uses them.

They are threads rather than processes: reading files and NumPy's functions run in parallel, samples need not be copied,
and a program needs no `if __name__ == "__main__"`. Plain Python code takes turns.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from ..ops.generator import CURRENT, Counter, Generator, Kind

__all__ = ["Worker", "WorkerInfo", "get_worker_info", "in_order", "in_turn"]


class WorkerInfo(NamedTuple):
    """What a worker knows of itself.

    Attributes:
        id: its number, from 0.
        num_workers: how many there are.
        seed: the seed of the loader's workers, plus `id`.
        dataset: its own shallow copy of the dataset: attributes that it assigns are not seen by other workers.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_INFO: ContextVar[WorkerInfo | None] = ContextVar("lucid.worker", default=None)


def get_worker_info() -> WorkerInfo | None:
    """Returns what the current worker knows of itself; None outside of one (torch.utils.data.get_worker_info).

    >>> lucid.data.get_worker_info() is None
    True
    """
    return _INFO.get()


class _BatchGenerator(Generator):
    """The generator inside a worker. It starts anew for each batch, so that its draws depend on nothing else."""

    def __init__(self, seed: int, number: int) -> None:
        super().__init__()
        self._base, self._seed = seed, seed + number
        self._key: list[int] = [seed, number]

    def begin(self, *key: int) -> None:
        """Starts anew, from the seed and these numbers, when something is drawn."""
        self._key = [self._base, *key]
        self._own = None

    def manual_seed(self, seed: int, generator: Kind = "pcg64") -> Generator:
        super().manual_seed(seed, generator)
        self._base = self._seed
        return self

    def _outside(self) -> np.random.Generator | Counter:
        if self._own is None:
            self._own = np.random.Generator(np.random.PCG64(self._key))
        return self._own


class Worker:
    """A thread that runs, one after the other, what it is given, in a context of its own.

    Args:
        number: its number.
        count: how many workers there are.
        seed: the seed of all of them.
        dataset: the dataset, of which it makes a shallow copy.
        init: what it runs first, with its number.
    """

    def __init__(self, number: int, count: int, seed: int, dataset: Any, init: Callable[[int], Any] | None) -> None:
        own = copy.copy(dataset) if hasattr(dataset, "__dict__") else dataset
        self.info = WorkerInfo(number, count, seed + number, own)
        self.generator = _BatchGenerator(seed, number)
        # What holds around the loop, such as no_grad, holds in its workers, too.
        self._context = copy_context()
        self._context.run(_INFO.set, self.info)
        self._context.run(CURRENT.set, self.generator)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"lucid-worker-{number}")
        self._init = None if init is None else self.submit(init, number)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Runs a function after all that was submitted before."""
        return self._thread.submit(self._context.run, function, *arguments)

    def ready(self) -> None:
        """Waits until the worker is initialized; raises what that raised."""
        if self._init is not None:
            self._init.result()

    def close(self) -> None:
        """Ends the thread, once the function that runs has returned."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def in_order(
    workers: list[Worker], tasks: Iterator[Any], run: Callable[[Worker, Any], Any], ahead: int
) -> Iterator[Any]:
    """Yields the results of tasks, in their order, and runs up to `ahead` of them for each worker before they are due.

    Raises:
        Exception: what a task raised, when its result is due.
    """
    due: deque[Future[Any]] = deque()
    try:
        for worker, task in zip(cycle(workers), tasks, strict=False):
            due.append(worker.submit(run, worker, task))
            if len(due) == ahead * len(workers):
                yield due.popleft().result()
        while due:
            yield due.popleft().result()
    finally:
        for future in due:
            future.cancel()


_END = object()


def in_turn(workers: list[Worker], stream: Callable[[Worker], Iterator[Any]], ahead: int) -> Iterator[Any]:
    """Yields what the streams of all workers yield, one from each in turn, until all have ended; see `in_order`."""
    streams = [(worker, stream(worker)) for worker in workers]
    due = deque((pair, pair[0].submit(next, pair[1], _END)) for _ in range(ahead) for pair in streams)
    try:
        while due:
            (worker, batches), future = due.popleft()
            batch = future.result()
            if batch is not _END:
                due.append(((worker, batches), worker.submit(next, batches, _END)))
                yield batch
    finally:
        for _, future in due:
            future.cancel()
