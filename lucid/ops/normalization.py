"""Batch, group and root-mean-square normalization; layer normalization has ops of its own, see `layer_norm`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, TraceError
from ..tensor import Tensor, op
from ..tracer.mode import current_trace, no_grad
from ..tracer.op import Array, function
from .layer_norm import normalized
from .math import rsqrt, square
from .reduce import mean, sum
from .shape import reshape_to

__all__ = ["batch_norm", "group_norm", "rms_norm"]


@op
def channels_normalized(x: Array, centre: Array, variance: Array, weight: Array, bias: Array, /, eps: float) -> Array:
    """Computes (x - centre) / sqrt(variance + eps) * weight + bias for each channel (ONNX BatchNormalization)."""
    along = (-1, *[1] * (x.ndim - 2))
    with np.errstate(all="ignore"):
        scale = 1 / np.sqrt(variance + eps)
        scale = scale if weight is None else scale * weight
        shift = -(centre * scale) if bias is None else bias - centre * scale
        return x * scale.reshape(along) + shift.reshape(along)


@channels_normalized.vjp
def _(
    g: Any, x: Tensor, centre: Tensor, variance: Tensor, weight: Any, bias: Any, needs: tuple[bool, ...], eps: float
) -> Any:
    def across(row: Tensor) -> Tensor:
        return reshape_to(row, shape=(row.shape[0], *[1] * (x.ndim - 2)))

    axes = (0, *range(2, x.ndim))
    inverse = rsqrt(variance + eps)
    scale = inverse if weight is None else inverse * weight
    total = sum(g, axes) if any(needs[1:]) else None
    along = sum(g * (x - across(centre)), axes) if needs[2] or needs[3] else None
    return (
        g * across(scale) if needs[0] else None,
        -(total * scale) if needs[1] else None,
        along * scale * inverse * inverse * -0.5 if needs[2] else None,
        along * inverse if needs[3] else None,
        total if needs[4] else None,
    )


@function
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Computes ``(x - mean) / sqrt(variance + eps) * weight + bias`` for each channel
    (torch.nn.functional.batch_norm).

    In training, mean and variance are those of the batch, and the running ones, if given, move towards them in place:
    ``running += momentum * (batch - running)``, where the variance of the batch is divided by one element less.
    Otherwise they are the running ones.

    Args:
        input: the batch.
        running_mean: the running mean.
        running_var: the running variance.
        weight: a factor for each channel.
        bias: a term for each channel.
        training: whether to normalize by the batch.
        momentum: the share of the batch in the running values.
        eps: keeps the square root away from 0.

    Shape:
        input: (N, C, *); the others: (C,); the result: that of `input`.

    Raises:
        ShapeError: the shapes do not fit. ValueError: a batch of one element per channel has no variance, there are no
        running values outside of training, or `eps` is not positive. TraceError: running values cannot be updated in
            an exported graph.

    Source: S. Ioffe and C. Szegedy (2015), "Batch normalization".

    >>> x, zero, one = lucid.tensor([[1.0], [3.0]]), lucid.zeros(1), lucid.ones(1)
    >>> lucid.nn.functional.batch_norm(x, zero, one, training=True, eps=1e-9)
    tensor([[-1.],
            [ 1.]])
    >>> zero, one
    (tensor([0.2]), tensor([1.1]))
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: expected an input (N, C, *); got shape {input.shape}")
    channels = input.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, tensor in given.items():
        if tensor is not None and tensor.shape != (channels,):
            raise ShapeError(f"batch_norm: {name} must have the shape ({channels},); got {tensor.shape}")
    if eps <= 0:
        raise ValueError(f"batch_norm: eps must be positive; got {eps}")
    along = (channels, *[1] * (input.ndim - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: without training=True, running_mean and running_var must be given")
        return channels_normalized(input, running_mean, running_var, weight, bias, eps=eps)
    axes = (0, *range(2, input.ndim))
    if math.prod([input.shape[axis] for axis in axes]) == 1:
        raise ValueError(f"batch_norm: one element per channel has no variance; got shape {input.shape}")
    centre = mean(input, axes, True)
    distance = input - centre
    variance = mean(square(distance), axes, True)
    _track(running_mean, centre, momentum, 1.0)
    if running_var is not None:
        count = input.numel() // channels if channels else 1
        _track(running_var, variance, momentum, count / (count - 1))
    out = distance * rsqrt(variance + eps)
    out = out if weight is None else out * reshape_to(weight, shape=along)
    return out if bias is None else out + reshape_to(bias, shape=along)


def _track(running: Tensor | None, batch: Tensor, momentum: Any, factor: Any) -> None:
    """Moves a running value towards that of the batch, in place; in a trace, only one that was made there."""
    if running is None:
        return
    trace = current_trace()
    if trace is not None and not trace.makes(running):
        raise TraceError(
            "batch_norm: in training it updates its running values, which a graph cannot; call eval() on the "
            "BatchNorm layer, or on the model, before; lucid.export.training_step makes them inputs and outputs"
        )
    if trace is not None:
        with no_grad():
            now = reshape_to(batch.detach(), shape=running.shape) * factor
            running.copy_(running + momentum * (now - running))
        return
    now = batch._data.reshape(running.shape) * factor
    running._assign(running._data + momentum * (now - running._data))


@function
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalizes each group of channels of each sequence to mean 0 and variance 1, times `weight` plus `bias`
    (torch.nn.functional.group_norm).

    Args:
        input: the batch.
        num_groups: the number of groups that the channels are divided into.
        weight: a factor for each channel.
        bias: a term for each channel.
        eps: keeps the square root away from 0.

    Shape:
        input: (N, C, *); weight, bias: (C,); the result: that of `input`.

    Raises:
        ShapeError: C is not a multiple of num_groups, or the weight or the bias has another shape.

    Source: Y. Wu and K. He (2018), "Group normalization".

    >>> lucid.nn.functional.group_norm(lucid.tensor([[1.0, 3.0, 5.0, 5.0]]), 2, eps=1e-9)
    tensor([[-1.,  1.,  0.,  0.]])
    """
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: expected an input (N, C, *) with C a multiple of num_groups={num_groups}; got shape "
            f"{input.shape}"
        )
    batch, channels, *rest = input.shape
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != (channels,):
            raise ShapeError(f"group_norm: {name} must have the shape ({channels},); got {parameter.shape}")
    groups = reshape_to(input, shape=(batch, num_groups, channels // num_groups * math.prod(rest)))
    out = reshape_to(normalized(groups, None, None, axes=1, eps=eps)[0], shape=input.shape)
    along = (channels, *[1] * len(rest))
    out = out if weight is None else out * reshape_to(weight, shape=along)
    return out if bias is None else out + reshape_to(bias, shape=along)


@function
def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Computes ``x / sqrt(mean(x²) + eps) * weight`` over the last axes (torch.nn.functional.rms_norm).

    Args:
        input: the tensor.
        normalized_shape: the sizes of the axes that the mean is computed over.
        weight: a factor for each element of these axes.
        eps: keeps the square root away from 0; the precision of the dtype if None.

    Shape:
        input: (*, *normalized_shape); weight: normalized_shape; the result: that of `input`.

    Raises:
        ShapeError: the last axes or the weight have another shape.

    Source: B. Zhang and R. Sennrich (2019), "Root mean square layer normalization".

    >>> lucid.nn.functional.rms_norm(lucid.tensor([[1.0, -7.0]]), (2,))
    tensor([[ 0.2, -1.4]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(f"rms_norm: input must end with the shape {shape}; got {input.shape}")
    if weight is not None and weight.shape != shape:
        raise ShapeError(f"rms_norm: weight must have the shape {shape}; got {weight.shape}")
    least = float(np.finfo(input.dtype).eps) if eps is None else eps
    out = input * rsqrt(mean(square(input), tuple(range(-len(shape), 0)), True) + least)
    return out if weight is None else out * weight
