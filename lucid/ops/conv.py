"""One-dimensional convolution.

Letters: N batch, C channels, O output channels, G groups, K positions of the kernel, L input positions, T output
positions.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.mode import note
from ..tracer.op import Array, function
from .linalg import matmul
from .pad import pad_with
from .reduce import sum
from .shape import permute, reshape_to, squeeze, transpose, unsqueeze

__all__ = ["conv1d"]


@op(view=True)
def windows(x: Array, /, size: int, stride: int, dilation: int) -> Array:
    """Extracts the windows under the kernel, as a view: (N, C, L) becomes (N, C, size, T)."""
    view = np.lib.stride_tricks.sliding_window_view(x, dilation * (size - 1) + 1, axis=2)
    return view[:, :, ::stride, ::dilation].transpose(0, 1, 3, 2)


@windows.vjp
def _(g: Tensor, size: int, stride: int, dilation: int, shapes: Any) -> Any:
    return windows_sum(g, size=size, stride=stride, dilation=dilation, length=shapes[0][2])


@op
def windows_sum(g: Array, /, size: int, stride: int, dilation: int, length: int) -> Array:
    """Adds windows up at their original positions, the adjoint of `windows`: (N, C, size, T) becomes (N, C, length)."""
    result = np.zeros((*g.shape[:2], length), g.dtype)
    reach = (g.shape[3] - 1) * stride + 1
    for k in range(size):
        result[:, :, k * dilation : k * dilation + reach : stride] += g[:, :, k]
    return result


@windows_sum.vjp
def _(g: Tensor, size: int, stride: int, dilation: int) -> Any:
    return windows(g, size=size, stride=stride, dilation=dilation)


@op
def convolved(
    x: Array, weight: Array, bias: Array, /, stride: int, padding: tuple[int, int], dilation: int, groups: int
) -> Array:
    """Computes the convolution (ONNX Conv): x (N, C, L), weight (O, C / G, K), bias (O,) or None; result (N, O, T)."""
    if padding != (0, 0):
        x = pad_with.forward(x, (0, 0, padding[0]), (0, 0, padding[1]))
    batch = x.shape[0]
    outputs, inner, size = weight.shape
    taps = windows.forward(x, size, stride, dilation)
    steps = taps.shape[3]
    rows = taps.reshape(batch, groups, inner * size, steps)
    out = np.matmul(weight.reshape(groups, outputs // groups, inner * size), rows).reshape(batch, outputs, steps)
    return out if bias is None else out + bias[:, None]


@convolved.vjp
def _(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    needs: tuple[bool, ...],
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    groups: int,
) -> Any:
    before, after = padding
    batch, channels, length = x.shape
    outputs, inner, size = weight.shape
    # The number of positions is inferred from the other sizes: with a stride, no formula gives it at other lengths.
    grouped = reshape_to(g, shape=(batch, groups, outputs // groups, -1))
    gx = gw = gb = None
    if needs[0]:
        kernel = reshape_to(weight, shape=(groups, outputs // groups, inner * size))
        taps = reshape_to(matmul(transpose(kernel, 1, 2), grouped), shape=(batch, channels, size, -1))
        gx = windows_sum(taps, size=size, stride=stride, dilation=dilation, length=length + before + after)
        if padding != (0, 0):
            gx = pad_with(gx, (0, 0, -before), (0, 0, -after))
    if needs[1]:
        if padding != (0, 0):
            x = pad_with(x, (0, 0, before), (0, 0, after))
        taps = windows(x, size=size, stride=stride, dilation=dilation)
        rows = reshape_to(taps, shape=(batch, groups, inner * size, -1))
        # Batch and positions are merged into one axis, so that one product sums over both.
        left = reshape_to(permute(grouped, (1, 2, 0, 3)), shape=(groups, outputs // groups, -1))
        right = reshape_to(permute(rows, (1, 0, 3, 2)), shape=(groups, -1, inner * size))
        gw = reshape_to(matmul(left, right), shape=(outputs, inner, size))
    if needs[2]:
        gb = sum(g, (0, 2))
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
    stride, dilation = _single("stride", stride), _single("dilation", dilation)
    if input.ndim not in (2, 3) or weight.ndim != 3:
        raise ShapeError(
            f"conv1d: expected an input (N, C, L) or (C, L) and a weight (O, C / groups, K); got {input.shape} and "
            f"{weight.shape}"
        )
    outputs, inner, size = weight.shape
    channels, length = input.shape[-2:]
    if groups < 1 or channels != inner * groups or outputs % groups:
        raise ShapeError(
            f"conv1d: weight {weight.shape} with groups={groups} is for {inner * groups} channels, and its outputs "
            f"must be a multiple of groups; got an input of shape {input.shape}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ShapeError(f"conv1d: bias must have the shape ({outputs},); got {bias.shape}")
    reach = dilation * (size - 1)
    if padding == "same":
        if stride != 1:
            raise ValueError(f"conv1d: padding='same' is for stride 1; got {stride}")
        before, after = reach // 2, reach - reach // 2
    elif padding == "valid":
        before = after = 0
    elif isinstance(padding, str):
        raise ValueError(f"conv1d: padding must be a number, 'valid' or 'same'; got {padding!r}")
    else:
        before = after = _single("padding", padding, least=0)
    if length + before + after <= reach:
        raise ShapeError(
            f"conv1d: the kernel reaches over {reach + 1} positions, but there are {length} and {before + after} of "
            "padding"
        )
    note(input, *("batch", None, "time")[-input.ndim :])
    x = input if input.ndim == 3 else unsqueeze(input, 0)
    out = convolved(x, weight, bias, stride=stride, padding=(before, after), dilation=dilation, groups=groups)
    return out if input.ndim == 3 else squeeze(out, 0)


def _single(name: str, given: Any, least: int = 1) -> int:
    value = given[0] if isinstance(given, (tuple, list)) and len(given) == 1 else given
    if not isinstance(value, int) or value < least:
        raise ValueError(f"conv1d: {name} must be an int of at least {least}; got {given!r}")
    return value
