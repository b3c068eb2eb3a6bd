"""Lowerings of elementwise functions and activations.

onnxruntime 1.32 has no float64 CPU kernels for Erf, Gelu, Softplus, Elu and LeakyRelu; in that dtype they are composed
of other operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.activation import integer_limits
from ...ops.erf import BEYOND, CENTRE, FAR, NEAR, WITHIN
from .builder import Builder
from .operands import call, out_dtype, values
from .registry import lowers

_UNARY = {"reciprocal": "Reciprocal", "sin": "Sin"}
_ROUNDING = {"ceil": "Ceil", "floor": "Floor", "rint": "Round"}

LN_2 = 0.6931471805599453
LN_10 = 2.302585092994046
ROOT_HALF = 0.7071067811865476


def _unary(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x: call(b, op_type, x))


def _rounding(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x: call(b, op_type, x) if out_dtype(b).kind == "f" else x)


for _name, _op_type in _UNARY.items():
    _unary(_name, _op_type)
for _name, _op_type in _ROUNDING.items():
    _rounding(_name, _op_type)


@lowers("cos")
def _(b: Builder, x: Any) -> Any:
    if out_dtype(b) != np.float64:
        return call(b, "Cos", x)
    # onnxruntime 1.22 has Sin in float64, but no Cos.
    half = b.op("Sin", call(b, "Mul", x, 0.5))
    return call(b, "Sub", 1.0, call(b, "Mul", b.op("Mul", half, half), 2.0))


@lowers("trunc")
def _(b: Builder, x: Any) -> Any:
    if out_dtype(b).kind != "f":
        return x
    return b.op("Mul", b.op("Sign", x), b.op("Floor", b.op("Abs", x)))


@lowers("square")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Mul", x, x)


@lowers("rsqrt")
def _(b: Builder, x: Any) -> Any:
    return b.op("Reciprocal", call(b, "Sqrt", x))


@lowers("log2")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Div", call(b, "Log", x), LN_2)


@lowers("log10")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Div", call(b, "Log", x), LN_10)


@lowers("logaddexp")
def _(b: Builder, x: Any, y: Any) -> Any:
    x, y = call(b, "Add", x, 0.0), call(b, "Add", y, 0.0)
    # The difference of equal infinities is NaN.
    same = b.op("Equal", x, y, dtype=np.bool_)
    distance = b.op("Where", same, np.zeros((), b.dtype(x)), b.op("Abs", b.op("Sub", x, y)), dtype=b.dtype(x))
    return b.op("Add", b.op("Max", x, y), log1p(b, b.op("Exp", b.op("Neg", distance))))


@lowers("expm1")
def _(b: Builder, x: Any) -> Any:
    return expm1(b, b.cast(x, out_dtype(b)))


def expm1(b: Builder, x: Any) -> Any:
    """Computes ``tanh(x / 2) * (exp(x) + 1)``, which is exact near 0, unlike ``exp(x) - 1``."""
    return call(b, "Mul", b.op("Tanh", call(b, "Mul", x, 0.5)), call(b, "Add", b.op("Exp", x), 1.0))


@lowers("log1p")
def _(b: Builder, x: Any) -> Any:
    return log1p(b, b.cast(x, out_dtype(b)))


def log1p(b: Builder, x: Any) -> Any:
    """Computes ``log(u) * x / (u - 1)``, ``u = 1 + x``, where the quotient cancels the rounding of u; `x` if u is 1."""
    dtype = b.dtype(x)
    one = np.ones((), dtype)
    u = b.op("Add", x, one)
    logarithm = b.op("Log", u)
    # At infinity the quotient is NaN.
    flat = b.op("Equal", u, x, dtype=np.bool_)
    ratio = b.op("Where", flat, one, b.op("Div", x, b.op("Sub", u, one)), dtype=dtype)
    none = b.op("Equal", u, one, dtype=np.bool_)
    return b.op("Where", none, x, b.op("Mul", logarithm, ratio), dtype=dtype)


@lowers("erf")
def _(b: Builder, x: Any) -> Any:
    return erf(b, b.cast(x, out_dtype(b)))


def erf(b: Builder, x: Any) -> Any:
    """Emits Erf, or in float64 the two polynomials of `lucid.ops.erf`."""
    dtype = b.dtype(x)
    if dtype != np.float64:
        return b.op("Erf", x)
    one = np.ones((), dtype)
    size = b.op("Abs", x)
    capped = b.op("Min", size, np.asarray(FAR, dtype))
    centre = np.asarray(CENTRE, dtype)
    t = b.op("Div", b.op("Sub", capped, centre), b.op("Add", capped, centre))
    decay = b.op("Exp", b.op("Neg", b.op("Mul", capped, capped)))
    far = b.op("Mul", b.op("Sign", x), b.op("Sub", one, b.op("Mul", decay, _horner(b, BEYOND, t))))
    near = b.op("Mul", x, _horner(b, WITHIN, b.op("Mul", x, x)))
    return b.op("Where", b.op("Less", size, np.asarray(NEAR, dtype), dtype=np.bool_), near, far, dtype=dtype)


def _horner(b: Builder, factors: tuple[float, ...], t: Any) -> Any:
    dtype = b.dtype(t)
    result: Any = np.asarray(factors[-1], dtype)
    for factor in factors[-2::-1]:
        result = b.op("Add", b.op("Mul", t, result), np.asarray(factor, dtype))
    return result


@lowers("floor_divide")
def _(b: Builder, x: Any, y: Any) -> Any:
    dtype = out_dtype(b)
    if dtype.kind != "f":
        return call(b, "Div", x, y) if dtype.kind == "u" else b.cast(_floored(b, x, y), dtype)
    # Once the remainder is subtracted, there is nothing left to round.
    quotient = b.op("Round", call(b, "Div", call(b, "Sub", x, _remainder(b, x, y)), y))
    if isinstance(y, (bool, int, float)) and y:
        return quotient
    # The remainder of a division by 0 is NaN, but the quotient is an infinity.
    none = b.op("Equal", *values(b, [y, 0], dtype), dtype=np.bool_)
    return b.op("Where", none, call(b, "Div", x, y), quotient, dtype=dtype)


def _floored(b: Builder, x: Any, y: Any) -> Any:
    """Divides integers and rounds down; Div rounds towards 0."""
    kernel = np.dtype(np.int64 if out_dtype(b) == np.int64 else np.int32)
    x, divisor, zero, one = values(b, [x, y, 0, 1], kernel)
    if isinstance(y, (bool, int)):
        if y == -1:
            return b.op("Neg", x)
        quotient = b.op("Div", x, divisor)
    else:
        # onnxruntime's Div ends the process when it divides the least integer by -1.
        negated = b.op("Equal", divisor, b.const(np.asarray(-1, kernel)), dtype=np.bool_)
        divisor = b.op("Where", negated, one, divisor, dtype=kernel)
        quotient = b.op("Where", negated, b.op("Neg", x), b.op("Div", x, divisor), dtype=kernel)
    exact = b.op("Equal", b.op("Mod", x, divisor), zero, dtype=np.bool_)
    below = b.op("Xor", *(b.op("Less", part, zero, dtype=np.bool_) for part in (x, divisor)))
    return b.op("Sub", quotient, b.cast(b.op("And", below, b.op("Not", exact)), kernel))


@lowers("remainder")
def _(b: Builder, x: Any, y: Any) -> Any:
    return _remainder(b, x, y)


def _remainder(b: Builder, x: Any, y: Any) -> Any:
    """Computes the remainder with the sign of `y`; ONNX's floating-point Mod has the sign of `x`."""
    dtype = out_dtype(b)
    if dtype.kind != "f":
        return call(b, "Mod", x, y)
    rest = call(b, "Mod", x, y, fmod=1)
    divisor = call(b, "Add", y, 0.0) if isinstance(y, (bool, int, float)) else b.cast(y, dtype)
    wrong = b.op("Less", b.op("Mul", b.op("Sign", rest), b.op("Sign", divisor)), np.zeros((), dtype), dtype=np.bool_)
    return b.op("Where", wrong, b.op("Add", rest, divisor), rest, dtype=dtype)


