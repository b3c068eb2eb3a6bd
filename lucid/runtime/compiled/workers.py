"""Workers: a minimal thread pool."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from ..session.fork import watch

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
    """A minimal thread pool, whose threads start with the first task and end with this object.

    Unlike `concurrent.futures.ThreadPoolExecutor`, it has no futures: their locks and conditions take a tenth of a call
    of half a millisecond.

    Args:
        count: the number of threads.
        name: the name of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._tasks: SimpleQueue[Any] = SimpleQueue()
        self._lock = Lock()
        self._end: Any = None
        watch(self)

    def _begin(self) -> None:
        """Starts the threads, if there are none in this process."""
        with self._lock:
            if self._end is None:
                for _ in range(self._count):
                    Thread(target=_work, args=(self._tasks,), name=self._name, daemon=True).start()
                self._end = weakref.finalize(self, _end, self._tasks, self._count)

    def _forked(self) -> None:
        """Forgets the threads: they did not survive the fork, and one may have held the lock."""
        if self._end is not None:
            self._end.detach()
        self._end = None
        self._tasks = SimpleQueue()
        self._lock = Lock()

    def start(self, function: Callable[..., R], *args: Any) -> Answer[R]:
        """Calls a function on the next idle thread."""
        if self._end is None:
            self._begin()
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
