"""Less common elementwise ops: powers and logarithms, trigonometry, erf, rounding, clamping."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .elementwise import astype, exp, le, lt, ne, sigmoid, where
from .elementwise import div as true_divide
from .erf import erf_array

__all__ = [
    "ceil",
    "clamp",
    "clip",
    "cos",
    "div",
    "erf",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sin",
    "square",
    "trunc",
]

# PyTorch computes inf and nan silently; so do these.
_quiet = np.errstate(all="ignore")

_TWO_OVER_ROOT_PI = 1.1283791670955126
_LN_2 = 0.6931471805599453
_LN_10 = 2.302585092994046


@op
@_quiet
def expm1(x: Array, /) -> Array:
    """Computes ``exp(x) - 1``, accurate to the last digit near 0.

    >>> lucid.expm1(lucid.tensor([0.0, 1e-8]))
    tensor([0.e+00, 1.e-08])
    """
    return np.expm1(x)


@expm1.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * (out + 1)


@op
@_quiet
def log1p(x: Array, /) -> Array:
    """Computes ``log(1 + x)``, accurate to the last digit near 0.

    >>> lucid.log1p(lucid.tensor([0.0, 1e-8]))
    tensor([0.e+00, 1.e-08])
    """
    return np.log1p(x)


@log1p.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g / (x + 1)


@op
@_quiet
def log2(x: Array, /) -> Array:
    """Computes the logarithm to base 2.

    >>> lucid.log2(lucid.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """
    return np.log2(x)


@log2.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g / (x * _LN_2)


@op
@_quiet
def log10(x: Array, /) -> Array:
    """Computes the logarithm to base 10.

    >>> lucid.log10(lucid.tensor([1.0, 1000.0]))
    tensor([0., 3.])
    """
    return np.log10(x)


@log10.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g / (x * _LN_10)


@op
@_quiet
def logaddexp(x: Array, y: Array, /) -> Array:
    """Computes ``log(exp(x) + exp(y))`` without overflow.

    >>> lucid.logaddexp(lucid.tensor([0.0]), lucid.tensor([0.0]))
    tensor([0.6931])
    """
    return np.logaddexp(x, y)


@logaddexp.vjp
def _(g: Tensor, x: Any, y: Any, needs: tuple[bool, ...]) -> Any:
    return g * sigmoid(x - y) if needs[0] else None, g * sigmoid(y - x) if needs[1] else None


@op
@_quiet
def rsqrt(x: Array, /) -> Array:
    """Computes ``1 / sqrt(x)``.

    >>> lucid.rsqrt(lucid.tensor([4.0, 16.0]))
    tensor([0.5 , 0.25])
    """
    return 1 / np.sqrt(x)


@rsqrt.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return g * (out * out * out) * -0.5


@op
@_quiet
def reciprocal(x: Array, /) -> Array:
    """Computes ``1 / x``.

    >>> lucid.reciprocal(lucid.tensor([4.0, 0.5]))
    tensor([0.25, 2.  ])
    """
    return 1 / x


@reciprocal.vjp
def _(g: Tensor, out: Tensor) -> Any:
    return -g * (out * out)


@op
def square(x: Array, /) -> Array:
    """Computes ``x * x``.

    >>> lucid.square(lucid.tensor([3.0, -2.0]))
    tensor([9., 4.])
    """
    y = np.square(x)
    # NumPy makes int8 of bools.
    return y if y.itemsize > 1 or np.asarray(x).dtype != np.bool_ else y.astype(np.int64)


@square.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * (x * 2)


@op
@_quiet
def sin(x: Array, /) -> Array:
    """Computes the sine.

    >>> lucid.sin(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 0.8415])
    """
    return np.sin(x)


@sin.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * cos(x)


@op
@_quiet
def cos(x: Array, /) -> Array:
    """Computes the cosine.

    >>> lucid.cos(lucid.tensor([0.0, 1.0]))
    tensor([1.    , 0.5403])
    """
    return np.cos(x)


@cos.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return -g * sin(x)


@op
@_quiet
def erf(x: Array, /) -> Array:
    """Computes the error function, ``2 / √pi`` times the integral of ``exp(-t²)`` from 0 to x.

    >>> lucid.erf(lucid.tensor([0.0, 1.0]))
    tensor([0.    , 0.8427])
    """
    return erf_array(x)


@erf.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * (exp(-(x * x)) * _TWO_OVER_ROOT_PI)


# --- rounding: the gradient is 0 wherever it is defined


@op
def floor(x: Array, /) -> Array:
    """Rounds down to an integer; the gradient is 0.

    >>> lucid.floor(lucid.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return np.floor(x) if x.dtype.kind == "f" else x


@op
def ceil(x: Array, /) -> Array:
    """Rounds up to an integer; the gradient is 0.

    >>> lucid.ceil(lucid.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return np.ceil(x) if x.dtype.kind == "f" else x


@op
def trunc(x: Array, /) -> Array:
    """Rounds towards 0 to an integer; the gradient is 0.

    >>> lucid.trunc(lucid.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return np.trunc(x) if x.dtype.kind == "f" else x


@op
def rint(x: Array, /) -> Array:
    """Rounds to the nearest integer, ties to even (ONNX Round); the gradient is 0."""
    return np.rint(x) if x.dtype.kind == "f" else x


@floor.vjp
@ceil.vjp
@trunc.vjp
@rint.vjp
def _(g: Tensor) -> Any:
    return g * 0.0


@function
def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounds to a number of decimals, ties to even; the gradient is 0 (torch.round).

    >>> lucid.round(lucid.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    if decimals == 0:
        return rint(x)
    scale = 10.0**-decimals
    return rint(x / scale) * scale if decimals < 0 else rint(x * 10.0**decimals) / 10.0**decimals


@op
@_quiet
def floor_divide(x: Array, y: Array, /) -> Array:
    """Computes ``floor(x / y)``; the gradient is 0 (torch.floor_divide).

    >>> lucid.floor_divide(lucid.tensor([7.0, -7.0]), 2)
    tensor([ 3., -4.])

    Raises:
        ZeroDivisionError: an integer is divided by 0.
    """
    _require_divisors("floor_divide", x, y)
    return np.floor_divide(x, y)


def _require_divisors(name: str, x: Array, y: Array) -> None:
    if np.result_type(x, y).kind != "f" and not np.all(y):
        raise ZeroDivisionError(f"{name}: an integer cannot be divided by 0; convert to floats, or replace the zeros")


@floor_divide.vjp
def _(g: Tensor) -> Any:
    return g * 0.0, g * 0.0


@function
def div(x: Any, y: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Computes ``x / y``, rounded down for "floor" and towards 0 for "trunc" (torch.div).

    >>> lucid.div(lucid.tensor([7.0, -7.0]), 2, rounding_mode="trunc")
    tensor([ 3., -3.])
    """
    if rounding_mode is None:
        return true_divide(x, y)
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode != "trunc":
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc'; got {rounding_mode!r}")
    down = floor_divide(x, y)
    if down.dtype.kind == "f":
        return trunc(true_divide(x, y))
    # Integers stay integers: a conversion to floats would lose digits.
    return down + astype(ne(remainder(x, y), 0) & ne(lt(x, 0), lt(y, 0)), down.dtype)


@op
@_quiet
def remainder(x: Array, y: Array, /) -> Array:
    """Computes the remainder of ``x / y``, with the sign of `y` (torch.remainder, Python's ``%``).

    >>> lucid.remainder(lucid.tensor([7.0, -7.0]), 4)
    tensor([3., 1.])

    Raises:
        ZeroDivisionError: an integer is divided by 0.
    """
    _require_divisors("remainder", x, y)
    return np.remainder(x, y)


@remainder.vjp
def _(g: Tensor, x: Any, y: Any, needs: tuple[bool, ...]) -> Any:
    return g, -g * floor_divide(x, y) if needs[1] else None


@op
@_quiet
def fmod(x: Array, y: Array, /) -> Array:
    """Computes the remainder of ``x / y``, with the sign of `x` (torch.fmod).

    >>> lucid.fmod(lucid.tensor([7.0, -7.0]), 4)
    tensor([ 3., -3.])
    """
    _require_divisors("fmod", x, y)
    return np.fmod(x, y)


@fmod.vjp
def _(g: Tensor, x: Any, y: Any, needs: tuple[bool, ...]) -> Any:
    return g, -g * trunc(true_divide(x, y)) if needs[1] else None


@function
def frac(x: Tensor) -> Tensor:
    """Computes the fraction, ``x - trunc(x)`` (torch.frac).

    >>> lucid.frac(lucid.tensor([1.5, -1.25]))
    tensor([ 0.5 , -0.25])
    """
    return x - trunc(x)


# --- limits


@op
def clamp_to(x: Array, low: Array, high: Array, /) -> Array:
    """Clamps `x` between two limits, each of which may be None (ONNX Clip)."""
    y = x if low is None else np.maximum(x, low)
    return y if high is None else np.minimum(y, high)


@clamp_to.vjp
def _(g: Tensor, x: Tensor, low: Any, high: Any, needs: tuple[bool, ...]) -> Any:
    above = None if low is None else le(low, x)
    below = None if high is None else le(x, high)
    inside = below if above is None else above if below is None else above & below
    gx = g if inside is None else where(inside, g, 0.0)
    # If the limits are in the wrong order, the upper one wins.
    g_low = g_high = None
    if needs[1]:
        g_low = where(above if high is None else above | (low >= high), 0.0, g)
    if needs[2]:
        free = below if low is None else below & (low <= high)
        g_high = where(free, 0.0, g)
    return gx, g_low, g_high


@function
def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Clamps `x` between two limits, numbers or tensors (torch.clamp). At a limit, `x` gets the gradient.

    >>> lucid.clamp(lucid.tensor([-2.0, 0.5, 3.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given; both are None")
    return clamp_to(x, min, max)


@function
def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Clamps `x` between two limits, like `clamp` (torch.clip).

    >>> lucid.clip(lucid.tensor([-2.0, 0.5, 3.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    return clamp(x, min, max)
