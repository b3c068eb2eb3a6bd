"""Layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .reduce import mean, size, sum_to
from .shape import expand_to

__all__ = ["layer_norm"]


@op
def normalized(x: Array, weight: Array, bias: Array, /, axes: int, eps: float) -> Array:
    """Each block of the last `axes` axes with mean 0 and variance 1, times `weight` plus `bias` (ONNX
    LayerNormalization).

    The result: that, the means, and one over the standard deviations.
    """
    taken = tuple(range(-axes, 0))
    centre = np.mean(x, axis=taken, keepdims=True)
    y = x - centre
    spread = np.mean(np.square(y), axis=taken, keepdims=True)
    spread += eps
    scale = np.asarray(1 / np.sqrt(spread))
    y *= scale
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y, centre, scale


@normalized.vjp
def _(g: Any, x: Tensor, weight: Any, bias: Any, out: Any, needs: tuple[bool, ...], axes: int) -> Any:
    taken = tuple(range(-axes, 0))
    g_out, g_centre, g_scale = g
    _, centre, scale = out
    standard = (x - centre) * scale
    gx = gw = gb = None
    if g_out is not None:
        if needs[1]:
            gw = sum_to(g_out * standard, shape=weight.shape)
        if needs[2]:
            gb = sum_to(g_out, shape=bias.shape)
        if needs[0]:
            gs = g_out if weight is None else g_out * weight
            gx = (gs - mean(gs, taken, True) - standard * mean(gs * standard, taken, True)) * scale
    if needs[0]:
        n = size(x, dim=taken)
        if g_centre is not None:
            gx = _plus(gx, expand_to(g_centre / n, shape=x.shape))
        if g_scale is not None:
            gx = _plus(gx, standard * (g_scale * scale * scale / -n))
    return gx, gw, gb


def _plus(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else total + more


@function
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` over the last axes (torch.nn.functional.layer_norm).

    Args:
        input: the tensor.
        normalized_shape: the sizes of the axes that mean and variance are taken over.
        weight: a factor for each element of them.
        bias: a term for each element of them.
        eps: keeps the root from 0.

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
