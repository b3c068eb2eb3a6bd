"""Counter-based random numbers: each is a hash of a seed, the number of its draw, and its place in the draw.

NumPy and an exported file compute the same numbers, in any order and at any size, since there is no state.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..tensor import op
from ..tracer.op import Array

__all__ = ["BITS", "DRAWS", "KEYS", "first_counters", "hashed", "keyed_uniform"]

DRAWS = 1 << 28
"""The most draws in a step: a counter has 28 bits for the draw, 3 for the word and 32 for the element. So it is an
int64 as well, which is what ONNX counts in."""

KEYS = (0xC58EF7A29D3B1E47, 0x3A6D9F185BC2E487)
"""The keys that hash the seed itself, so that neighbouring seeds have unrelated keys. Their hexadecimal digits are as
the source demands: odd, and in each half all of them different."""

BITS = {"float16": (11,), "float32": (24,), "float64": (32, 21)}
"""By dtype, the bits that each word gives to a number. No rounding is left, so a number never becomes 1."""

_BLOCK = 1 << 13
"""The elements that are computed together: three arrays of them stay in the fastest cache."""


def first_counters(draw: int, word: int, words: int) -> list[int]:
    """Returns the counter of the first element in each word of a draw."""
    return [(draw << 35) | (2 * word + i << 32) for i in range(words)]


def hashed(seed: Any) -> int:
    """Returns the key of a seed: 64 bits, of which the last is 1."""
    counter = np.full(2, seed, np.int64).astype(np.uint64)
    high, low = (int(x) >> 32 for x in _squares(counter, np.array(KEYS, np.uint64)))
    return high << 32 | low | 1


def _squares(counter: Array, key: Any, spare: Any = None) -> Array:
    """Returns four rounds of squares, of which the upper 32 bits are random; it overwrites the counters.

    Source: B. Widynski (2020), "Squares: a fast counter-based RNG", arXiv:2004.06278.
    """
    y, z, t = spare if spare is not None else np.empty((3, *counter.shape), np.uint64)
    half = np.uint64(32)
    np.multiply(counter, key, out=y)
    np.add(y, key, out=z)
    x = counter
    x[...] = y
    for last, summand in enumerate((y, z, y, z)):
        np.multiply(x, x, out=x)
        np.add(x, summand, out=x)
        if last < 3:
            np.right_shift(x, half, out=t)
            np.left_shift(x, half, out=x)
            np.bitwise_or(x, t, out=x)
    return x


@op(no_gradient="it is random, not a function of its input")
def keyed_uniform(seed: Array, /, *, shape: tuple[int, ...], draw: int, word: int, dtype: Any) -> Array:
    """Draws from the uniform distribution on [0, 1), by the key (seed, draw, word, element).

    Args:
        seed: the seed of the step, one int64.
        shape: the shape.
        draw: the number of the draw in the step.
        word: which of the numbers that a draw needs for each element.
        dtype: float16, float32 or float64: the numbers are multiples of 2**-11, 2**-24 or 2**-53.

    >>> lucid.ops.counter.keyed_uniform(lucid.tensor(7), shape=(3,), draw=0, word=0, dtype=np.dtype("float32"))
    tensor([0.51  , 0.372 , 0.1428])
    """
    dtype = np.dtype(dtype)
    count = prod(shape)
    if count > 1 << 32:
        raise ValueError(f"a draw has at most 2**32 elements; got {count}")
    key = np.uint64(hashed(seed))
    bits = BITS[dtype.name]
    out = np.zeros(count, dtype)
    size = min(_BLOCK, count)
    counter, spare, steps = np.empty(size, np.uint64), np.empty((3, size), np.uint64), np.arange(size, dtype=np.uint64)
    for i, first in enumerate(first_counters(draw, word, len(bits))):
        shift, unit = np.uint64(64 - bits[i]), dtype.type(2.0 ** -sum(bits[: i + 1]))
        for begin in range(0, count, size or 1):
            n = min(size, count - begin)
            np.add(steps[:n], np.uint64(first + begin), out=counter[:n])
            x = _squares(counter[:n], key, spare[:, :n])
            np.right_shift(x, shift, out=x)
            out[begin : begin + n] += x.astype(dtype) * unit
    return out.reshape(shape)
