"""Imports of normalizations and losses."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...ops.normalization import channels_normalized
from ...tensor import Tensor
from ..registry import Operation, imports
from .convolution import padded
from .pool import window_sums

__all__: list[str] = []


# --- normalizations


@imports("LayerNormalization")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    axis = node.get("axis", -1) % x.ndim
    shape, eps = x.shape[axis:], node.get("epsilon", 1e-5)
    whole = weight.ndim == len(shape) and (bias is None or bias.ndim == len(shape))
    if node.outputs == 1 and whole and all(type(n) is int for n in shape):
        return F.layer_norm(x, tuple(shape), weight, bias, eps)
    axes = tuple(range(axis, x.ndim))
    mean = ops.mean(x, axes, True)
    scale = 1 / ops.sqrt(ops.mean(ops.square(x - mean), axes, True) + eps)
    y = (x - mean) * scale * weight
    return (y if bias is None else y + bias, mean, scale)[: node.outputs]


@imports("RMSNormalization")
def _(node: Operation, x: Tensor, weight: Tensor) -> Tensor:
    axes = tuple(range(node.get("axis", -1) % x.ndim, x.ndim))
    return x / ops.sqrt(ops.mean(ops.square(x), axes, True) + node.get("epsilon", 1e-5)) * weight


def _across(x: Tensor, row: Tensor) -> Tensor:
    """Returns a row of channels in the axes of x."""
    return ops.reshape(row, (1, -1) + (1,) * (x.ndim - 2))


@imports("BatchNormalization")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    if node.get("training_mode", 0) or node.outputs > 1:
        raise ModelImportError(f"{node} is in training mode; only what a trained model computes can be imported")
    return channels_normalized(x, mean, variance, weight, bias, eps=node.get("epsilon", 1e-5))


@imports("InstanceNormalization")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _normalized(x, tuple(range(2, x.ndim)), node.get("epsilon", 1e-5)) * _across(x, weight) + _across(x, bias)


@imports("GroupNormalization")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    groups = node.get("num_groups")
    n, channels = x.shape[:2]
    parts = ops.reshape(x, (n, groups, -1))
    y = ops.reshape(_normalized(parts, (2,), node.get("epsilon", 1e-5)), x.shape)
    if weight.shape[0] == groups != channels:  # until operator set 20 they are one number a group
        weight, bias = (ops.repeat_interleave(row, channels // groups, 0) for row in (weight, bias))
    return y * _across(x, weight) + _across(x, bias)


@imports("MeanVarianceNormalization")
def _(node: Operation, x: Tensor) -> Tensor:
    axes = tuple(node.get("axes", (0, 2, 3)))
    centred = x - ops.mean(x, axes, True)
    return centred / (ops.sqrt(ops.mean(ops.square(centred), axes, True)) + 1e-9)


@imports("LpNormalization")
def _(node: Operation, x: Tensor) -> Tensor:
    axis, p = node.get("axis", -1), node.get("p", 2)
    length = ops.sum(ops.abs(x), axis, True) if p == 1 else ops.sqrt(ops.sum(ops.square(x), axis, True))
    return ops.where(length == 0, length, x / ops.where(length == 0, 1.0, length))


def _normalized(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - ops.mean(x, axes, True)
    return centred / ops.sqrt(ops.mean(ops.square(centred), axes, True) + eps)


@imports("LRN")
def _(node: Operation, x: Tensor) -> Tensor:
    size = node.get("size")
    low = (size - 1) // 2
    flat = ops.reshape(ops.square(x), (x.shape[0], 1, x.shape[1], -1))
    squares = window_sums(padded(flat, [(low, size - 1 - low), (0, 0)]), (size,), (1,), (1,))
    total = ops.reshape(squares, x.shape)
    return x / ops.pow(node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * total, node.get("beta", 0.75))


# --- losses


@imports("NegativeLogLikelihoodLoss")
def _(node: Operation, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    return F.nll_loss(
        x,
        target.to("int64"),
        weight,
        ignore_index=node.get("ignore_index", -100),
        reduction=node.get("reduction", "mean"),
    )


@imports("SoftmaxCrossEntropyLoss")
def _(node: Operation, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Any:
    log_probabilities = ops.log_softmax(x, 1)
    loss = F.nll_loss(
        log_probabilities,
        target.to("int64"),
        weight,
        ignore_index=node.get("ignore_index", -100),
        reduction=node.get("reduction", "mean"),
    )
    return (loss, log_probabilities)[: node.outputs]
