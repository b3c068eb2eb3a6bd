"""Bounds: what holds of formulas at all sizes, if every symbol is at least one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import inf
from typing import Any

from .size import Atom, Extent, Real, Size, rounded

__all__ = ["always", "begin", "largest", "smallest"]

Bound = int | float
"""A number, or an infinity."""

_DEPTH = 3
"""How many minima and maxima of a formula are resolved."""

_LIGHT = 60
"""The most parts of a formula in which they are."""

_RESIDUES = 8
"""The largest divisor whose remainders are looked at one by one."""

_DEGREE = 6
"""The most factors of a product whose bounds are computed."""


def smallest(x: Extent, y: Extent) -> Any:
    """Returns the minimum of two sizes, in the simplest form."""
    return x if _no_less(y, x) else y if _no_less(x, y) else rounded("min", x, y)


def largest(x: Extent, y: Extent) -> Any:
    """Returns the maximum of two sizes, in the simplest form."""
    return x if _no_less(x, y) else y if _no_less(y, x) else rounded("max", x, y)


def begin(n: Extent, size: Extent) -> Any:
    """Returns where a slice that begins at `n`, which may count from the end, begins: a position, or the size."""
    if always("ge", n, 0):
        return smallest(n, size)
    return largest(n + size, 0) if always("lt", n, 0) else rounded("bound", n, size)


def always(kind: str, left: Any, right: Any) -> bool | None:
    """Returns what a comparison gives at all sizes of at least one; None if that differs or is not known.

    Args:
        kind: "lt", "le", "eq", "ne", "gt" or "ge".
        left: a size or a number.
        right: a size or a number.

    Example:
        >>> from lucid.tracer.size import Size
        >>> from lucid.tracer.bounds import always
        >>> time = Size.symbol("time")
        >>> always("gt", time, 0), always("le", time // 2, time), always("gt", time, 20)
        (True, True, None)
    """
    if isinstance(left, Real) or isinstance(right, Real):
        return _of_ranges(kind, range_of(left), range_of(right))
    if kind in ("eq", "ne"):
        same = kind == "eq"
        if left == right:
            return same
        if isinstance(left, float) or isinstance(right, float):
            return None
        return not same if _no_less(left - right, 1) or _no_less(right - left, 1) else None
    if isinstance(left, float) or isinstance(right, float):
        return _of_ranges(kind, range_of(left), range_of(right))
    if kind in ("gt", "ge"):
        kind, left, right = "lt" if kind == "gt" else "le", right, left
    # Of integers, l < r is l + 1 <= r.
    margin = 1 if kind == "lt" else 0
    if _no_less(right, left + margin):
        return True
    return False if _no_less(left, right + 1 - margin) else None


def _of_ranges(kind: str, left: tuple[Bound, Bound], right: tuple[Bound, Bound]) -> bool | None:
    if kind in ("gt", "ge"):
        kind, left, right = "lt" if kind == "gt" else "le", right, left
    if kind in ("eq", "ne"):
        apart = left[1] < right[0] or right[1] < left[0]
        return (kind == "ne") if apart else None
    if left[1] < right[0] or (kind == "le" and left[1] <= right[0]):
        return True
    return False if left[0] > right[1] or (kind == "lt" and left[0] >= right[1]) else None


def _no_less(x: Extent, y: Extent) -> bool:
    """Returns whether x >= y is known to hold at all sizes."""
    d = x - y
    return d >= 0 if isinstance(d, int) else _never_negative(d, _DEPTH)


@functools.lru_cache(maxsize=4096)
def _never_negative(d: Size, depth: int) -> bool:
    if range_of(d)[0] >= 0:
        return True
    if not depth or d.weight > _LIGHT:
        return False
    for monomial, coefficient in d.terms:
        if len(monomial) != 1 or type(monomial[0]) is not Atom:
            continue
        # A bound of an atom that depends on other sizes may cancel them; the atom must occur here alone.
        if any(_has(other, monomial[0]) for m, _ in d.terms if m != monomial for other in m):
            continue
        for bound in _replacements(monomial[0], coefficient):
            simpler = d.renamed({monomial[0]: bound})
            if _holds(simpler, depth - 1):
                return True
    return any(all(_holds(case, depth - 1) for case in cases) for cases in _residues(d))


def _holds(d: Extent, depth: int) -> bool:
    return d >= 0 if isinstance(d, int) else _never_negative(d, depth)


def _residues(d: Size) -> Iterator[list[Extent]]:
    """Yields, for a remainder of a symbol in a formula, the formula for each value of the remainder."""
    for atom in {atom: None for atom in d.atoms() if type(atom) is Atom and atom.name == "mod"}:
        n, k = atom.operands
        if type(n) is Size and len(n.symbols) == 1 and type(k) is int and 1 < k <= _RESIDUES:
            (name,) = n.symbols
            yield [d.renamed({name: k * (Size.symbol(name) - 1) + r}) for r in range(1, k + 1)]


def _has(part: Any, atom: Atom) -> bool:
    """Returns whether an atom occurs in a part of a formula."""
    if part == atom:
        return True
    if isinstance(part, Size):
        return any(_has(inner, atom) for inner in part.atoms())
    return isinstance(part, (Atom, Real)) and any(_has(inner, atom) for inner in part.operands)


def _replacements(atom: Atom, coefficient: int) -> Iterator[Extent]:
    """Yields sizes that an atom does not exceed or, if its coefficient is positive, that do not exceed it."""
    if atom.name == "min" and coefficient < 0:
        yield from atom.operands
    elif atom.name == "bound" and coefficient < 0:
        yield atom.operands[1]
    elif atom.name == "max" and coefficient > 0:
        yield from atom.operands
    elif atom.name in ("mod", "floordiv") and coefficient < 0 and range_of(atom.operands[0])[0] >= 0:
        yield atom.operands[0]


def range_of(x: Any) -> tuple[Bound, Bound]:
    """Returns bounds of a number that follows from sizes."""
    if isinstance(x, Size):
        return _range(x)
    if isinstance(x, Real):
        return _range_of_real(x)
    return (x, x) if abs(x) != inf and x == x else (-inf, inf)


@functools.lru_cache(maxsize=4096)
def _range(x: Size) -> tuple[Bound, Bound]:
    low: Bound = 0
    high: Bound = 0
    if any(len(monomial) > _DEGREE for monomial, _ in x.terms):
        return -inf, inf
    for monomial, coefficient in _shifted(x).items():
        ends: tuple[Bound, Bound] = (coefficient, coefficient)
        for atom in monomial:
            ends = _product(ends, (0, inf) if type(atom) is str else _range_of_atom(atom))
        low, high = low + ends[0], high + ends[1]
    # It is an integer.
    return (low if low == -inf else -(-low // x.divisor)), (high if high == inf else high // x.divisor)


def _shifted(x: Size) -> dict[tuple[Any, ...], int]:
    """Returns the polynomial with 1 + t for each symbol, t >= 0."""
    found: dict[tuple[Any, ...], int] = {}
    for monomial, coefficient in x.terms:
        parts: list[tuple[Any, ...]] = [()]
        for atom in monomial:
            parts = [(*part, atom) for part in parts] + (parts if type(atom) is str else [])
        for part in parts:
            found[part] = found.get(part, 0) + coefficient
    return {part: c for part, c in found.items() if c}


def _product(x: tuple[Bound, Bound], y: tuple[Bound, Bound]) -> tuple[Bound, Bound]:
    ends = [_times(a, b) for a in x for b in y]
    return min(ends), max(ends)


def _times(a: Bound, b: Bound) -> Bound:
    return 0 if a == 0 or b == 0 else a * b


def _range_of_atom(atom: Atom) -> tuple[Bound, Bound]:
    if atom.name == "unknown":
        return 0, inf
    ranges = [range_of(x) for x in atom.operands]
    (low, high), (other_low, other_high) = ranges[0], ranges[-1]
    if atom.name == "mod":
        # The remainder has the sign of the divisor.
        return (0, other_high - 1) if other_low > 0 else (-inf, inf)
    if atom.name == "floordiv":
        return (0, high) if low >= 0 and other_low > 0 else (-inf, inf)
    if atom.name == "bound":
        return 0, other_high
    if atom.name == "min":
        return min(low, other_low), min(high, other_high)
    if atom.name == "max":
        return max(low, other_low), max(high, other_high)
    return low - 1, high + 1


def _range_of_real(x: Real) -> tuple[Bound, Bound]:
    ranges = [range_of(y) for y in x.operands]
    (low, high), (other_low, other_high) = ranges[0], ranges[-1]
    if x.name == "float":
        return low, high
    if x.name == "neg":
        return -high, -low
    if x.name == "add":
        return low + other_low, high + other_high
    if x.name == "sub":
        return low - other_high, high - other_low
    if x.name == "mul":
        return _product((low, high), (other_low, other_high))
    if x.name == "div" and other_low > 0:
        least = 0 if other_high == inf else 1 / other_high
        return _product((low, high), (least, 1 / other_low))
    return -inf, inf
