"""Arithmetic on sizes: at export if a formula gives the result, otherwise by nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.size import Size, total
from .builder import Builder

__all__ = ["Extent", "broadcast", "joined", "measured", "minus", "product", "vector"]

Extent = int | Size | ir.Value
"""A size: a number, a formula, or a value of one int64."""


def minus(b: Builder, n: Extent, *others: Extent) -> Extent:
    """Subtracts all others from ``n``."""
    for m in others:
        values = isinstance(n, ir.Value) or isinstance(m, ir.Value)
        n = b.op("Sub", vector(b, n), vector(b, m)) if values else n - m
    return n


def product(ns: Sequence[int | Size | None]) -> int | Size | None:
    """Returns the product of sizes; None if no formula gives it."""
    return None if None in ns else total(ns)


def vector(b: Builder, n: Extent) -> ir.Value:
    """Returns a size as a value of one int64."""
    return n if isinstance(n, ir.Value) else b.size(n)


def joined(b: Builder, ns: Sequence[Extent]) -> ir.Value:
    """Concatenates sizes into a one-dimensional value."""
    pieces: list[ir.Value] = []
    known: list[int | Size] = []
    for n in ns:
        if isinstance(n, ir.Value):
            if known:
                pieces.append(b.sizes(known))
                known = []
            pieces.append(n)
        else:
            known.append(n)
    if known:
        pieces.append(b.sizes(known))
    return pieces[0] if len(pieces) == 1 else b.op("Concat", *pieces, axis=0)


def measured(b: Builder, x: ir.Value, axis: int) -> ir.Value:
    """Emits nodes that read the size of an axis at run time, for a size that no formula gives."""
    shape = b.op("Shape", x, dtype=np.int64)
    result: ir.Value = b.op("Gather", shape, np.array([axis]), axis=0)
    return result


def broadcast(shapes: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Returns the shape that these broadcast to; None is a size that is known only at run time."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_common(set(ns) - {1}) for ns in zip(*padded, strict=True))


def _common(sizes: set[Any]) -> Any:
    # One of two formulas may evaluate to 1.
    return 1 if not sizes else sizes.pop() if len(sizes) == 1 else None
