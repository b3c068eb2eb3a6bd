"""The error function, which NumPy lacks.

In float64, it is a polynomial for |x| < 1: erf(x) = x P(x²). Beyond, erfc(x) exp(x²) is smooth and flat: with
t = (|x| - c) / (|x| + c), erf(x) = ±(1 - exp(-x²) Q(t)). P and Q interpolate at Chebyshev nodes. In float32, one
quotient of polynomials suffices, erf(x) = x P(x²) / Q(x²), fitted for the least relative error up to where erf is 1.
The coefficients were computed with at least 40 digits. The relative error is below 3e-16 in float64 and 4e-7 in
float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["BEYOND", "CENTRE", "FAR", "NEAR", "WITHIN", "erf_array"]

Array = np.ndarray[Any, Any]


NEAR = 1.0
"""Below this, the first formula applies."""

FAR = 6.0
"""Beyond this, erf is 1 to the last digit of float64."""

CENTRE = 2.5
"""The constant c."""

WITHIN = (
    1.1283791670955126,
    -0.37612638903183543,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164225,
    -0.0008548325975389692,
    0.00012055294904839707,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871705e-07,
    1.3720064546777686e-08,
    -7.795898827002142e-10,
)
"""The first polynomial, lowest power first."""

BEYOND = (
    0.21080636406114356,
    -0.3717367339489732,
    0.251713193217456,
    -0.12503305237885554,
    0.0399225390747838,
    -0.0039937011641469865,
    -0.002642365927759658,
    0.0008759154019168855,
    0.00022837955896605415,
    -0.00012887649615317198,
    -3.4172229273553035e-05,
    1.8609712314617464e-05,
    7.48480117852628e-06,
    -2.2842173094341345e-06,
    -1.562525850774316e-06,
    8.134380709229635e-08,
)
"""The second polynomial, lowest power first."""

# Single precision: the quotient of two polynomials, up to where it is 1.
_ONE_FROM = 3.93
_UPPER = (
    1.1283791453561378,
    0.1907818639221209,
    0.05279015329078402,
    0.0037795678218466716,
    0.0002848138622450756,
    2.042054414391593e-06,
)
_LOWER = (
    1.0,
    0.5024087442426927,
    0.11425682422028359,
    0.014997340528189674,
    0.0011652150953364586,
    3.8005254317567906e-05,
)

# How many elements to process at once: they stay in the processor's cache, temporaries included.
_BLOCK = 8192


def erf_array(x: Array) -> Array:
    """Computes erf of each element; integers give float64."""
    x = np.asarray(x)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    if x.dtype == np.float16:
        return erf_array(x.astype(np.float32)).astype(np.float16)
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    block = _double if x.dtype == np.float64 else _single
    for start in range(0, flat.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        block(flat[part], out[part])
    return out.reshape(x.shape)


def _double(x: Array, out: Array) -> None:
    size = np.abs(x)
    near = size < NEAR
    if near.all():
        _horner(WITHIN, x * x, out)
        out *= x
        return
    # NaN takes this path, since no comparison with it is true, and stays NaN.
    np.minimum(size, FAR, out=size)
    t = (size - CENTRE) / (size + CENTRE)
    _horner(BEYOND, t, out)
    np.multiply(size, size, out=size)
    np.negative(size, out=size)
    np.exp(size, out=size)
    out *= size
    np.subtract(1, out, out=out)
    np.copysign(out, x, out=out)
    if near.any():
        inner = np.where(near, x, 0)
        value = np.empty_like(out)
        _horner(WITHIN, inner * inner, value)
        value *= inner
        np.copyto(out, value, where=near)


def _single(x: Array, out: Array) -> None:
    inner = np.clip(x, -_ONE_FROM, _ONE_FROM)
    square = inner * inner
    _horner(_UPPER, square, out)
    out *= inner
    _horner(_LOWER, square, inner)
    out /= inner
    np.clip(out, -1, 1, out=out)


def _horner(factors: tuple[float, ...], t: Array, out: Array) -> None:
    """Evaluates the polynomial at `t`."""
    out.fill(factors[-1])
    for factor in factors[-2::-1]:
        out *= t
        out += factor
