"""Probes: sizes at which a program may do something else than at those of the example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from .reach import Reach

__all__ = ["probes"]

_READ = frozenset({"shape", "size", "len", "numel", "nbytes", "ndim"})
"""The names by which Python reads a size."""

_PRIMES = (2, 61, 257)
"""Sizes that no multiple, quotient or power in a program is likely to meet by chance, small and large."""

_LARGEST = 2048
"""Numbers beyond it are not taken for sizes."""

_NUMBERS = 12
"""The most numbers of a program that are tried as sizes."""


def probes(function: Callable[..., Any], leaky: bool) -> tuple[int, ...]:
    """Returns sizes to try beside the example's: one, and primes.

    If no function that can be reached reads a size, it is one alone: lucid's own ops and layers are right at all sizes.

    Args:
        function: the function.
        leaky: whether sizes left the trace in a way that shows no decision, such as the keys of a table. Then there are
            the numbers in the user's code and in tables as well, with their neighbours.
    """
    reach = Reach(function)
    functions = reach.functions
    if not leaky:
        return (1, *_PRIMES) if any(_READ & set(_names(f.__code__)) for f in functions) else (1,)
    numbers = {n for f in functions for n in _numbers(f) if 2 <= n <= _LARGEST}
    near = {n + step for n in sorted(numbers)[:_NUMBERS] for step in (-1, 0, 1)}
    keys = {n for table in reach.containers for n in list(table) if type(n) is int and 1 <= n <= _LARGEST}
    return tuple(sorted({1, *_PRIMES, *(n for n in near if n > 0), *sorted(keys)[:_NUMBERS]}))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _numbers(function: Any) -> Iterator[int]:
    """Yields the ints that a function mentions: constants, defaults, global variables and variables of its closure."""
    yield from _constants(function.__code__)
    space = function.__globals__
    things = [space.get(name) for name in _names(function.__code__)]
    things += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            things.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    yield from (thing for thing in things if type(thing) is int)


def _constants(code: CodeType) -> Iterator[int]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        for n in constant if isinstance(constant, (tuple, frozenset)) else (constant,):
            if type(n) is int:
                yield abs(n)
