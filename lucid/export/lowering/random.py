"""Lowering of the counter-based random numbers: `lucid.ops.counter` in nodes that every runtime has on its CPU.

BitwiseXor is of opset 18, so the generator is one without it: Mul, Add and BitShift of uint64 are of opset 11 or older.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from ...ops.counter import BITS, KEYS, first_counters
from .builder import Builder
from .operands import call
from .registry import lowers
from .shape import reshaped


@lowers("keyed_uniform")
def _(b: Builder, seed: ir.Value, shape: tuple[Any, ...], draw: int, word: int, dtype: Any) -> Any:
    key = _key(b, seed)
    count: Any = prod(shape)
    result: ir.Value | None = None
    bits = BITS[np.dtype(dtype).name]
    for i, first in enumerate(first_counters(draw, word, len(bits))):
        counter = b.cast(call(b, "Range", first, count + first, 1, dtype=np.int64), np.uint64)
        shifted = _shifted(b, _squares(b, counter, key), "RIGHT", 64 - bits[i])
        unit = np.asarray(2.0 ** -sum(bits[: i + 1]), dtype)
        part = b.op("Mul", b.cast(shifted, dtype), unit)
        result = part if result is None else b.op("Add", result, part)
    assert result is not None
    return reshaped(b, result, (count,), shape)


def _key(b: Builder, seed: ir.Value) -> ir.Value:
    """Hashes the seed: both halves of the key side by side."""
    halves = _squares(b, b.cast(seed, np.uint64), np.array(KEYS, np.uint64))
    # The last bit of the key is 1.
    words = b.op("BitShift", halves, np.array([32, 33], np.uint64), direction="RIGHT")
    words = b.op("Mul", words, np.array([1 << 32, 2], np.uint64))
    high, low = (b.op("Gather", words, np.array(i, np.int64), axis=0) for i in (0, 1))
    made: ir.Value = b.op("Add", b.op("Add", high, low), np.array(1, np.uint64))
    return made


def _squares(b: Builder, counter: ir.Value, key: Any) -> ir.Value:
    y = b.op("Mul", counter, key)
    z = b.op("Add", y, key)
    x = y
    for summand in (y, z, y):
        x = b.op("Add", b.op("Mul", x, x), summand)
        # Both halves change places; no bit is set in both terms, so their sum is their union.
        x = b.op("Add", _shifted(b, x, "RIGHT", 32), _shifted(b, x, "LEFT", 32))
    made: ir.Value = b.op("Add", b.op("Mul", x, x), z)
    return made


def _shifted(b: Builder, x: ir.Value, direction: str, bits: int) -> ir.Value:
    made: ir.Value = b.op("BitShift", x, np.array(bits, np.uint64), direction=direction)
    return made
