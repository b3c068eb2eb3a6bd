"""Imports of Fourier transforms, windows and filter banks. A complex number is a pair in the last axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...ops.conv import windows
from ...tensor import Tensor, around
from ..registry import Operation, imports
from ..values import as_tensor, constant, integers, scalar
from .elementwise import dtype_of

__all__: list[str] = []


@imports("DFT", plain=True)
def _(node: Operation, x: Any, length: Any = None, axis: Any = None) -> Tensor:
    x = as_tensor(x)
    at = node.get("axis", 1) if node.opset < 20 else -2 if axis is None else int(scalar(axis))
    at, inverse, half = at % x.ndim, bool(node.get("inverse", 0)), bool(node.get("onesided", 0))
    given = x.shape[at]
    if length is not None:
        (count,) = integers(length)
    else:
        count = 2 * (given - 1) if inverse and half else given
    y = ops.moveaxis(x, at, -2)
    y = _inverse_of_half(node, y, count) if inverse and half else _transformed(node, y, count, inverse, half)
    return ops.moveaxis(y, -2, at)


def _transformed(node: Operation, x: Tensor, count: Any, inverse: bool, half: bool) -> Tensor:
    """Transforms axis -2 of complex or real numbers, (*, L, 2) or (*, L, 1), cut or padded to a length."""
    n = _known(node, count)
    x = F.pad(x, (0, 0, 0, n - x.shape[-2]))
    out = n // 2 + 1 if half else n
    cos, sin = _circle(n, n, out, x.dtype)
    real = x[..., 0]
    a, b = ops.matmul(real, cos), ops.matmul(real, sin)
    if x.shape[-1] == 2:
        imaginary = x[..., 1]
        c, d = ops.matmul(imaginary, cos), ops.matmul(imaginary, sin)
        pair = [a - d, b + c] if inverse else [a + d, c - b]
    else:
        pair = [a, b] if inverse else [a, -b]
    y = ops.stack(pair, -1)
    return y / n if inverse else y


def _inverse_of_half(node: Operation, x: Tensor, count: Any) -> Tensor:
    """Returns the real signal (*, L, 1) whose transform begins with x, (*, L // 2 + 1, 2)."""
    n = _known(node, count)
    bins = n // 2 + 1
    x = F.pad(x, (0, 0, 0, bins - x.shape[-2]))
    # All bins but the first and, of an even length, the last one stand for two.
    weight = np.full((bins, 1), 2.0)
    weight[0] = 1.0
    if n % 2 == 0:
        weight[-1] = 1.0
    cos, sin = (wave * around(weight.astype(x.dtype)) for wave in _circle(n, bins, n, x.dtype))
    y = (ops.matmul(x[..., 0], cos) - ops.matmul(x[..., 1], sin)) / n
    return ops.unsqueeze(y, -1)


def _known(node: Operation, count: Any) -> int:
    if type(count) is not int:
        raise ModelImportError(f"{node}: the length of a transform must not depend on the sizes of inputs")
    return count


def _circle(n: int, rows: int, columns: int, dtype: Any) -> tuple[Tensor, Tensor]:
    """Returns cos and sin of 2 pi j k / n, j < rows, k < columns."""
    turns = np.outer(np.arange(rows), np.arange(columns)) % n * (2 * np.pi / n)
    return around(np.cos(turns).astype(dtype)), around(np.sin(turns).astype(dtype))


@imports("STFT", plain=True)
def _(node: Operation, signal: Any, step: Any, window: Any = None, length: Any = None) -> Tensor:
    x, window = as_tensor(signal), as_tensor(window)
    if length is not None:
        (n,) = integers(length)
    else:
        n = x.shape[1] if window is None else window.shape[0]
    n, (stride,) = _known(node, n), integers(step)
    frames = windows(x, size=n, stride=stride, dilation=1, axis=1)  # (N, n, frames, 1 or 2)
    frames = ops.transpose(frames, 1, 2)
    if window is not None:
        size = window.shape[0]
        # A window that is shorter than a frame stands in its middle.
        window = F.pad(window, ((n - size) // 2, n - size - (n - size) // 2)) if size != n else window
        frames = frames * ops.unsqueeze(window, 1)
    return _transformed(node, frames, n, False, bool(node.get("onesided", 1)))


_COSINES = {
    "HannWindow": (0.5, -0.5),
    "HammingWindow": (25 / 46, -21 / 46),
    "BlackmanWindow": (0.42, -0.5, 0.08),
}


@imports(*_COSINES, plain=True)
def _(node: Operation, size: Any) -> Any:
    (n,) = integers(size)
    dtype = dtype_of(node, node.get("output_datatype", 1))
    turns = ops.arange(n, dtype="float64") * (2 * math.pi / (n if node.get("periodic", 1) else n - 1))
    first, *more = _COSINES[node.op_type]
    y = first + sum((factor * ops.cos(turns * (k + 1)) for k, factor in enumerate(more)), turns * 0)
    y = y.to(dtype)
    return np.asarray(y._data) if constant(size) else y


@imports("MelWeightMatrix", plain=True)
def _(node: Operation, *given: Any) -> Any:
    bands, length, rate = (integers(x)[0] for x in given[:3])
    low, high = (float(scalar(x)) for x in given[3:])
    dtype = dtype_of(node, node.get("output_datatype", 1))
    matrix = _mel(bands, _known(node, length), rate, low, high).astype(dtype)
    return matrix if all(map(constant, given)) else around(matrix)


def _mel(bands: int, length: int, rate: int, low: float, high: float) -> Any:
    """Returns triangles of height 1 over the bins of a spectrum, (length // 2 + 1, bands)."""
    first, last = (2595 * math.log10(1 + hertz / 700) for hertz in (low, high))
    # The standard divides by the number of edges, not by that of the gaps, and rounds each edge to a bin.
    mels = np.arange(bands + 2) * ((last - first) / (bands + 2)) + first
    bins = [int(n) for n in (length + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate]
    matrix = np.zeros((length // 2 + 1, bands))
    for i, (left, centre, right) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        if left == centre:
            matrix[centre, i] = 1
        for j in range(left, centre + 1 if left < centre else left):
            matrix[j, i] = (j - left) / (centre - left)
        for j in range(centre, right):
            matrix[j, i] = (right - j) / (right - centre)
    return matrix
