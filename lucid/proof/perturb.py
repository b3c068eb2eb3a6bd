"""Perturb: other numbers in place of an example's, which keep what a program may check in them.

A program may reject lengths that are not sorted, labels out of range, sizes that do not add up to an axis. So integers
and bools that are made up keep the order, the range and the sum of the example's where they can, and rows that belong
together stay together. Where they cannot keep everything there are several proposals, and the program takes its pick.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

__all__ = ["Arrays", "difference", "distinct", "perturbations", "quietly"]

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]

_MOST = 30
"""The most elements that are tried for a transfer from one to another."""


def distinct(several: Iterable[Arrays], example: Arrays | None = None) -> Iterator[Arrays]:
    """Yields the proposals that differ from those before them, and from the example if one is given."""
    seen = set() if example is None else {_key(example)}
    for arrays in several:
        if (key := _key(arrays)) not in seen:
            seen.add(key)
            yield arrays


def _key(arrays: Arrays) -> tuple[Any, ...]:
    # Proposals never differ in a few floats alone.
    sampled = [a.reshape(-1)[:: max(1, a.size // 4096) if a.dtype.kind == "f" else 1] for a in arrays.values()]
    return tuple((a.shape, sample.tobytes()) for a, sample in zip(arrays.values(), sampled, strict=True))


def quietly(several: Iterator[Arrays]) -> Iterator[Arrays]:
    """Yields proposals without warnings: an example may have infinities and NaN in it."""
    while True:
        with np.errstate(all="ignore"):
            arrays = next(several, None)
        if arrays is None:
            return
        yield arrays


def difference(arrays: Arrays, example: Arrays) -> str:
    """Returns the integers and bools that are not those of an example, as text; empty if all are."""
    made = [
        f"{name} = {_shown(array)}"
        for name, array in arrays.items()
        if array.dtype.kind != "f" and not np.array_equal(array, example[name])
    ]
    return " and ".join(made[:3])


def _shown(array: Array) -> str:
    if array.ndim > 1 and array.size > 12:
        return f"{array.dtype}{list(array.shape)}"
    return np.array2string(array, threshold=12, edgeitems=3, separator=", ").replace("\n", "")


def perturbations(arrays: Arrays, lengths: Iterable[str]) -> Iterator[Arrays]:
    """Proposes other values, so that whatever depends on values differs; the first proposals change the most.

    Args:
        arrays: the example's.
        lengths: the inputs that hold sequence lengths.
    """
    rng = np.random.default_rng(1)
    floats = {
        name: (array * 0.75 + rng.uniform(0.05, 0.2, array.shape)).astype(array.dtype)
        for name, array in arrays.items()
        if array.dtype.kind == "f"
    }
    others = {name: array for name, array in arrays.items() if name not in floats}
    known = set(lengths)
    free = {
        name: _first(array, *_CAREFUL, *_LOOSE, *((_shorter,) if name in known else ()))
        for name, array in others.items()
    }
    careful = {name: _first(array, *_CAREFUL) for name, array in others.items()}
    for changed in (
        {**floats, **free},
        {**floats, **careful},
        {**floats, **{name: _first(array, *_LOOSE) for name, array in others.items()}},
        _turned({**arrays, **floats}, others),
        {name: array * array.dtype.type(0.75) for name, array in arrays.items() if name in floats},
        _turned(arrays, others),
        careful,
    ):
        yield {**arrays, **changed}


def _first(array: Array, *changes: Any) -> Array:
    """Returns the first of several changes that changes an array of integers or bools at all."""
    if array.dtype.kind in "iub" and array.size:
        for change in changes:
            made = change(array)
            if made is not None and not np.array_equal(made, array):
                return np.asarray(made.astype(array.dtype), order="C")
    return array


def _sign(array: Array) -> int:
    """Returns 1 if the elements rise, -1 if they fall, and 0 otherwise or if they are all equal."""
    if array.ndim != 1 or array.size < 2 or (array == array[0]).all():
        return 0
    wide = array.astype(np.int64)
    return 1 if (np.diff(wide) >= 0).all() else -1 if (np.diff(wide) <= 0).all() else 0


def _movable(array: Array) -> tuple[list[int], list[int]]:
    """Returns where sorted numbers can grow by one, and where shrink: order and range stay, and equals stay few.

    Numbers inside the range come first, so that its ends stay.
    """
    sign = _sign(array)
    if array.dtype.kind == "b" or not sign:
        return [], []
    rising = array.astype(np.int64)[::sign]
    gaps = np.diff(rising)
    room = gaps - 1 if (gaps > 0).all() else gaps
    within = (rising > rising[0]) & (rising < rising[-1])
    both = []
    for places in (np.flatnonzero(room >= 1), np.flatnonzero(room >= 1) + 1):
        ordered = [*places[within[places]], *places[~within[places]]]
        both.append([int(i) if sign > 0 else array.size - 1 - int(i) for i in ordered[:_MOST]])
    return both[0], both[1]


def _moved(array: Array, more: Sequence[int], less: Sequence[int]) -> Array:
    made = array.astype(np.int64)
    made[list(more)] += 1
    made[list(less)] -= 1
    return made


def _transferred(array: Array) -> Array | None:
    """Moves a unit from one of several sorted numbers to another: order, range and sum stay."""
    found, best = None, -1
    distinct_ones = len(np.unique(array))
    for i, j in product(*_movable(array)):
        made = _moved(array, [i], [j])
        as_many = len(np.unique(made)) == distinct_ones
        if i == j or _sign(made) != _sign(array) or not (as_many or distinct_ones < array.size):
            continue
        kept = 2 * (made.min() == array.min() and made.max() == array.max()) + as_many
        if kept > best:
            found, best = made, kept
        if best == 3:
            break
    return found


def _exchanged(array: Array) -> Array | None:
    """Exchanges the positive ones among numbers that are not sorted: range and sum stay, and so does padding."""
    if array.dtype.kind == "b" or _sign(array):
        return None
    made = array.copy()
    positive = array > 0
    made[positive] = np.roll(array[positive], 1)
    return made


def _rows(array: Array) -> Array | None:
    """Exchanges whole rows, or else the columns of rows that are all equal."""
    if _sign(array) and array.dtype.kind != "b":
        return None
    for axis in (0, -1) if array.ndim else ():
        made = np.roll(array, 1, axis)
        if not np.array_equal(made, array):
            return made
    return None


def _stepped(array: Array) -> Array | None:
    """Moves one of several sorted numbers by one: order and range stay."""
    more, less = _movable(array)
    return _moved(array, more[:1], [] if more else less[:1]) if more or less else None


def _rolled(array: Array) -> Array:
    return np.roll(array, 1)


def _shorter(array: Array) -> Array:
    return np.maximum(array, 2) - 1


_CAREFUL = (_transferred, _exchanged, _rows)
_LOOSE = (_stepped, _rows, _exchanged, _rolled)


def _turned(arrays: Arrays, others: Mapping[str, Array]) -> Arrays:
    """Exchanges the rows of all arrays alike, along the axis that seems to be the batch."""
    sizes = [array.shape[0] for array in (*others.values(), *arrays.values()) if array.ndim and array.shape[0] > 1]
    if not sizes:
        return {}
    return {
        name: np.roll(array, 1, array.shape.index(sizes[0]))
        for name, array in arrays.items()
        if sizes[0] in array.shape
    }
