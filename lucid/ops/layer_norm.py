"""Layer normalization: one op forward and one backward, each a loop over blocks that stay in the processor's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autograd import vjp_of
from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .reduce import mean, size, sum_to
from .shape import expand_to

__all__ = ["layer_norm"]

# How many elements to process at once.
_BLOCK = 16384


def _blocks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, start + step) for start in range(0, rows, step))


@op
def normalized(x: Array, weight: Array, bias: Array, /, axes: int, eps: float) -> Array:
    """Normalizes each block of the last axes, times `weight` plus `bias` (ONNX LayerNormalization).

    The result: the normalized blocks, the means, and the reciprocals of the standard deviations.
    """
    given = [a for a in (x, weight, bias) if a is not None]
    dtype = np.result_type(*given, *([] if x.dtype.kind == "f" else [np.float64]))
    inner = x.shape[x.ndim - axes :]
    width = math.prod(inner)
    rows = x.reshape(math.prod(x.shape[: x.ndim - axes]), width)
    w, b = (None if a is None else a.reshape(width) for a in (weight, bias))
    # Sums of float16 need more precision.
    work = np.float32 if dtype == np.float16 else dtype
    out = np.empty(rows.shape, work)
    centre, scale = np.empty((len(rows), 1), work), np.empty((len(rows), 1), work)
    # A product with a vector adds up faster than a reduction.
    share = np.full((width, 1), 1 / max(width, 1), work)
    with np.errstate(all="ignore"):
        for block in _blocks(*rows.shape):
            y, c, s = out[block], centre[block], scale[block]
            y[...] = rows[block]
            np.matmul(y, share, out=c)
            y -= c
            np.vecdot(y, y, out=s[:, 0])
            s /= width
            s += eps
            np.sqrt(s, out=s)
            np.divide(1, s, out=s)
            y *= s
            if w is not None:
                y *= w
            if b is not None:
                y += b
    shape = (*x.shape[: x.ndim - axes], *(1 for _ in inner))
    return tuple(
        a.astype(dtype, copy=False) for a in (out.reshape(x.shape), centre.reshape(shape), scale.reshape(shape))
    )


@normalized.vjp
def _(g: Any, x: Tensor, weight: Any, bias: Any, out: Any, needs: tuple[bool, ...], axes: int) -> Any:
    g_out, g_centre, g_scale = g
    _, centre, scale = out
    gx = gw = gb = None
    if g_out is not None:
        gx, gw, gb = normalized_slope(g_out, x, weight, centre, scale, axes=axes)
        gw, gb = (None if p is None else part for p, part in ((weight, gw), (bias, gb)))
    if needs[0]:
        taken = tuple(range(-axes, 0))
        n = size(x, dim=taken)
        if g_centre is not None:
            gx = _plus(gx, expand_to(g_centre / n, shape=x.shape))
        if g_scale is not None:
            gx = _plus(gx, (x - centre) * (g_scale * scale * scale * scale / -n))
    return gx, gw, gb


def _plus(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else total + more


@op
def normalized_slope(incoming: Array, x: Array, weight: Array, centre: Array, scale: Array, /, axes: int) -> Array:
    """Computes the gradients of `normalized` for `x`, `weight` and `bias`, from that of its first result, `incoming`.

    With s = (x - centre) scale and h = incoming weight: (h - mean(h) - s mean(h s)) scale, the sum of incoming s, and
    the sum of incoming.
    """
    inner = x.shape[x.ndim - axes :]
    width = math.prod(inner)
    count = math.prod(x.shape[: x.ndim - axes])
    dtype = np.result_type(incoming, scale)
    rows, incoming = x.reshape(count, width), incoming.reshape(count, width)
    centre, scale = centre.reshape(count, 1), scale.reshape(count, 1)
    w = None if weight is None else weight.reshape(width)
    out = np.empty(rows.shape, dtype)
    gw, gb = np.zeros(width, dtype), np.zeros(width, dtype)
    share = np.full((width, 1), 1 / max(width, 1), dtype)
    with np.errstate(all="ignore"):
        for block in _blocks(*rows.shape):
            h, arrived, s = out[block], incoming[block], scale[block]
            standard = rows[block] - centre[block]
            standard *= s
            np.multiply(arrived, standard, out=h)
            ones = np.ones(len(h), dtype)
            gw += ones @ h
            gb += ones @ arrived
            if w is None:
                h[...] = arrived
            else:
                np.multiply(arrived, w, out=h)
            along = np.vecdot(h, standard)[:, None]
            along /= width
            h -= h @ share
            standard *= along
            h -= standard
            h *= s
    return out.reshape(x.shape), gw.reshape(inner), gb.reshape(inner)


@normalized_slope.vjp
def _(g: Any, incoming: Tensor, x: Tensor, weight: Any, centre: Tensor, scale: Tensor, axes: int) -> Any:
    def composed(g: Tensor, x: Tensor, weight: Tensor | None, centre: Tensor, scale: Tensor) -> Any:
        taken = tuple(range(-axes, 0))
        inner = x.shape[x.ndim - axes :]
        standard = (x - centre) * scale
        h = g if weight is None else g * weight
        gx = (h - mean(h, taken, True) - standard * mean(h * standard, taken, True)) * scale
        return gx, sum_to(g * standard, shape=inner), sum_to(g, shape=inner)

    return vjp_of(composed, (incoming, x, weight, centre, scale), g)


@function
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Computes ``(x - mean) / sqrt(variance + eps) * weight + bias`` over the last axes
    (torch.nn.functional.layer_norm).

    Args:
        input: the tensor.
        normalized_shape: the sizes of the axes that mean and variance are computed over.
        weight: a factor for each element of these axes.
        bias: a term for each element of these axes.
        eps: keeps the square root away from 0.

    Shape:
        input: (*, *normalized_shape); weight, bias: normalized_shape; the result: that of `input`.

    Raises:
        ShapeError: the last axes, the weight or the bias have another shape.

    Source: J. L. Ba et al. (2016), "Layer normalization".

    >>> lucid.nn.functional.layer_norm(lucid.tensor([[1.0, 3.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm: input must end with the shape {shape}; got {input.shape}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != shape:
            raise ShapeError(f"layer_norm: {name} must have the shape {shape}; got {parameter.shape}")
    return normalized(input, weight, bias, axes=len(shape), eps=eps)[0]
