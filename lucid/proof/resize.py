"""Resize: an example's arrays at other sizes, with what a program may check in them.

Integers are often tied to sizes and to each other: lengths that are sorted, or as long as an axis, or that add up to
one; zeros beyond the end of a row; positions, permutations, causal masks. An exporter cannot know which of these are
meant. So there are several proposals, the likely ones first, and the program takes its pick.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

import numpy as np

from .perturb import Arrays

__all__ = ["Axis", "proposals"]

Array = np.ndarray[Any, Any]

Axis = tuple[str, int]
"""An axis of an input: (name of the input, number of the axis)."""

_PROPOSALS = 16
"""The most proposals in which sorted numbers stay sorted; there are a few others."""


def proposals(
    example: Arrays, sizes: Mapping[Axis, int], lengths: Mapping[str, Axis | int], seed: int
) -> Iterator[Arrays]:
    """Proposes arrays with some axes at other sizes: repeated or cut, so that token ids stay in range.

    Args:
        example: the example's.
        sizes: the new sizes.
        lengths: for each input that holds sequence lengths, the axis of the steps that they count, or their number.
        seed: for sequence lengths.
    """
    moved = {axis: n for axis, n in sizes.items() if example[axis[0]].shape[axis[1]] != n}
    if not moved:
        yield dict(example)
        return
    rng = np.random.default_rng(seed)
    arrays = _resized(example, moved, ordered=True)
    counts = {name: _lengths(name, arrays, example, counted, rng) for name, counted in lengths.items()}
    yield {**arrays, **counts}
    for ordered, most in ((True, _PROPOSALS), (False, 3)):
        arrays = _resized(example, moved, ordered)
        ways = {name: [*_ways(name, arrays, example, moved)] for name in example}
        # The first ways are the likely ones, so those with the fewest others come first.
        choices = islice(product(*(range(len(several)) for several in ways.values())), 10_000)
        for choice in sorted(choices, key=sum)[:most]:
            yield {name: several[i] for (name, several), i in zip(ways.items(), choice, strict=True)}


def _resized(example: Arrays, moved: Mapping[Axis, int], ordered: bool) -> Arrays:
    """Repeats and cuts rows; if `ordered`, those of sorted numbers so that they stay sorted, and all others alike."""
    arrays = {}
    for name, array in example.items():
        for axis, old in enumerate(array.shape):
            n = moved.get((name, axis), old)
            if n != old:
                places = np.arange(n) % max(1, old)
                if ordered and _is_sorted_along(example, moved, old, n):
                    # Each row as often as its neighbours, or rows from the whole range.
                    places = np.sort(places) if n > old else np.round(np.linspace(0, old - 1, n)).astype(int)
                array = np.take(array, places, axis)
        arrays[name] = array
    return arrays


def _is_sorted_along(example: Arrays, moved: Mapping[Axis, int], old: int, n: int) -> bool:
    """Returns whether numbers or bools are sorted along an axis that changes its size in the same way."""
    return any(
        size == n and example[name].shape[axis] == old and _is_sorted(example[name], axis)
        for (name, axis), size in moved.items()
    )


def _is_sorted(array: Array, axis: int) -> bool:
    # Of floats, only times and the like are sorted by intention.
    if array.dtype.kind == "f" and (array.ndim > 1 or array.size < 3):
        return False
    steps = np.diff(array if array.dtype.kind == "f" else array.astype(np.int64), axis=axis)
    return bool(steps.any() and ((steps >= 0).all() or (steps <= 0).all()))


def _lengths(name: str, arrays: Arrays, example: Arrays, counted: Axis | int, rng: np.random.Generator) -> Array:
    """Returns random sequence lengths, one of them that of the whole sequence, sorted if the example's are."""
    old, new = example[name], arrays[name]
    if isinstance(counted, int):
        steps = before = counted
    else:
        source, axis = counted
        steps, before = arrays[source].shape[axis], example[source].shape[axis]
    if new.shape == old.shape and steps == before:
        return new
    made = np.asarray(rng.integers(1, steps + 1, new.shape))
    made.flat[:1] = steps
    if (np.diff(old) <= 0).all():
        made = np.sort(made)[::-1]
    elif (np.diff(old) >= 0).all():
        made = np.sort(made)
    return np.asarray(made.astype(old.dtype), order="C")


def _ways(name: str, arrays: Arrays, example: Arrays, moved: Mapping[Axis, int]) -> Iterator[Array]:
    """Yields an input in several ways, the likely ones first."""
    old, new = example[name], arrays[name]
    if old.dtype.kind == "f":
        yield from (way.astype(old.dtype) for way in _shaped(old, new))
        yield new
        return
    seen = set()
    for way in (
        *_shaped(old, new),
        *(_padded(name, example, moved, axes) for axes in ([old.ndim - 1], range(1, old.ndim)) if old.ndim > 1),
        *_counted(name, arrays, example, moved),
        new,
    ):
        if way is not None and (key := (made := np.asarray(way.astype(old.dtype), order="C")).tobytes()) not in seen:
            seen.add(key)
            yield made