@lowers("fmod")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "Mod", x, y, fmod=1)


@lowers("clamp_to")
def _(b: Builder, x: Any, low: Any, high: Any) -> Any:
    if low is not None:
        x = call(b, "Max", x, low)
    return call(b, "Min", x, high) if high is not None else x


@lowers("hardtanh")
def _(b: Builder, x: Any, min_val: float, max_val: float) -> Any:
    if out_dtype(b).kind in "iu":
        min_val, max_val = integer_limits(out_dtype(b), min_val, max_val)
    return call(b, "Clip", x, min_val, max_val)


# --- activations


def _native(b: Builder, op_type: str, x: Any, composed: Callable[[], Any], **attributes: Any) -> Any:
    """Emits the operator if it has a kernel, otherwise its composition."""
    return composed() if b.dtype(x) == np.float64 else b.op(op_type, x, **attributes)


@lowers("leaky_relu")
def _(b: Builder, x: Any, negative_slope: float) -> Any:
    x = b.cast(x, out_dtype(b))

    def composed() -> Any:
        zero = np.zeros((), b.dtype(x))
        return b.op(
            "Where", b.op("Greater", x, zero, dtype=np.bool_), x, call(b, "Mul", x, negative_slope), dtype=b.dtype(x)
        )

    return _native(b, "LeakyRelu", x, composed, alpha=float(negative_slope))


