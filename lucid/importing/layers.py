"""Imports of convolutions, pooling, normalizations and losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import ModelImportError
from ..nn import functional as F
from ..ops.conv import window_max, windows
from ..tensor import Tensor
from .registry import Operation, imports

__all__: list[str] = []


def _window(node: Operation, x: Tensor, kernel: Sequence[int]) -> tuple[list[int], list[int], list[tuple[Any, Any]]]:
    """Returns strides, dilations and the padding of each axis of a convolution or a pool."""
    axes = len(kernel)
    strides = list(node.get("strides") or [1] * axes)
    dilations = list(node.get("dilations") or [1] * axes)
    auto = node.get("auto_pad", "NOTSET")
    pads = list(node.get("pads") or [0] * 2 * axes)
    if auto == "VALID":
        pads = [0] * 2 * axes
    if auto in ("NOTSET", "VALID", ""):
        return strides, dilations, list(zip(pads[:axes], pads[axes:], strict=True))
    around = []
    for n, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        reach = (size - 1) * dilation + 1
        total = (-(-n // stride) - 1) * stride + reach - n if stride > 1 else reach - 1
        total = total if (type(total) is int and total > 0) or type(total) is not int else 0
        low = total // 2 if auto == "SAME_UPPER" else total - total // 2
        around.append((low, total - low))
    return strides, dilations, around


def _padded(x: Tensor, around: Sequence[tuple[Any, Any]], value: float = 0.0) -> Tensor:
    flat = [n for both in reversed(around) for n in both]
    return x if all(type(n) is int and n == 0 for n in flat) else F.pad(x, tuple(flat), "constant", value)


@imports("Conv")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    kernel = weight.shape[2:]
    strides, dilations, around = _window(node, x, kernel)
    convolutions = {1: F.conv1d, 2: F.conv2d}
    if len(kernel) not in convolutions:
        raise ModelImportError(f"{node}: lucid convolves one or two axes; got {len(kernel)}")
    padding: Any = tuple([low for low, _ in around])
    if any(low is not high and not (type(low) is type(high) is int and low == high) for low, high in around):
        x, padding = _padded(x, around), 0
    return convolutions[len(kernel)](x, weight, bias, tuple(strides), padding, tuple(dilations), node.get("group", 1))


@imports("MaxPool")
def _(node: Operation, x: Tensor) -> Tensor:
    if node.outputs > 1:
        raise ModelImportError(f"{node}: lucid's pool has no output of indices")
    kernel = node.get("kernel_shape")
    strides, dilations, around = _window(node, x, kernel)
    around = _covering(node, x, kernel, strides, dilations, around)
    lowest = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
    x = _padded(x, around, lowest)
    for i, size in enumerate(kernel):
        x = window_max(x, size=size, stride=strides[i], dilation=dilations[i], axis=i + 2)
    return x


@imports("AveragePool", "LpPool")
def _(node: Operation, x: Tensor) -> Tensor:
    kernel = node.get("kernel_shape")
    strides, dilations, around = _window(node, x, kernel)
    wider = _covering(node, x, kernel, strides, dilations, around)
    power = node.get("p", 2) if node.op_type == "LpPool" else None
    terms = x if power is None else ops.pow(ops.abs(x), float(power))
    total = _window_sums(_padded(terms, wider), kernel, strides, dilations)
    if power is not None:
        return ops.pow(total, 1.0 / power)
    # What the padding of a ceiling adds is never counted; other padding is, if the node says so.
    ones = ops.ones(1, 1, *x.shape[2:], dtype=x.dtype)
    if node.get("count_include_pad", 0):
        ones = _padded(ones, around, 1.0)
        wider = [(0, high[1] - low[1]) for low, high in zip(around, wider, strict=True)]
    return total / _window_sums(_padded(ones, wider), kernel, strides, dilations)


def _covering(
    node: Operation,
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    around: list[tuple[Any, Any]],
) -> list[tuple[Any, Any]]:
    """Returns the padding with what a last, incomplete window needs, if the number of windows is rounded up."""
    if not node.get("ceil_mode", 0):
        return around
    wider = []
    for n, size, stride, dilation, (low, high) in zip(x.shape[2:], kernel, strides, dilations, around, strict=True):
        reach = (size - 1) * dilation + 1
        count = -(-(n + low + high - reach) // stride) + 1
        if (count - 1) * stride >= n + low:  # a window begins within the elements or the padding before them
            count = count - 1
        more = (count - 1) * stride + reach - n - low
        wider.append((low, more if more > high else high))
    return wider


def _window_sums(x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Tensor:
    for i, size in enumerate(kernel):
        x = ops.sum(windows(x, size=size, stride=strides[i], dilation=dilations[i], axis=i + 2), -1)
    return x


@imports("GlobalAveragePool")
def _(node: Operation, x: Tensor) -> Tensor:
    return ops.mean(x, tuple(range(2, x.ndim)), True)


@imports("GlobalMaxPool")
def _(node: Operation, x: Tensor) -> Tensor:
    return ops.amax(x, tuple(range(2, x.ndim)), True)


@imports("GlobalLpPool")
def _(node: Operation, x: Tensor) -> Tensor:
    p = float(node.get("p", 2))
    return ops.pow(ops.sum(ops.pow(ops.abs(x), p), tuple(range(2, x.ndim)), True), 1 / p)


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
    scale = weight / ops.sqrt(variance + node.get("epsilon", 1e-5))
    return x * _across(x, scale) + _across(x, bias - mean * scale)


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
    squares = ops.sum(
        windows(_padded(flat, [(low, size - 1 - low), (0, 0)]), size=size, stride=1, dilation=1, axis=2), -1
    )
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
