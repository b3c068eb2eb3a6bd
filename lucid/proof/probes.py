"""Probes: sizes at which a program may do something else than at those of the example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

from .reach import Reach

__all__ = ["Probes", "probes"]

_READ = frozenset({"shape", "size", "len", "numel", "nbytes", "ndim"})
"""The names by which Python reads a size."""

_PRIMES = (2, 61, 257)
"""Sizes that no multiple, quotient or power in a program is likely to meet by chance, small and large."""

_LARGEST = 2048
"""Numbers beyond it are not taken for sizes."""

_NUMBERS = 16
"""The most numbers of a program that are tried as sizes."""


_DIGITS = (9, 10, 11, 99, 100, 101)
"""Sizes at which their texts become longer."""


class Probes(NamedTuple):
    """Sizes to try.

    Attributes:
        alone: sizes for one axis after the other.
        together: sizes for several axes at once.
    """

    alone: tuple[int, ...]
    together: tuple[tuple[int, ...], ...] = ()


def probes(reach: Reach, leaky: bool) -> Probes:
    """Returns sizes to try beside the example's: one, and primes.

    If no function that can be reached reads a size, it is one alone: lucid's own ops and layers are right at all sizes.

    Args:
        reach: what the function reaches.
        leaky: whether sizes left the trace in a way that shows no decision, such as the keys of a table, or as text.
            Then there are the numbers in the user's code, in tables and in texts as well, with their neighbours.
    """
    functions = reach.functions
    if not leaky:
        reads = any(_READ & set(_names(f.__code__)) for f in functions)
        return Probes((1, *_PRIMES) if reads else (1,))
    things: list[Any] = [thing for f in functions for thing in _things(f)]
    things += [key for table in (*reach.containers, *(table for _, table in reach.tables)) for key in table]
    things += [name for module in reach.modules for name in vars(module)]
    groups = {group for thing in things if (group := tuple(n for n in _numbers(thing) if 1 <= n <= _LARGEST))}
    numbers = sorted({n for group in groups for n in group})[:_NUMBERS]
    near = {n + step for n in numbers for step in (-1, 0, 1)}
    alone = {1, *_PRIMES, *_DIGITS, *(n for n in near if n > 0)}
    return Probes(tuple(sorted(alone)), tuple(sorted(group for group in groups if 1 < len(group) <= 4))[:_NUMBERS])


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _things(function: Any) -> Iterator[Any]:
    """Yields what a function mentions: constants, names, defaults, global variables and variables of its closure."""
    yield from _constants(function.__code__)
    space = function.__globals__
    yield from (space.get(name) for name in _names(function.__code__))
    yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _constants(code: CodeType) -> Iterator[Any]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        else:
            yield constant
            if isinstance(constant, (tuple, frozenset)):
                yield from constant


def _numbers(thing: Any) -> Iterator[int]:
    """Yields the ints in a number, a text or a tuple of them."""
    if type(thing) is int:
        yield abs(thing)
    elif type(thing) is str:
        yield from (int(digits) for digits in re.findall(r"\d{1,4}", thing[:_LARGEST]))
    elif type(thing) is tuple:
        for part in thing:
            yield from _numbers(part)