@lowers("elu")
def _(b: Builder, x: Any, alpha: float) -> Any:
    x = b.cast(x, out_dtype(b))

    def composed() -> Any:
        zero = np.zeros((), b.dtype(x))
        below = call(b, "Mul", expm1(b, b.op("Min", x, zero)), alpha)
        return b.op("Where", b.op("Greater", x, zero, dtype=np.bool_), x, below, dtype=b.dtype(x))

    return _native(b, "Elu", x, composed, alpha=float(alpha))


@lowers("silu")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    return b.op("Mul", x, b.op("Sigmoid", x))


@lowers("softplus")
def _(b: Builder, x: Any, beta: float, threshold: float) -> Any:
    x = b.cast(x, out_dtype(b))
    dtype = b.dtype(x)
    z = x if beta == 1 else call(b, "Mul", x, beta)
    zero = np.zeros((), dtype)
    soft = b.op("Add", b.op("Max", z, zero), log1p(b, b.op("Exp", b.op("Neg", b.op("Abs", z)))))
    soft = soft if beta == 1 else call(b, "Div", soft, beta)
    if threshold == float("inf"):
        return soft
    return b.op("Where", b.op("Greater", z, np.asarray(threshold, dtype), dtype=np.bool_), x, soft, dtype=dtype)


@lowers("gelu_erf")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))

    def composed() -> Any:
        # Halved first: twice a large `x` overflows.
        return b.op("Mul", call(b, "Mul", x, 0.5), call(b, "Add", erf(b, call(b, "Mul", x, ROOT_HALF)), 1.0))

    return _native(b, "Gelu", x, composed) if b.opset >= 20 else composed()


@lowers("gelu_slope")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))
    share = call(b, "Mul", call(b, "Add", erf(b, call(b, "Mul", x, ROOT_HALF)), 1.0), 0.5)
    density = call(b, "Mul", b.op("Exp", call(b, "Mul", b.op("Mul", x, x), -0.5)), 0.3989422804014327)
    return b.op("Add", share, b.op("Mul", x, density))


@lowers("gelu_tanh")
def _(b: Builder, x: Any) -> Any:
    x = b.cast(x, out_dtype(b))

    def composed() -> Any:
        cube = b.op("Mul", x, b.op("Mul", x, x))
        inner = call(b, "Mul", b.op("Add", x, call(b, "Mul", cube, 0.044715)), 0.7978845608028654)
        return b.op("Mul", call(b, "Mul", x, 0.5), call(b, "Add", b.op("Tanh", inner), 1.0))

    return _native(b, "Gelu", x, composed, approximate="tanh") if b.opset >= 20 else composed()


@lowers("surprise")
def _(b: Builder, x: Any, y: Any) -> Any:
    dtype = out_dtype(b)
    x, y, one, least = b.cast(x, dtype), b.cast(y, dtype), np.ones((), dtype), np.asarray(-100, dtype)
    yes = b.op("Mul", y, b.op("Max", b.op("Log", x), least))
    no = b.op("Mul", b.op("Sub", one, y), b.op("Max", log1p(b, b.op("Neg", x)), least))
    return b.op("Neg", b.op("Add", yes, no))