def _shaped(old: Array, new: Array) -> Iterator[Array]:
    """Yields patterns that have a meaning: triangles, permutations and positions, sorted numbers without equals."""
    if new.shape == old.shape or not (old.ndim and old.size and new.size):
        return
    if old.ndim > 1 and old.shape[-1] == old.shape[-2] > 1 and new.shape[-1] == new.shape[-2]:
        yield from _triangles(old, new)
    if old.dtype.kind in "iu" and (np.sort(old, -1) == np.arange(old.shape[-1])).all():
        yield _permutations(old, new)
    wide = old.astype(np.float64 if old.dtype.kind == "f" else np.int64)
    steps = np.diff(wide) if old.ndim == 1 and old.size > 2 else np.zeros(1)
    if old.dtype.kind in "iu" and (steps > 0).all() and new.size > old.size:
        yield np.concatenate([wide, wide[-1] + steps[-1] * np.arange(1, new.size - old.size + 1)])
    if old.dtype.kind == "f" and ((steps > 0).all() or (steps < 0).all()):
        yield np.interp(np.linspace(0, old.size - 1, new.size), np.arange(old.size), old)


def _triangles(old: Array, new: Array) -> Iterator[Array]:
    """Yields squares with one value up to a diagonal and another one beyond, as a causal mask has."""
    for diagonal in (0, -1):
        inside = np.broadcast_to(np.tri(old.shape[-1], k=diagonal, dtype=bool), old.shape)
        low, high = old[inside], old[~inside]
        if (low == low[0]).all() and (high == high[0]).all() and low[0] != high[0]:
            yield np.broadcast_to(np.where(np.tri(new.shape[-1], k=diagonal, dtype=bool), low[0], high[0]), new.shape)


def _permutations(old: Array, new: Array) -> Array:
    """Returns rows that have each of 0, 1, ... once, in the order of the example's as far as these go."""
    count, n = old.shape[-1], new.shape[-1]
    for axis, size in enumerate((*new.shape[:-1], min(n, count))):
        old = np.take(old, np.arange(size) % old.shape[axis], axis)
    more = np.broadcast_to(np.arange(count, max(n, count)), (*new.shape[:-1], max(n - count, 0)))
    return np.concatenate([np.argsort(np.argsort(old, -1), -1), more], -1)


def _padded(name: str, example: Arrays, moved: Mapping[Axis, int], axes: Iterable[int]) -> Array | None:
    """Returns integers with some axes padded instead of repeated, with zeros or what is negative at their ends."""
    array = example[name]
    if array.dtype.kind not in "iub" or not any(moved.get((name, axis), 0) > array.shape[axis] for axis in axes):
        return None
    kept = {axis: n for axis, n in moved.items() if axis[0] != name or axis[1] not in axes or n < array.shape[axis[1]]}
    array = _resized(example, kept, ordered=True)[name]
    for axis in axes:
        if (more := moved.get((name, axis), 0) - array.shape[axis]) > 0:
            last = np.take(array, -1, axis)
            filler = last.min() if array.dtype.kind == "i" and last.size and last.min() < 0 else 0
            width = [(0, more if a == axis else 0) for a in range(array.ndim)]
            array = np.pad(array, width, constant_values=filler)
    return array


def _counted(name: str, arrays: Arrays, example: Arrays, moved: Mapping[Axis, int]) -> Iterator[Array]:
    """Yields integers that equal, bound, or add up to the sizes of other inputs as they did in the example."""
    old, new = example[name], arrays[name].astype(np.int64)
    if old.dtype.kind not in "iu" or not (old.size and new.size):
        return
    others = {
        (other, axis): n for other, array in example.items() for axis, n in enumerate(array.shape) if other != name
    }
    sizes = {n: arrays[other].shape[axis] for (other, axis), n in others.items()}
    sizes |= {n: moved[axis] for axis, n in others.items() if axis in moved}
    totals = sizes | {int(a): int(a) for a in example.values() if a.dtype.kind in "iu" and not a.ndim}
    most, total = int(old.max()), int(old.sum())
    lower = min((n - 1 for before, n in sizes.items() if before > most >= n), default=most)
    if most in sizes:
        yield np.where(new == most, sizes[most], np.minimum(new, sizes[most]))
        yield np.minimum(new, sizes[most])
    if old.ndim == 1 and total in totals and old.min() >= 0:
        yield _with_sum(new, totals[total])
    yield np.minimum(new, max(lower, 0))


def _with_sum(array: Array, total: int) -> Array:
    """Returns numbers in the same proportions and order that add up to a total, at least one where they were."""
    low = np.minimum(array, 1)
    spare = total - int(low.sum())
    weights = array - low
    if spare < 0:
        return array
    weights = weights if weights.sum() else np.ones_like(array)
    made = low + weights * spare // int(weights.sum())
    # What is left goes to the largest ones, so that the order stays.
    left = total - int(made.sum())
    made[np.argsort(-array, kind="stable")[:left]] += 1
    return made
