"""Rows: windows, pools and resampling."""

from __future__ import annotations

import math

import numpy as np

from tests.ops.case import Case, floats, ints, row


def along(x, axis, function):
    """Replaces each line of an axis by what a function of the line gives."""
    return np.apply_along_axis(function, axis, x)


def pooled(x, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, axis=-1, how="max"):
    stride = size if stride is None else stride

    def line(v):
        n, reach = len(v), dilation * (size - 1) + 1
        count = (n + 2 * padding - reach) / stride
        count = (math.ceil if ceil_mode else math.floor)(count) + 1
        found = []
        for t in range(count):
            start = t * stride - padding
            if start >= n:
                break
            places = range(start, start + reach, dilation)
            taken = [v[i] for i in places if 0 <= i < n]
            covered = [i for i in places if i < n + padding] if count_include_pad else taken
            found.append(max(taken) if how == "max" else sum(taken) / len(covered))
        return np.array(found)

    return along(x, axis, line)


def placed(x, size, stride, padding, dilation=1, return_indices=True):
    def first(v):
        starts = range(-padding, len(v) + padding - dilation * (size - 1), stride)
        windows = [[i for i in range(t, t + dilation * size, dilation) if 0 <= i < len(v)] for t in starts]
        return np.array([max(places, key=lambda i: (v[i], -i)) for places in windows])

    return pooled(x, size, stride, padding, dilation), along(x, -1, first)


def placed2d(x, size, return_indices):
    height, width = x.shape[-2] // size[0], x.shape[-1] // size[1]
    found = np.empty((*x.shape[:-2], height, width), np.int64)
    for place in np.ndindex(found.shape):
        rows = range(place[-2] * size[0], (place[-2] + 1) * size[0])
        columns = range(place[-1] * size[1], (place[-1] + 1) * size[1])
        best = max(((i, j) for i in rows for j in columns), key=lambda at: x[place[:-2]][at])
        found[place] = best[0] * x.shape[-1] + best[1]
    return pooled2d(x, size), found


def pooled2d(x, size, stride=None, padding=(0, 0), how="max", **options):
    stride = size if stride is None else stride
    for i in (1, 0):
        x = pooled(x, size[i], stride[i], padding[i], axis=x.ndim - 2 + i, how=how, **options)
    return x


def averaged(x, *args, **options):
    return pooled(x, *args, how="mean", **options)


def binned(x, count, how=np.mean, axis=-1):
    def line(v):
        n = len(v)
        return np.array([how(v[i * n // count : -(-(i + 1) * n // count)]) for i in range(count)])

    return along(x, axis, line)


def window_max(x, size, stride, dilation, axis=2):
    taps = np.lib.stride_tricks.sliding_window_view(x, dilation * (size - 1) + 1, axis=axis)[..., ::dilation]
    taps = taps[(slice(None),) * axis + (slice(None, None, stride),)]
    return taps.max(-1), taps.argmax(-1)


def windows2d(x, size, stride, dilation, axis):
    taps = np.lib.stride_tricks.sliding_window_view(x, dilation * (size - 1) + 1, axis=axis)[..., ::dilation]
    return np.moveaxis(taps[(slice(None),) * axis + (slice(None, None, stride),)], -1, axis)


def windows_sum2d(g, size, stride, dilation, length, axis):
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 2 :]))
    moved, parts = np.moveaxis(out, axis, 0), np.moveaxis(g, (axis, axis + 1), (0, 1))
    for k in range(size):
        for t in range(parts.shape[1]):
            moved[t * stride + k * dilation] += parts[k, t]
    return out


def conv2d(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    outputs, inner, height, width = weight.shape
    steps = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], (height, width), stride, dilation, strict=True)
    ]
    out = np.zeros((x.shape[0], outputs, *steps))
    for o in range(outputs):
        first = o // (outputs // groups) * inner
        for k in range(height):
            for m in range(width):
                rows = slice(k * dilation[0], k * dilation[0] + stride[0] * (steps[0] - 1) + 1, stride[0])
                columns = slice(m * dilation[1], m * dilation[1] + stride[1] * (steps[1] - 1) + 1, stride[1])
                part = x[:, first : first + inner, rows, columns]
                out[:, o] += np.einsum("nchw,c->nhw", part, weight[o, :, k, m])
    return out if bias is None else out + bias[:, None, None]


