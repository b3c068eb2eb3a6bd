"""Workers: threads that wait for something to do."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

__all__ = ["Answer", "Workers"]

R = TypeVar("R")


class Answer(Generic[R]):
    """What a worker will have found."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def give(self, result: R | None, error: BaseException | None = None) -> None:
        """Say what there is to say, once."""
        self._given.put((result, error))

    def wait(self) -> tuple[R, BaseException | None]:
        """The result, or the error that came instead of it; asked for once."""
        return self._given.get()


class Workers:
    """Threads that wait for something to do, and end with this object.

    What `concurrent.futures.ThreadPoolExecutor` does, without its futures: their locks and conditions, on the way there
    and back, take a tenth of a call of half a millisecond.

    Args:
        count: how many threads.
        name: what they are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: SimpleQueue[Any] = SimpleQueue()
        for _ in range(count):
            Thread(target=_work, args=(self._tasks,), name=name, daemon=True).start()
        weakref.finalize(self, _end, self._tasks, count)

    def start(self, function: Callable[..., R], *args: Any) -> Answer[R]:
        """Let a thread call a function, as soon as one has nothing else to do."""
        answer: Answer[R] = Answer()
        self._tasks.put((function, args, answer))
        return answer


def _work(tasks: SimpleQueue[Any]) -> None:
    while (task := tasks.get()) is not None:
        function, args, answer = task
        try:
            answer.give(function(*args))
        except BaseException as error:  # raised again where the answer is waited for
            answer.give(None, error)
        del task, function, args, answer  # nothing that was at work stays in memory


def _end(tasks: SimpleQueue[Any], count: int) -> None:
    for _ in range(count):
        tasks.put(None)
