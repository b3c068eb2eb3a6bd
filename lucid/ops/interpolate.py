"""Resampling of sequences, images and volumes, one axis after the other."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor
from ..tracer.op import function
from .creation import arange
from .elementwise import astype, minimum
from .math import clamp, floor
from .pool import adaptive_avg_pool
from .select import index_select
from .shape import reshape_to

__all__ = ["interpolate"]

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_MODES = ("nearest", "linear", "bilinear", "trilinear", "bicubic", "area", "nearest-exact")
_CUBIC = -0.75
"""The parameter of the cubic kernel, as in PyTorch."""


@function
def interpolate(
    input: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: Literal["nearest", "linear", "bilinear", "trilinear", "bicubic", "area", "nearest-exact"] = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resamples the axes behind the channels to other lengths (torch.nn.functional.interpolate).

    Args:
        input: sequences, images or volumes.
        size: the new length, or one for each axis.
        scale_factor: the factor of the length, or one for each axis, instead of `size`; lengths are rounded down.
        mode: "nearest" repeats or drops elements; "linear" is piecewise linear, and is called "bilinear" for images and
            "trilinear" for volumes; "bicubic" is a cubic convolution, for images; "area" is the adaptive mean, as in
            `adaptive_avg_pool1d`; "nearest-exact" is nearest with the centres of the elements aligned.
        align_corners: for linear and cubic modes, whether the ends rather than the edges are aligned.
        recompute_scale_factor: use the ratio of the lengths rather than `scale_factor`.
        antialias: must be False.

    Shape:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W); the result: the same with other lengths behind the channels.

    Raises:
        ShapeError: the input has other axes, or nothing is left. ValueError: an option is missing or does not fit.

    >>> lucid.nn.functional.interpolate(lucid.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    tensor([[[1. , 1.5, 2.5, 3. ]]])
    """
    axes = input.ndim - 2
    if axes not in (1, 2, 3):
        raise ShapeError(
            f"interpolate: expected sequences (N, C, L), images (N, C, H, W) or volumes; got shape {input.shape}"
        )
    _check_mode(mode, input.ndim, align_corners, antialias)
    lengths, factors = _each("size", axes, size), _each("scale_factor", axes, scale_factor)
    if (lengths is None) == (factors is None):
        raise ValueError(f"interpolate: give size or scale_factor; got {size!r} and {scale_factor!r}")
    if recompute_scale_factor and factors is None:
        raise ValueError("interpolate: recompute_scale_factor=True needs a scale_factor")
    before = input.shape[2:]
    if lengths is None:
        lengths = tuple([math.floor(n * factor) for n, factor in zip(before, factors, strict=True)])
    for n, length in zip(before, lengths, strict=True):
        if n < 1 or length < 1:
            raise ShapeError(f"interpolate: a length must be at least 1; got {n} and {length}")
    if mode == "area":
        return adaptive_avg_pool("interpolate", axes, input, lengths)
    for i, (n, length) in enumerate(zip(before, lengths, strict=True)):
        step = n / length if factors is None or recompute_scale_factor else 1 / factors[i]
        if mode.startswith("nearest"):
            # PyTorch computes these positions in float32, whatever the dtype is.
            place = astype(arange(length), np.float32)
            place = place * step if mode == "nearest" else (place + 0.5) * step
            input = index_select(input, 2 + i, minimum(astype(floor(place), np.int64), n - 1))
            continue
        place = astype(arange(length), input.dtype)
        if align_corners:
            place = place * ((n - 1) / (length - 1)) if length > 1 else place * 0
        else:
            place = (place + 0.5) * step - 0.5
        input = (_cubic if mode == "bicubic" else _linear)(input, 2 + i, n, place)
    return input


def _linear(x: Tensor, axis: int, n: Any, place: Tensor) -> Tensor:
    """Returns the values between two elements each."""
    place = clamp(place, min=0)
    first = minimum(astype(floor(place), np.int64), n - 1)
    share = _along(clamp(place - astype(first, x.dtype), max=1), x, axis)
    left, right = index_select(x, axis, first), index_select(x, axis, minimum(first + 1, n - 1))
    return left * (1 - share) + right * share


def _cubic(x: Tensor, axis: int, n: Any, place: Tensor) -> Tensor:
    """Returns the values among four elements each (R. Keys (1981), "Cubic convolution interpolation")."""
    first = floor(place)
    share = place - first
    total: Any = 0
    for k in range(-1, 3):
        away = share - k if k < 1 else k - share
        if k in (0, 1):
            weight = ((_CUBIC + 2) * away - (_CUBIC + 3)) * away * away + 1
        else:
            weight = ((_CUBIC * away - 5 * _CUBIC) * away + 8 * _CUBIC) * away - 4 * _CUBIC
        tap = minimum(clamp(astype(first, np.int64) + k, min=0), n - 1)
        total = total + index_select(x, axis, tap) * _along(weight, x, axis)
    result: Tensor = total
    return result


def _along(weights: Tensor, x: Tensor, axis: int) -> Tensor:
    """Returns weights of positions along an axis in a shape that broadcasts to the tensor's."""
    return reshape_to(weights, shape=(-1, *[1] * (x.ndim - 1 - axis)))


def _check_mode(mode: str, ndim: int, align_corners: bool | None, antialias: bool) -> None:
    if mode not in _MODES:
        raise ValueError(f"interpolate: mode must be one of {', '.join(map(repr, _MODES))}; got {mode!r}")
    if mode in _LINEAR.values() and mode != _LINEAR[ndim]:
        raise ValueError(f"interpolate: with {ndim} axes, the mode is {_LINEAR[ndim]!r}; got {mode!r}")
    if mode == "bicubic" and ndim != 4:
        raise ValueError(f"interpolate: mode='bicubic' is for images, (N, C, H, W); got {ndim} axes")
    if align_corners is not None and mode not in (*_LINEAR.values(), "bicubic"):
        raise ValueError(f"interpolate: align_corners is for linear and cubic modes; got mode={mode!r}")
    if antialias:
        raise ValueError("interpolate: antialias=True is not supported; smooth the input with avg_pool1d before")


def _each(name: str, axes: int, given: Any) -> Any:
    """Returns one number for each axis; None if none was given."""
    if given is None or not isinstance(given, (tuple, list)):
        return None if given is None else (given,) * axes
    if len(given) != axes:
        raise ValueError(f"interpolate: {name} must be a number, or one for each of {axes} axes; got {given!r}")
    return tuple(given)
