"""Lowerings of trigonometric and hyperbolic functions.

onnxruntime 1.32 has float64 CPU kernels for Sin alone. The others are composed in that dtype. The inverse functions
take the angle a that the operator gives in float32: the sine of what it lacks follows from the addition theorem, and is
so small (1e-7) that it equals its own angle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .builder import Builder
from .math import expm1
from .operands import out_dtype, values
from .registry import lowers

_HALF_PI = float(np.pi / 2)


def _composed(b: Builder, x: Any) -> bool:
    return b.dtype(x) == np.float64


def _number(b: Builder, x: float, like: Any) -> Any:
    return np.asarray(x, b.dtype(like))


def cosine(b: Builder, x: Any) -> Any:
    """Emits Cos; in float64, ``1 - 2 sin²(x / 2)``."""
    if not _composed(b, x):
        return b.op("Cos", x)
    half = b.op("Sin", b.op("Mul", x, _number(b, 0.5, x)))
    return b.op("Sub", _number(b, 1, x), b.op("Mul", b.op("Mul", half, half), _number(b, 2, x)))


@lowers("tan")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    return b.op("Div", b.op("Sin", x), cosine(b, x)) if _composed(b, x) else b.op("Tan", x)


@lowers("sinh")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    if not _composed(b, x):
        return b.op("Sinh", x)
    return b.op("Mul", b.op("Sub", expm1(b, x), expm1(b, b.op("Neg", x))), _number(b, 0.5, x))


@lowers("cosh")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    if not _composed(b, x):
        return b.op("Cosh", x)
    return b.op("Mul", b.op("Add", b.op("Exp", x), b.op("Exp", b.op("Neg", x))), _number(b, 0.5, x))


def _coarse(b: Builder, op_type: str, x: Any) -> Any:
    return b.cast(b.op(op_type, b.cast(x, np.float32)), b.dtype(x))


def _partner(b: Builder, x: Any) -> Any:
    """Returns ``sqrt(1 - x²)``: the cosine of the angle whose sine is `x`, or the other way round."""
    one = _number(b, 1, x)
    return b.op("Sqrt", b.op("Mul", b.op("Sub", one, x), b.op("Add", one, x)))


def _refined(b: Builder, angle: Any, sine: Any, cosine_: Any) -> Any:
    """Adds to an angle what it lacks of the one with this sine and cosine: sin(t - a) = sin t cos a - cos t sin a."""
    rest = b.op("Sub", b.op("Mul", sine, cosine(b, angle)), b.op("Mul", cosine_, b.op("Sin", angle)))
    return b.op("Add", angle, rest)


@lowers("asin")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    return _refined(b, _coarse(b, "Asin", x), x, _partner(b, x)) if _composed(b, x) else b.op("Asin", x)


@lowers("acos")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    return _refined(b, _coarse(b, "Acos", x), _partner(b, x), x) if _composed(b, x) else b.op("Acos", x)


@lowers("atan")
def _(b: Builder, x: Any) -> Any:
    return _atan(b, b.cast(x, out_dtype(b)))


def _atan(b: Builder, x: Any) -> Any:
    if not _composed(b, x):
        return b.op("Atan", x)
    # Beyond 1, of the reciprocal: it stays finite.
    one = _number(b, 1, x)
    size = b.op("Abs", x)
    beyond = b.op("Greater", size, one, dtype=np.bool_)
    slope = b.op("Where", beyond, b.op("Reciprocal", size), size, dtype=np.float64)
    length = b.op("Sqrt", b.op("Add", b.op("Mul", slope, slope), one))
    angle = _refined(b, _coarse(b, "Atan", slope), b.op("Div", slope, length), b.op("Div", one, length))
    angle = b.op("Where", beyond, b.op("Sub", _number(b, _HALF_PI, x), angle), angle, dtype=np.float64)
    return b.op("Where", b.op("Less", x, _number(b, 0, x), dtype=np.bool_), b.op("Neg", angle), angle, dtype=np.float64)


@lowers("atan2")
def _(b: Builder, x: Any, y: Any) -> Any:
    dtype = out_dtype(b)
    x, y = values(b, [x, y], dtype)
    zero = np.zeros((), dtype)
    rise, run = b.op("Abs", x), b.op("Abs", y)
    # An angle of the first quadrant; equal lengths, 0 and infinity included, need no quotient.
    equal = b.op("Equal", rise, run, dtype=np.bool_)
    level = b.op("And", equal, b.op("Equal", rise, zero, dtype=np.bool_), dtype=np.bool_)
    slope = b.op("Where", equal, np.ones((), dtype), b.op("Div", rise, run), dtype=dtype)
    angle = b.op("Where", level, zero, _atan(b, slope), dtype=dtype)
    angle = b.op("Where", _is_negative(b, y), b.op("Sub", np.asarray(np.pi, dtype), angle), angle, dtype=dtype)
    return b.op("Where", _is_negative(b, x), b.op("Neg", angle), angle, dtype=dtype)


def _is_negative(b: Builder, x: Any) -> Any:
    """Returns where the sign is minus, that of -0 included: its reciprocal is negative."""
    zero = _number(b, 0, x)
    null = b.op("Equal", x, zero, dtype=np.bool_)
    shown = b.op("Where", null, b.op("Reciprocal", x), x, dtype=b.dtype(x))
    return b.op("Less", shown, zero, dtype=np.bool_)


@lowers("hypot")
def _(b: Builder, x: Any, y: Any) -> Any:
    dtype = out_dtype(b)
    x, y = (b.op("Abs", side) for side in values(b, [x, y], dtype))
    # Scaled by the longer side, so that no square overflows.
    longer, shorter = b.op("Max", x, y), b.op("Min", x, y)
    equal = b.op("Equal", longer, shorter, dtype=np.bool_)
    ratio = b.op("Where", equal, np.ones((), dtype), b.op("Div", shorter, longer), dtype=dtype)
    return b.op("Mul", longer, b.op("Sqrt", b.op("Add", np.ones((), dtype), b.op("Mul", ratio, ratio))))
