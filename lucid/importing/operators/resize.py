"""Imports of resampling: each axis of the result is a weighted sum of elements along that axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...tensor import Tensor
from ..registry import Operation, imports
from ..values import Sizes, as_tensor, integers

__all__: list[str] = []


@imports("Resize", plain=True)
def _(node: Operation, x: Any, region: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    x = as_tensor(x)
    axes = [axis % x.ndim for axis in node.get("axes") or range(x.ndim)]
    mode = node.get("mode", "nearest")
    frame = node.get("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear", "cubic") or frame not in _FRAMES or node.get("antialias", 0):
        raise ModelImportError(
            f"{node}: lucid resizes by 'nearest', 'linear' and 'cubic', without antialiasing, in the frames "
            f"{', '.join(_FRAMES)}; got mode {mode!r} and {frame!r}" + (", antialias" if node.get("antialias") else "")
        )
    for axis, length, scale in zip(axes, *_lengths(node, x, axes, scales, sizes), strict=True):
        if length is x.shape[axis] or (type(length) is int and length == x.shape[axis] and scale == 1):
            continue
        x = _resampled(node, x, axis, length, scale)
    return x


def _lengths(node: Operation, x: Tensor, axes: Sequence[int], scales: Any, sizes: Any) -> tuple[list[Any], list[Any]]:
    """Returns the new length of each axis, and by how much it grows."""
    given = [x.shape[axis] for axis in axes]
    if sizes is not None and integers(sizes):
        wanted = integers(sizes)
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy == "stretch":
            return wanted, [want / n for want, n in zip(wanted, given, strict=True)]
        ratio = (min if policy == "not_larger" else max)([want / n for want, n in zip(wanted, given, strict=True)])
        return [math.floor(ratio * n + 0.5) for n in given], [ratio] * len(axes)
    if isinstance(scales, Sizes):
        factors = list(scales.items)
    else:
        factors = [float(factor) for factor in as_tensor(scales).tolist()]
    return [_scaled(n, factor) for n, factor in zip(given, factors, strict=True)], factors


def _scaled(n: Any, factor: Any) -> Any:
    """Returns the length of an axis that grows by a factor; a size stays a size."""
    if type(n) is int or not isinstance(factor, float):
        return math.floor(n * factor)
    ratio = Fraction(factor).limit_denominator(1 << 12)
    if abs(ratio - Fraction(factor)) > abs(factor) * 1e-7:
        return math.floor(n * factor)
    return n * ratio.numerator // ratio.denominator


_FRAMES = (
    "align_corners",
    "asymmetric",
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
)


def _places(node: Operation, n: Any, length: Any, scale: Any) -> Tensor:
    """Returns where the new elements are among the old ones, float32, as onnxruntime computes it."""
    at = ops.arange(length, dtype="float32")
    frame = node.get("coordinate_transformation_mode", "half_pixel")
    if frame == "asymmetric":
        return at / scale
    if frame == "align_corners":
        return at * 0.0 if type(length) is int and length == 1 else at * (n - 1) / (length - 1)
    if frame == "tf_half_pixel_for_nn":
        return (at + 0.5) / scale
    if frame == "pytorch_half_pixel" and type(length) is int and length == 1:
        return at * 0.0
    at = (at + 0.5) / scale - 0.5
    if frame == "half_pixel_symmetric":
        at = at + n / 2 * (1 - length / (n * scale))
    return at


def _resampled(node: Operation, x: Tensor, axis: int, length: Any, scale: Any) -> Tensor:
    n = x.shape[axis]
    at = _places(node, n, length, scale)
    if node.get("mode", "nearest") == "nearest":
        place = ops.clamp(_ROUNDED[node.get("nearest_mode", "round_prefer_floor")](at), 0, n - 1).to("int64")
        return ops.index_select(x, axis, place)
    if x.dtype.kind != "f":
        raise ModelImportError(f"{node}: lucid interpolates floats; got {x.dtype}")
    first = ops.floor(at)
    offset = at - first
    taps = _linear(offset) if node.get("mode") == "linear" else _cubic(offset, node.get("cubic_coeff_a", -0.75))
    outside = bool(node.get("exclude_outside", 0))
    if outside:
        taps = [(step, ops.where((first + step >= 0) & (first + step < n), w, 0.0)) for step, w in taps]
        total = sum((w for _, w in taps[1:]), taps[0][1])
        taps = [(step, w / total) for step, w in taps]
    behind = (1,) * (x.ndim - 1 - axis)
    y = None
    for step, weight in taps:
        place = ops.clamp(first + step, 0, n - 1).to("int64")
        part = ops.index_select(x, axis, place) * ops.reshape(weight, (-1, *behind)).to(x.dtype)
        y = part if y is None else y + part
    assert y is not None
    return y


_ROUNDED: dict[str, Callable[[Tensor], Tensor]] = {
    "round_prefer_floor": lambda at: ops.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: ops.floor(at + 0.5),
    "floor": ops.floor,
    "ceil": ops.ceil,
}


def _linear(offset: Tensor) -> list[tuple[int, Tensor]]:
    return [(0, 1 - offset), (1, offset)]


def _cubic(t: Tensor, a: float) -> list[tuple[int, Tensor]]:
    """Returns Keys' weights of four neighbours."""

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(-1, far(t + 1)), (0, near(t)), (1, near(1 - t)), (2, far(2 - t))]


@imports("CenterCropPad", plain=True)
def _(node: Operation, x: Any, shape: Any) -> Tensor:
    x = as_tensor(x)
    axes = [axis % x.ndim for axis in node.get("axes") or range(x.ndim)]
    around: list[tuple[Any, Any]] = [(0, 0)] * x.ndim
    for axis, want in zip(axes, integers(shape), strict=True):
        # Python's // rounds a missing number down; an odd element is cut or added at the end.
        more = want - x.shape[axis]
        low = more // 2 if more >= 0 else -(-more // 2)
        around[axis] = (low, more - low)
    return F.pad(x, tuple([n for both in reversed(around) for n in both]))
