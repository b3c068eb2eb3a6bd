"""Arithmetic on sizes: at export if a formula gives the result, otherwise by nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.symbolic import Size
from .builder import Builder

__all__ = ["Extent", "broadcast", "joined", "measured", "minus", "product", "vector"]

Extent = int | Size | ir.Value
"""A size: a number, a formula, or a value of one int64."""


def minus(b: Builder, n: Extent, *others: Extent) -> Extent:
    """Subtracts all others from ``n``."""
    for m in others:
        n = _minus(b, n, m)
    return n


def _minus(b: Builder, n: Extent, m: Extent) -> Extent:
    if isinstance(m, int) and not isinstance(n, ir.Value):
        return n - m if isinstance(n, int) else n._replace(offset=n.offset - m)
    if isinstance(m, Size) and isinstance(n, int):
        return Size(m.symbols, -m.coefficient, n - m.offset)
    if isinstance(m, Size) and isinstance(n, Size) and n.symbols == m.symbols:
        coefficient, offset = n.coefficient - m.coefficient, n.offset - m.offset
        return Size(n.symbols, coefficient, offset) if coefficient else offset
    result: ir.Value = b.op("Sub", vector(b, n), vector(b, m))
    return result


def product(ns: Sequence[int | Size | None]) -> int | Size | None:
    """Returns the product of sizes; None if no formula gives it."""
    if len(ns) == 1:
        return ns[0]
    symbols: tuple[str, ...] = ()
    fixed = 1
    for n in ns:
        if isinstance(n, int):
            fixed *= n
        elif n is None or n.offset:
            return None
        else:
            symbols, fixed = symbols + n.symbols, fixed * n.coefficient
    return Size(symbols, fixed) if symbols else fixed


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
