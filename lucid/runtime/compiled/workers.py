"""Workers: a minimal thread pool."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

__all__ = ["Answer", "Workers"]

R = TypeVar("R")


class Answer(Generic[R]):
    """The pending result of a worker."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def give(self, result: R | None, error: BaseException | None = None) -> None:
        """Sets the result or the error; called once."""
        self._given.put((result, error))

    def wait(self) -> tuple[R, BaseException | None]:
        """Waits for the result, or for the error raised instead, and returns both; called once."""
        return self._given.get()


class Workers:
    """A minimal thread pool, whose threads end with this object.

    Unlike `concurrent.futures.ThreadPoolExecutor`, it has no futures: their locks and conditions take a tenth of a call
    of half a millisecond.

    Args:
        count: the number of threads.
        name: the name of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: SimpleQueue[Any] = SimpleQueue()
        for _ in range(count):
            Thread(target=_work, args=(self._tasks,), name=name, daemon=True).start()
        weakref.finalize(self, _end, self._tasks, count)

    def start(self, function: Callable[..., R], *args: Any) -> Answer[R]:
        """Calls a function on the next idle thread."""
        answer: Answer[R] = Answer()
        self._tasks.put((function, args, answer))
        return answer


def _work(tasks: SimpleQueue[Any]) -> None:
    while (task := tasks.get()) is not None:
        function, args, answer = task
        try:
            answer.give(function(*args))
        except BaseException as error:  # raised again by the caller of `wait`
            answer.give(None, error)
        del task, function, args, answer  # an idle thread keeps no array alive


def _end(tasks: SimpleQueue[Any], count: int) -> None:
    for _ in range(count):
        tasks.put(None)
