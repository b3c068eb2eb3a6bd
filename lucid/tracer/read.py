"""Read: an array that Python took out of a trace."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from .location import Location
from .node import Value

__all__ = ["Answer", "Key", "Read", "numbers_around"]

Key = tuple[str, "Location | None"]
"""What tells one read in the source from another: how the program reads, and the user's line."""


class Read(NamedTuple):
    """A conversion of a traced tensor to Python numbers, an array or text, which the graph does not record.

    Attributes:
        how: the conversion, such as "item()".
        where: the user's line.
        value: what was read.
        data: its elements.
        numbers: the numbers that the code around the line may compare it with.
    """

    how: str
    where: Location | None
    value: Value
    data: np.ndarray[Any, Any]
    numbers: frozenset[int | float] = frozenset()

    @property
    def key(self) -> Key:
        """The line, and how it reads."""
        return self.how, self.where

    def __str__(self) -> str:
        return f"{self.how} at {self.where}" if self.where else self.how


Answer = Callable[[Read], np.ndarray[Any, Any]]
"""Says what a program gets instead of the elements that it reads."""


def numbers_around(last: CodeType, package: str) -> frozenset[int | float]:
    """Returns the numbers that the user's functions on the stack can see: constants, variables, attributes.

    Args:
        last: the code of the frame to stop at.
        package: the folder whose functions are left out.
    """
    found: set[int | float] = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not last:
        if not frame.f_code.co_filename.startswith(package):
            constants, names = _mentioned(frame.f_code)
            found |= constants
            places = (frame.f_locals, frame.f_globals)
            found.update(_numbers(place.get(name) for place in places for name in names))
            found.update(_numbers(frame.f_locals.values()))
            # An attribute such as self.limit.
            for thing in frame.f_locals.values():
                own = getattr(thing, "__dict__", None)
                if isinstance(own, dict):
                    found.update(_numbers(own.get(name) for name in names))
        frame = frame.f_back
    return frozenset(found)


@functools.lru_cache(maxsize=1024)
def _mentioned(code: CodeType) -> tuple[frozenset[int | float], frozenset[str]]:
    """Returns the numbers and the names in a function, and in the functions inside it."""
    numbers: set[int | float] = set()
    names = {*code.co_names, *code.co_freevars, *code.co_varnames}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner, more = _mentioned(constant)
            numbers |= inner
            names |= more
        elif isinstance(constant, (tuple, frozenset)):
            numbers.update(_numbers(constant))
        else:
            numbers.update(_numbers([constant]))
    return frozenset(numbers), frozenset(names)


def _numbers(things: Iterable[Any], depth: int = 3) -> Iterator[int | float]:
    """Yields the numbers among things, and those in small dicts, lists and tuples, as of a configuration."""
    for thing in things:
        if type(thing) in (int, float):
            yield thing
        elif type(thing) in (dict, list, tuple) and depth and len(thing) <= 100:
            yield from _numbers(thing.values() if type(thing) is dict else thing, depth - 1)
