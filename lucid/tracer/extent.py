"""Helpers that compare sizes without deciding anything, so that they hold at all sizes.

Sizes are numbers or, in a symbolic trace, `Dim`s. A comparison of two of these would be a guard. `same`, `lesser` and
`greater` compare formulas; `equal` and `broadcast` record what an op demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from .bounds import always, begin, largest, smallest
from .dim import Dim, Guard, concrete, formula, has_dim, made_of

__all__ = [
    "beginning",
    "broadcast",
    "equal",
    "greater",
    "is_negative",
    "lesser",
    "same",
    "same_shape",
    "whole",
    "within",
]

Shape = tuple[Any, ...]


def whole(n: Any) -> Any:
    """Returns a size or a bound as an integer, by ``__index__``; a `Dim` stays one."""
    return n if type(n) is Dim and type(n.n) is int else n.__index__()


def same(m: Any, n: Any) -> bool:
    """Returns whether two sizes are the same formula."""
    return m is n or bool(formula(m) == formula(n))


def same_shape(x: Shape, y: Shape) -> bool:
    """Returns whether two shapes are the same formulas."""
    return len(x) == len(y) and all(map(same, x, y))


def lesser(m: Any, n: Any) -> Any:
    """Returns the smaller size, as a formula."""
    return _chosen(min, smallest, m, n)


def greater(m: Any, n: Any) -> Any:
    """Returns the larger size, as a formula."""
    return _chosen(max, largest, m, n)


def beginning(n: Any, size: Any) -> Any:
    """Returns where a slice that begins at `n`, which may count from the end, begins."""
    return _chosen(lambda n, size: slice(n, None).indices(size)[0], begin, n, size)


def _chosen(plain: Any, symbolic: Any, m: Any, n: Any) -> Any:
    owner = m.owner if type(m) is Dim else n.owner if type(n) is Dim else None
    number = plain(concrete(m), concrete(n))
    if owner is None:
        return number
    found = symbolic(formula(m), formula(n))
    return made_of(number, found, owner)


def is_negative(n: Any) -> bool:
    """Returns whether a bound counts from the end; where that depends on sizes, it is a decision."""
    if type(n) is Dim and (known := always("lt", n.formula, 0)) is not None:
        return known
    return bool(n < 0)


def within(place: Any, size: Any) -> None:
    """Demands that a position, which may count from the end, is one of an axis of a size."""
    for least, most in ((0, place), (place, size - 1)) if not is_negative(place) else ((-size, place),):
        owner = least if type(least) is Dim else most
        if type(owner) is Dim:
            owner.owner.guard(Guard("le", formula(least), formula(most), True, owner.owner.calling, True))


def equal(m: Any, n: Any) -> Any:
    """Returns a size that two axes must share; an op that gets others raises an error."""
    if type(m) is not Dim:
        m, n = n, m
    if type(m) is Dim:
        if not same(m, n):
            m.owner.require(m, n)
        return m if type(n) is Dim else n
    return m


def broadcast(*shapes: Shape | None, **_: Any) -> Shape:
    """Returns the shape that shapes broadcast to.

    Raises:
        ValueError: they do not fit.
    """
    given = [shape for shape in shapes if shape is not None]
    if len(given) == 1:
        return given[0]
    if not has_dim(given):
        return np.broadcast_shapes(*given)
    rank = max(map(len, given), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in given]
    return tuple([_common(sizes) for sizes in zip(*padded, strict=True)])


def _common(sizes: Sequence[Any]) -> Any:
    return reduce(_pair, sizes)


def _pair(m: Any, n: Any) -> Any:
    """Returns the size that two axes broadcast to."""
    if type(m) is int and m == 1:
        return n
    if type(n) is int and n == 1:
        return m
    if concrete(m) == concrete(n):
        return equal(m, n)
    # One of them is broadcast, and so it must be one.
    one, other = (m, n) if concrete(m) == 1 else (n, m)
    if concrete(one) != 1:
        raise ValueError(f"sizes {concrete(m)} and {concrete(n)} do not broadcast")
    equal(one, 1)
    return other
