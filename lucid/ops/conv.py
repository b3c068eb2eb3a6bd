"""Convolution over one axis or two, and the windows that it and pools see.

Letters: N batch, C channels, O output channels, G groups, K positions of the kernel, L input positions, T output
positions.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.mode import note
from ..tracer.op import Array, function
from .creation import arange
from .elementwise import eq, where
from .linalg import matmul
from .pad import pad_with
from .reduce import sum
from .shape import permute, reshape_to, squeeze, transpose, unsqueeze

__all__ = ["conv1d", "conv2d", "numbers", "window_max", "windows"]

Sizes = tuple[int, ...]


@op(view=True)
def windows(x: Array, /, size: int, stride: int, dilation: int, axis: int = 2) -> Array:
    """Extracts the windows under the kernel along an axis, as a view: (N, C, L) becomes (N, C, size, T)."""
    n, step = x.shape[axis], x.strides[axis]
    count = (n - dilation * (size - 1) - 1) // stride + 1
    if count < 1:
        raise ValueError(f"a window over {dilation * (size - 1) + 1} positions does not fit into {n}")
    shape = (*x.shape[:axis], size, count, *x.shape[axis + 1 :])
    strides = (*x.strides[:axis], step * dilation, step * stride, *x.strides[axis + 1 :])
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


@windows.vjp
def _(g: Tensor, size: int, stride: int, dilation: int, axis: int, shapes: Any) -> Any:
    return windows_sum(g, size=size, stride=stride, dilation=dilation, length=shapes[0][axis], axis=axis)


@op
def windows_sum(g: Array, /, size: int, stride: int, dilation: int, length: int, axis: int = 2) -> Array:
    """Adds windows up at their original positions, the adjoint of `windows`: (N, C, size, T) becomes (N, C, length)."""
    result = np.zeros((*g.shape[:axis], length, *g.shape[axis + 2 :]), g.dtype)
    ahead = (slice(None),) * axis
    reach = (g.shape[axis + 1] - 1) * stride + 1
    for k in range(size):
        result[(*ahead, slice(k * dilation, k * dilation + reach, stride))] += g[(*ahead, k)]
    return result


@windows_sum.vjp
def _(g: Tensor, size: int, stride: int, dilation: int, axis: int) -> Any:
    return windows(g, size=size, stride=stride, dilation=dilation, axis=axis)


@op
def window_max(x: Array, /, size: int, stride: int, dilation: int, axis: int = 2) -> Array:
    """Returns the largest element of each window along an axis, and its position in the window, the first of several.

    NaN counts as the largest.
    """
    taps = np.moveaxis(windows.forward(x, size, stride, dilation, axis), axis, 0)
    largest = taps[0].copy()
    place = np.zeros(largest.shape, np.int64)
    with np.errstate(invalid="ignore"):
        for k in range(1, size):
            better = taps[k] > largest
            if x.dtype.kind == "f":
                better |= taps[k] != taps[k]
            np.copyto(largest, taps[k], where=better)
            np.copyto(place, k, where=better)
    return largest, place


@window_max.vjp
def _(g: Any, out: Any, size: int, stride: int, dilation: int, axis: int, shapes: Any) -> Any:
    place = out[1]
    position = reshape_to(arange(size), shape=(size, *[1] * (place.ndim - axis)))
    spread = where(eq(unsqueeze(place, axis), position), unsqueeze(g[0], axis), 0.0)
    return windows_sum(spread, size=size, stride=stride, dilation=dilation, length=shapes[0][axis], axis=axis)


@op
def convolved(
    x: Array, weight: Array, bias: Array, /, stride: Sizes, padding: tuple[Sizes, ...], dilation: Sizes, groups: int
) -> Array:
    """Computes the convolution (ONNX Conv): x (N, C, *L), weight (O, C / G, *K), bias (O,) or None; (N, O, *T)."""
    if any(pair != (0, 0) for pair in padding):
        before, after = zip(*padding, strict=True)
        x = pad_with.forward(x, (0, 0, *before), (0, 0, *after))
    batch = x.shape[0]
    outputs, inner, *size = weight.shape
    for i, (k, step, gap) in enumerate(zip(size, stride, dilation, strict=True)):
        x = windows.forward(x, k, step, gap, 2 + 2 * i)
    taps = x if len(size) == 1 else x.transpose(0, 1, *range(2, x.ndim, 2), *range(3, x.ndim, 2))
    steps = taps.shape[2 + len(size) :]
    rows = taps.reshape(batch, groups, inner * math.prod(size), math.prod(steps))
    out = np.matmul(weight.reshape(groups, outputs // groups, -1), rows).reshape(batch, outputs, *steps)
    return out if bias is None else out + bias.reshape(-1, *[1] * len(steps))


@convolved.vjp
def _(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    needs: tuple[bool, ...],
    stride: Sizes,
    padding: tuple[Sizes, ...],
    dilation: Sizes,
    groups: int,
) -> Any:
    before, after = zip(*padding, strict=True)
    padded = any(pair != (0, 0) for pair in padding)
    batch, channels, *lengths = x.shape
    outputs, inner, *size = weight.shape
    steps, axes = g.shape[2:], range(len(size))
    width = inner * math.prod(size)
    # The kernel's positions come first in rows, and next to the positions along their axis in windows.
    paired = (0, 1, *[2 + i + d for i in axes for d in (0, len(size))])
    apart = (0, 1, *[2 + 2 * i for i in axes], *[3 + 2 * i for i in axes])
    # The number of positions is inferred from the other sizes: with a stride, no formula gives it at other lengths.
    grouped = reshape_to(g, shape=(batch, groups, outputs // groups, -1))
    gx = gw = gb = None
    if needs[0]:
        kernel = reshape_to(weight, shape=(groups, outputs // groups, width))
        rows = matmul(transpose(kernel, 1, 2), grouped)
        if len(size) == 1:
            gx = reshape_to(rows, shape=(batch, channels, *size, -1))
        else:
            gx = permute(reshape_to(rows, shape=(batch, channels, *size, *steps)), paired)
        for i in reversed(axes):
            whole = lengths[i] + before[i] + after[i]
            gx = windows_sum(gx, size=size[i], stride=stride[i], dilation=dilation[i], length=whole, axis=2 + 2 * i)
        if padded:
            gx = pad_with(gx, (0, 0, *[-n for n in before]), (0, 0, *[-n for n in after]))
    if needs[1]:
        taps = pad_with(x, (0, 0, *before), (0, 0, *after)) if padded else x
        for i in axes:
            taps = windows(taps, size=size[i], stride=stride[i], dilation=dilation[i], axis=2 + 2 * i)
        taps = taps if len(size) == 1 else permute(taps, apart)
        rows = reshape_to(taps, shape=(batch, groups, width, -1))
        # Batch and positions are merged into one axis, so that one product sums over both.
        left = reshape_to(permute(grouped, (1, 2, 0, 3)), shape=(groups, outputs // groups, -1))
        right = reshape_to(permute(rows, (1, 0, 3, 2)), shape=(groups, -1, width))
        gw = reshape_to(matmul(left, right), shape=(outputs, inner, *size))
    if needs[2]:
        gb = sum(g, (0, *[2 + i for i in axes]))
    return gx, gw, gb


@function
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | Literal["valid", "same"] = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Computes ``out[n, o, t] = bias[o] + Σ_(c, k) weight[o, c, k] * input[n, c, t * stride + k * dilation]``
    (torch.nn.functional.conv1d).

    Args:
        input: the sequences.
        weight: the kernels.
        bias: a term for each output channel.
        stride: how far the kernel moves from one output to the next.
        padding: how many zeros are added at both ends; "same" for as many outputs as inputs, "valid" for none.
        dilation: how far apart the positions of the kernel are.
        groups: the number of groups of channels, each of which is convolved separately.

    Shape:
        input: (N, C, L) or (C, L); weight: (O, C / groups, K); bias: (O,); the result: (N, O, T) or (O, T), with
        T = (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1.

    Raises:
        ShapeError: the shapes do not fit, or the kernel is longer than the input. ValueError: an option is out of
            range.

    >>> lucid.nn.functional.conv1d(lucid.tensor([[[1.0, 2.0, 3.0]]]), lucid.tensor([[[1.0, -1.0]]]))
    tensor([[[-1., -1.]]])
    """
    return _convolution("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@function
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | Literal["valid", "same"] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """Computes a convolution over two axes, such as time and frequency (torch.nn.functional.conv2d).

    The options are those of `conv1d`; a number counts for both axes.

    Shape:
        input: (N, C, H, W) or (C, H, W); weight: (O, C / groups, K, K'); bias: (O,); the result: (N, O, T, T') or
        (O, T, T'), where T follows from H, and T' from W, as in `conv1d`.

    Raises:
        ShapeError: the shapes do not fit, or the kernel is longer than the input. ValueError: an option is out of
            range.

    >>> lucid.nn.functional.conv2d(lucid.ones(1, 3, 3), lucid.ones(1, 1, 2, 2))
    tensor([[[4., 4.],
             [4., 4.]]])
    """
    return _convolution("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


_LENGTHS = {1: "L", 2: "H, W"}
_KERNELS = {1: "K", 2: "K, K'"}
_AXES = {1: ("time",), 2: (None, None)}


def _convolution(
    name: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    stride, dilation = (numbers(name, axes, "stride", stride), numbers(name, axes, "dilation", dilation))
    if input.ndim not in (axes + 1, axes + 2) or weight.ndim != axes + 2:
        raise ShapeError(
            f"{name}: expected an input (N, C, {_LENGTHS[axes]}) or (C, {_LENGTHS[axes]}) and a weight (O, C / groups, "
            f"{_KERNELS[axes]}); got {input.shape} and {weight.shape}"
        )
    outputs, inner, *size = weight.shape
    channels, *lengths = input.shape[-1 - axes :]
    if groups < 1 or channels != inner * groups or outputs % groups:
        raise ShapeError(
            f"{name}: weight {weight.shape} with groups={groups} is for {inner * groups} channels, and its outputs "
            f"must be a multiple of groups; got an input of shape {input.shape}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ShapeError(f"{name}: bias must have the shape ({outputs},); got {bias.shape}")
    reach = [gap * (k - 1) for gap, k in zip(dilation, size, strict=True)]
    added = _padding(name, axes, padding, stride, reach)
    for n, (before, after), far in zip(lengths, added, reach, strict=True):
        if n + before + after <= far:
            raise ShapeError(
                f"{name}: the kernel reaches over {far + 1} positions, but there are {n} and {before + after} of "
                "padding"
            )
    note(input, *("batch", None, *_AXES[axes])[-input.ndim :])
    x = input if input.ndim == axes + 2 else unsqueeze(input, 0)
    out = convolved(x, weight, bias, stride=stride, padding=added, dilation=dilation, groups=groups)
    return out if input.ndim == axes + 2 else squeeze(out, 0)


def _padding(name: str, axes: int, padding: Any, stride: Sizes, reach: list[int]) -> tuple[Sizes, ...]:
    """Returns how many zeros are added before and after each axis."""
    if padding == "same":
        if any(step != 1 for step in stride):
            raise ValueError(f"{name}: padding='same' is for stride 1; got {stride if axes > 1 else stride[0]}")
        return tuple([(far // 2, far - far // 2) for far in reach])
    if padding == "valid":
        return ((0, 0),) * axes
    if isinstance(padding, str):
        raise ValueError(f"{name}: padding must be a number, 'valid' or 'same'; got {padding!r}")
    return tuple([(n, n) for n in numbers(name, axes, "padding", padding, least=0)])


def numbers(name: str, axes: int, option: str, given: Any, least: int = 1) -> Sizes:
    """Returns one number for each axis; a single number counts for all of them."""
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    values = values * axes if len(values) == 1 else values
    for n in values:
        if not isinstance(n, int) or isinstance(n, bool) or n < least or len(values) != axes:
            several = f", or {axes} of them" if axes > 1 else ""
            raise ValueError(f"{name}: {option} must be an int of at least {least}{several}; got {given!r}")
    return values
