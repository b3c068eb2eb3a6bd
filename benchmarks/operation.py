"""Operation: one op on small arrays, which shows the overhead of a library over NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from .job import Job

__all__ = ["ARRAY", "CALLS", "OPERATIONS", "Operation", "repeated"]

ARRAY = np.linspace(0.1, 0.9, 16, dtype=np.float32).reshape(4, 4)

CALLS = 1000
"""How many times the operation runs in one timed call."""


@dataclass(frozen=True)
class Operation:
    """An op, and its number of inputs."""

    name: str
    inputs: int

    def __str__(self) -> str:
        return self.name


OPERATIONS = (Operation("add", 2), Operation("mul", 2), Operation("tanh", 1), Operation("matmul", 2))


def repeated(
    case: Operation, function: Callable[..., Any], inputs: Sequence[Any], array: Callable[[Any], np.ndarray[Any, Any]]
) -> Job:
    """Returns a job that calls a function many times."""

    def once() -> None:
        for _ in repeat(None, CALLS):
            function(x)

    def twice() -> None:
        for _ in repeat(None, CALLS):
            function(x, y)

    x, y = inputs[0], inputs[-1]
    return Job(once if case.inputs == 1 else twice, lambda: {"result": array(function(*inputs))})