def nearest(x, size=None, scale_factor=None):
    size = math.floor(x.shape[-1] * scale_factor) if size is None else size
    return x[..., np.arange(size) * x.shape[-1] // size]


def linear(x, size, mode, align_corners=False):
    n = x.shape[-1]
    ends = np.linspace(0, n - 1, size) if align_corners else (np.arange(size) + 0.5) * n / size - 0.5
    return along(x, -1, lambda v: np.interp(ends, np.arange(n), v))


def cubic(x, size, mode, align_corners):
    for axis, count in ((-2, size[0]), (-1, size[1])):
        n = x.shape[axis]
        weights = np.zeros((count, n))
        for t, place in enumerate(np.linspace(0, n - 1, count)):
            for i in range(math.floor(place) - 1, math.floor(place) + 3):
                d = abs(place - i)
                near, far = (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3
                weights[t, min(max(i, 0), n - 1)] += near if d <= 1 else far
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ weights.T, -1, axis)
    return x


TIED = np.array([[[1.0, 3.0, 3.0, 0.0, 2.0, 2.0, 2.0, -1.0]]])

NAMES: list[Case] = [
    row("windows", floats(2, 3, 6, 4), ref=windows2d, size=2, stride=2, dilation=2, axis=2, torch=None, note="inside"),
    row(
        "windows_sum",
        floats(2, 3, 2, 3, 4),
        ref=windows_sum2d,
        size=2,
        stride=2,
        dilation=1,
        length=7,
        axis=2,
        torch=None,
        note="inside",
        dynamic={"input_0": {0: "batch", 4: "width"}},
    ),
    row("window_max", floats(2, 3, 7), ref=window_max, size=3, stride=2, dilation=1, torch=None),
    row("window_max", floats(2, 7, 3), ref=window_max, size=2, stride=1, dilation=2, axis=1, torch=None, note="inside"),
    row("window_max", ints(9, 2, 2, 6), ref=window_max, size=2, stride=2, dilation=1, torch=None, note="int"),
    row("max_pool1d", floats(2, 3, 6), 2, ref=pooled),
    row(
        "max_pool1d",
        TIED,
        3,
        ref=pooled,
        stride=2,
        padding=1,
        dilation=1,
        ceil_mode=True,
        note="ties",
        # Central differences say nothing about ties; PyTorch's gradient is compared.
        derivative=False,
    ),
    row("max_pool1d", floats(3, 8), 3, ref=pooled, stride=2, padding=1, dilation=2, note="dilated"),
    row("max_pool1d", floats(2, 3, 8), 3, ref=placed, stride=2, padding=1, return_indices=True, note="places"),
    row("max_pool2d", floats(2, 2, 4, 5), (2, 3), ref=pooled2d),
    row("max_pool2d", floats(2, 4, 6), (2, 3), ref=placed2d, return_indices=True, note="places"),
    row(
        "max_pool2d",
        floats(2, 5, 4),
        (2, 2),
        ref=pooled2d,
        stride=(2, 1),
        padding=(1, 0),
        ceil_mode=True,
        note="ragged",
    ),
    row("avg_pool1d", floats(2, 3, 6), 2, ref=averaged),
    row("avg_pool1d", floats(2, 3, 8), 3, ref=averaged, stride=2, padding=1, ceil_mode=True, note="ragged"),
    row("avg_pool1d", floats(3, 7), 3, ref=averaged, stride=2, padding=1, count_include_pad=False, note="inner"),
    row("avg_pool2d", floats(2, 2, 4, 5), (2, 3), ref=lambda x, s: pooled2d(x, s, how="mean")),
    row(
        "avg_pool2d",
        floats(2, 4, 5),
        (2, 2),
        ref=lambda x, s, divisor_override: pooled2d(x, s, how="mean") * 4 / divisor_override,
        divisor_override=3,
        note="divided",
    ),
    row("adaptive_avg_pool1d", floats(2, 3, 7), 3, ref=binned),
    row("adaptive_avg_pool1d", floats(3, 4), 1, ref=binned, note="one"),
    row("adaptive_avg_pool2d", floats(2, 5, 4), (2, 3), ref=lambda x, s: binned(binned(x, s[0], axis=-2), s[1])),
    row("adaptive_max_pool1d", floats(2, 3, 7), 3, ref=lambda x, n: binned(x, n, np.max)),
    row(
        "adaptive_max_pool1d",
        floats(2, 6),
        2,
        ref=lambda x, n, return_indices: (
            binned(x, n, np.max),
            binned(x, n, np.argmax) + np.array([0, 3]),
        ),
        return_indices=True,
        note="places",
    ),
    row("adaptive_max_pool1d", floats(3, 4), 1, ref=lambda x, n: binned(x, n, np.max), note="one"),
    row("interpolate", floats(2, 3, 4), 8, ref=nearest, dynamic={"input_0": {0: "batch", 1: "channels"}}),
    row("interpolate", floats(2, 3, 4), ref=nearest, scale_factor=2.0, note="scaled"),
    row("interpolate", floats(2, 3, 4), 7, ref=linear, mode="linear", note="linear"),
    row("interpolate", floats(2, 3, 4), 7, ref=linear, mode="linear", align_corners=True, note="corners"),
    row("interpolate", floats(2, 3, 7), 3, ref=lambda x, n, mode: binned(x, n), mode="area", note="area"),
    row(
        "interpolate",
        floats(1, 2, 3, 4),
        (5, 7),
        ref=lambda x, size, mode: np.swapaxes(linear(np.swapaxes(linear(x, 7, ""), 2, 3), 5, ""), 2, 3),
        mode="bilinear",
        note="image",
        dynamic={"input_0": {0: "batch", 1: "channels"}},
    ),
    row(
        "interpolate",
        floats(1, 2, 3, 4),
        (5, 7),
        ref=cubic,
        mode="bicubic",
        align_corners=True,
        note="cubic",
        dynamic={"input_0": {0: "batch", 1: "channels"}},
    ),
    row(
        "interpolate",
        floats(2, 3, 6),
        3,
        ref=lambda x, n, mode: x[..., 1::2],
        mode="nearest-exact",
        note="exact",
        dynamic={"input_0": {0: "batch", 1: "channels"}},
    ),
    row(
        "convolved",
        floats(2, 4, 6, 5),
        floats(6, 2, 3, 2),
        floats(6),
        ref=lambda x, w, b, stride, padding, dilation, groups: conv2d(x, w, b, stride, (1, 0), dilation, groups),
        stride=(2, 1),
        padding=((1, 1), (0, 0)),
        dilation=(1, 2),
        groups=2,
        torch=None,
        note="two_axes",
        dynamic={"input_0": {0: "batch", 2: "height", 3: "width"}},
    ),
    row(
        "conv2d",
        floats(2, 3, 4, 5),
        floats(2, 3, 2, 3),
        floats(2),
        ref=conv2d,
        dynamic={"input_0": {0: "batch", 2: "height", 3: "width"}},
    ),
    row(
        "conv2d",
        floats(4, 6, 5),
        floats(2, 2, 3, 2),
        ref=lambda x, w, **options: conv2d(x[None], w, **options)[0],
        stride=(2, 1),
        padding=(1, 1),
        dilation=(1, 2),
        groups=2,
        note="grouped",
        dynamic={"input_0": {1: "height", 2: "width"}},
    ),
]
