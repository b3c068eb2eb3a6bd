"""Lowerings of the ops that create tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.size import Real, Size, symbols_of
from .builder import Builder
from .operands import call, scalar
from .registry import lowers

# A tensor of at most this many elements becomes a constant; a larger one is created at run time.
_SMALL = 64


def filled(b: Builder, shape: tuple[Any, ...], value: Any, dtype: Any) -> ir.Value:
    """Returns a tensor filled with one value."""
    if not symbols_of(shape) and math.prod(shape) <= _SMALL:
        return b.const(np.full(shape, value, dtype))
    made: ir.Value = b.op("ConstantOfShape", b.sizes(shape), dtype=dtype, value=ir.tensor(np.full(1, value, dtype)))
    return made


@lowers("fill")
def _(b: Builder, shape: tuple[Any, ...], value: Any, dtype: Any) -> Any:
    if isinstance(value, (Size, Real)):
        return b.op("Expand", scalar(b, value, dtype), b.sizes(shape))
    return filled(b, shape, value, dtype)


@lowers("count")
def _(b: Builder, start: Any, stop: Any, step: Any, dtype: Any) -> Any:
    if not any(isinstance(n, (Size, Real)) for n in (start, stop, step)):
        return b.const(np.arange(start, stop, step, dtype=dtype))
    return call(b, "Range", start, stop, step, dtype=dtype)
