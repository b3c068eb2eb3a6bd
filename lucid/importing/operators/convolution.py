"""Imports of convolutions. Letters: N batch, C channels, O output channels, G groups, K positions of the kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...ops.conv import windows, windows_sum
from ...tensor import Tensor
from ...tracer.extent import greater
from ..registry import Operation, imports
from ..values import as_tensor, integers

__all__ = ["convolved", "padded", "window_of"]


def window_of(
    node: Operation, x: Tensor, kernel: Sequence[int]
) -> tuple[list[int], list[int], list[tuple[Any, Any]]]:  # fmt: skip
    """Returns strides, dilations and the padding of each axis of a convolution or a pool."""
    axes = len(kernel)
    strides = list(node.get("strides") or [1] * axes)
    dilations = list(node.get("dilations") or [1] * axes)
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID", ""):
        pads = [0] * 2 * axes if auto == "VALID" else list(node.get("pads") or [0] * 2 * axes)
        return strides, dilations, list(zip(pads[:axes], pads[axes:], strict=True))
    around = []
    for n, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        reach = (size - 1) * dilation + 1
        total = greater((-(-n // stride) - 1) * stride + reach - n, 0)
        low = total // 2 if auto == "SAME_UPPER" else total - total // 2
        around.append((low, total - low))
    return strides, dilations, around


def padded(x: Tensor, around: Sequence[tuple[Any, Any]], value: float = 0.0) -> Tensor:
    """Pads the last axes of x; a negative number takes elements away."""
    flat = [n for both in reversed(around) for n in both]
    return x if all(type(n) is int and n == 0 for n in flat) else F.pad(x, tuple(flat), "constant", value)


@imports("Conv")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return convolved(node, x, weight, bias)


def convolved(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolves x as the attributes of a node say."""
    kernel = weight.shape[2:]
    strides, dilations, around = window_of(node, x, kernel)
    groups = node.get("group", 1)
    one_op: Any = {1: F.conv1d, 2: F.conv2d}.get(len(kernel))
    if one_op is None:
        return _by_windows(padded(x, around), weight, bias, strides, dilations, groups)
    padding: Any = tuple([low for low, _ in around])
    if any(low is not high and not (type(low) is type(high) is int and low == high) for low, high in around):
        x, padding = padded(x, around), 0
    return one_op(x, weight, bias, tuple(strides), padding, tuple(dilations), groups)


def _by_windows(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolves any number of axes: one product of the kernel with all windows."""
    kernel = weight.shape[2:]
    axes = range(len(kernel))
    for i in axes:  # (N, C, K, T, K, T, ...)
        x = windows(x, size=kernel[i], stride=strides[i], dilation=dilations[i], axis=2 + 2 * i)
    sizes = [x.shape[3 + 2 * i] for i in axes]
    x = ops.permute(x, (0, 1, *[2 + 2 * i for i in axes], *[3 + 2 * i for i in axes]))
    x = ops.reshape(x, (x.shape[0], groups, weight.shape[1] * math.prod(kernel), math.prod(sizes)))
    y = ops.matmul(ops.reshape(weight, (groups, weight.shape[0] // groups, -1)), x)
    y = ops.reshape(y, (y.shape[0], weight.shape[0], *sizes))
    return y if bias is None else y + ops.reshape(bias, (-1,) + (1,) * len(kernel))


@imports("ConvTranspose")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    kernel = weight.shape[2:]
    axes = range(len(kernel))
    groups, channels = node.get("group", 1), weight.shape[1]
    sizes = x.shape[2:]
    grouped = ops.reshape(x, (x.shape[0], groups, weight.shape[0] // groups, math.prod(sizes)))
    rows = ops.reshape(weight, (groups, weight.shape[0] // groups, channels * math.prod(kernel)))
    y = ops.matmul(ops.transpose(rows, 1, 2), grouped)
    y = ops.reshape(y, (x.shape[0], groups * channels, *kernel, *sizes))
    strides = list(node.get("strides") or [1] * len(kernel))
    dilations = list(node.get("dilations") or [1] * len(kernel))
    lengths = [(sizes[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in axes]
    y = _added_up(y, kernel, strides, dilations, lengths)
    y = padded(y, _cut(node, sizes, strides, lengths))
    return y if bias is None else y + ops.reshape(bias, (-1,) + (1,) * len(kernel))


def _added_up(
    y: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], lengths: Sequence[Any]
) -> Tensor:
    """Adds windows up at their places: (N, C, K, K, ..., T, T, ...) becomes (N, C, lengths)."""
    axes = range(len(kernel))
    y = ops.permute(y, (0, 1, *[2 + i + len(kernel) * part for i in axes for part in (0, 1)]))
    for i in axes:
        y = windows_sum(y, size=kernel[i], stride=strides[i], dilation=dilations[i], length=lengths[i], axis=2 + i)
    return y


def _cut(
    node: Operation, sizes: Sequence[Any], strides: Sequence[int], lengths: Sequence[Any]
) -> list[tuple[Any, Any]]:  # fmt: skip
    """Returns by how much the ends of a transposed convolution grow; mostly negative numbers, the padding."""
    axes = range(len(sizes))
    more = node.get("output_padding") or [0] * len(sizes)
    auto = node.get("auto_pad", "NOTSET")
    wanted = node.get("output_shape")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * stride for n, stride in zip(sizes, strides, strict=True)]
    if wanted is None:
        pads = node.get("pads") if auto in ("NOTSET", "") else None
        pads = pads or [0] * 2 * len(sizes)
        return [(-pads[i], more[i] - pads[i + len(sizes)]) for i in axes]
    around = []
    for i, n in enumerate(wanted[-len(sizes) :]):
        total = lengths[i] + more[i] - n
        split = greater(total, 0)
        low = split // 2 if auto == "SAME_UPPER" else split - split // 2
        around.append((-low, more[i] - (total - low)))
    return around


@imports("Col2Im", plain=True)
def _(node: Operation, x: Any, image: Any, block: Any) -> Tensor:
    x = as_tensor(x)
    sizes, kernel = integers(image), integers(block)
    count = len(kernel)
    strides = list(node.get("strides") or [1] * count)
    dilations = list(node.get("dilations") or [1] * count)
    pads = list(node.get("pads") or [0] * 2 * count)
    lengths = [sizes[i] + pads[i] + pads[i + count] for i in range(count)]
    places = [(lengths[i] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(count)]
    y = ops.reshape(x, (x.shape[0], x.shape[1] // math.prod(kernel), *kernel, *places))
    y = _added_up(y, kernel, strides, dilations, lengths)
    return padded(y, [(-pads[i], -pads[i + count]) for i in range(count)])


@imports("CausalConvWithState")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None = None, past: Tensor | None = None) -> Any:
    reach = weight.shape[2] - 1
    whole = F.pad(x, (reach, 0)) if past is None else ops.cat([past, x], 2)
    y = F.conv1d(whole, weight, bias, groups=weight.shape[0])
    activation = node.get("activation", "none")
    if activation not in ("none", "silu", "swish"):
        raise ModelImportError(f"{node}: activation must be 'none', 'silu' or 'swish'; got {activation!r}")
    y = y if activation == "none" else F.silu(y)
    return (y, ops.narrow(whole, 2, x.shape[2], reach))[: node.outputs]
