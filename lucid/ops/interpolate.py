"""Resampling of sequences."""

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
from .pool import adaptive_avg_pool1d
from .select import index_select

__all__ = ["interpolate"]


@function
def interpolate(
    input: Tensor,
    size: int | tuple[int] | None = None,
    scale_factor: float | tuple[float] | None = None,
    mode: Literal["nearest", "linear", "area", "nearest-exact"] = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resamples sequences to another length (torch.nn.functional.interpolate, in one dimension).

    Args:
        input: the sequences.
        size: the new length.
        scale_factor: the factor of the length, instead of `size`; the new length is rounded down.
        mode: "nearest" repeats or drops elements; "linear" is piecewise linear; "area" is `adaptive_avg_pool1d`;
            "nearest-exact" is nearest with the centres of the elements aligned.
        align_corners: for "linear", whether the ends rather than the edges of the sequences are aligned.
        recompute_scale_factor: use the ratio of the lengths rather than `scale_factor`.
        antialias: must be False.

    Shape:
        input: (N, C, L); the result: (N, C, T).

    Raises:
        ShapeError: the input has other axes, or nothing is left. ValueError: an option is missing or does not fit.

    >>> lucid.nn.functional.interpolate(lucid.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    tensor([[[1. , 1.5, 2.5, 3. ]]])
    """
    if input.ndim != 3:
        raise ShapeError(f"interpolate: expected sequences (N, C, L); got shape {input.shape}")
    if mode not in ("nearest", "linear", "area", "nearest-exact"):
        raise ValueError(f"interpolate: mode must be 'nearest', 'linear', 'area' or 'nearest-exact'; got {mode!r}")
    if align_corners is not None and mode != "linear":
        raise ValueError(f"interpolate: align_corners is for mode='linear'; got mode={mode!r}")
    if antialias:
        raise ValueError("interpolate: antialias=True is not supported; smooth the input with avg_pool1d before")
    n = input.shape[-1]
    length, factor = _single("size", size), _single("scale_factor", scale_factor)
    if (length is None) == (factor is None):
        raise ValueError(f"interpolate: give size or scale_factor; got {size!r} and {scale_factor!r}")
    if recompute_scale_factor and factor is None:
        raise ValueError("interpolate: recompute_scale_factor=True needs a scale_factor")
    if factor is not None:
        length = math.floor(n * factor)
    if n < 1 or length < 1:
        raise ShapeError(f"interpolate: a length must be at least 1; got {n} and {length}")
    if mode == "area":
        return adaptive_avg_pool1d(input, length)
    step = n / length if factor is None or recompute_scale_factor else 1 / factor
    if mode != "linear":
        # PyTorch computes these positions in float32, whatever the dtype is.
        place = astype(arange(length), np.float32)
        place = place * step if mode == "nearest" else (place + 0.5) * step
        return index_select(input, -1, minimum(astype(floor(place), np.int64), n - 1))
    place = astype(arange(length), input.dtype)
    if align_corners:
        place = place * ((n - 1) / (length - 1)) if length > 1 else place * 0
    else:
        place = clamp((place + 0.5) * step - 0.5, min=0)
    first = minimum(astype(floor(place), np.int64), n - 1)
    share = clamp(place - astype(first, input.dtype), max=1)
    left, right = index_select(input, -1, first), index_select(input, -1, minimum(first + 1, n - 1))
    return left * (1 - share) + right * share


def _single(name: str, given: Any) -> Any:
    if isinstance(given, (tuple, list)):
        if len(given) != 1:
            raise ValueError(f"interpolate: {name} must be one number, for one axis; got {given!r}")
        return given[0]
    return given
