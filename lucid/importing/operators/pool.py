"""Imports of pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...ops.conv import window_max, windows
from ...tensor import Tensor
from ...tracer.extent import greater, lesser
from ..registry import Operation, imports
from ..values import as_tensor, integers
from .convolution import padded, window_of

__all__ = ["window_sums"]


@imports("MaxPool")
def _(node: Operation, x: Tensor) -> Any:
    kernel = node.get("kernel_shape")
    strides, dilations, around = window_of(node, x, kernel)
    around = _covering(node, x, kernel, strides, dilations, around)
    lowest = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
    place = None if node.outputs == 1 else padded(_places(x, bool(node.get("storage_order", 0))), around)
    x = padded(x, around, lowest)
    # The last axis first: of equal elements the first in the order of memory counts.
    for i in reversed(range(len(kernel))):
        axis = i + 2
        x, at = window_max(x, size=kernel[i], stride=strides[i], dilation=dilations[i], axis=axis)
        if place is not None:
            starts = ops.reshape(ops.arange(x.shape[axis]) * strides[i], (-1,) + (1,) * (x.ndim - 1 - axis))
            place = ops.gather(place, axis, starts + at * dilations[i])
    return x if place is None else (x, place)


def _places(x: Tensor, by_column: bool) -> Tensor:
    """Returns the place of each element in the order of memory, or with the axes behind the channels turned around."""
    shape = (*x.shape[:2], *x.shape[:1:-1]) if by_column else tuple(x.shape)
    places = ops.reshape(ops.arange(math.prod(shape)), shape)
    return ops.permute(places, (0, 1, *range(x.ndim - 1, 1, -1))) if by_column else places


@imports("MaxUnpool", plain=True)
def _(node: Operation, x: Any, place: Any, shape: Any = None) -> Tensor:
    x, place = as_tensor(x), as_tensor(place)
    kernel = node.get("kernel_shape")
    strides, _, around = window_of(node, x, kernel)
    sizes = [
        (n - 1) * stride - low - high + size
        for n, stride, size, (low, high) in zip(x.shape[2:], strides, kernel, around, strict=True)
    ]
    y = ops.zeros(math.prod(x.shape[:2]) * math.prod(sizes), dtype=x.dtype)
    y = ops.scatter(y, 0, ops.reshape(place, (-1,)), ops.reshape(x, (-1,)))
    y = ops.reshape(y, (*x.shape[:2], *sizes))
    if shape is None:
        return y
    return padded(y, [(0, want - n) for n, want in zip(sizes, integers(shape)[2:], strict=True)])


@imports("AveragePool", "LpPool")
def _(node: Operation, x: Tensor) -> Tensor:
    kernel = node.get("kernel_shape")
    strides, dilations, around = window_of(node, x, kernel)
    wider = _covering(node, x, kernel, strides, dilations, around)
    power = node.get("p", 2) if node.op_type == "LpPool" else None
    terms = x if power is None else ops.pow(ops.abs(x), float(power))
    total = window_sums(padded(terms, wider), kernel, strides, dilations)
    if power is not None:
        return ops.pow(total, 1.0 / power)
    # What the padding of a ceiling adds is never counted; other padding is, if the node says so.
    ones = ops.ones(1, 1, *x.shape[2:], dtype=x.dtype)
    if node.get("count_include_pad", 0):
        ones = padded(ones, around, 1.0)
        wider = [(0, high[1] - low[1]) for low, high in zip(around, wider, strict=True)]
    return total / window_sums(padded(ones, wider), kernel, strides, dilations)


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
        # Only windows that begin before the padding behind the elements count.
        count = lesser(count, (n + low - 1) // stride + 1)
        wider.append((low, greater((count - 1) * stride + reach - n - low, high)))
    return wider


def window_sums(x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Tensor:
    """Adds up the elements of each window over the axes behind the channels."""
    for i, size in enumerate(kernel):
        x = ops.sum(windows(x, size=size, stride=strides[i], dilation=dilations[i], axis=i + 2), i + 2)
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
