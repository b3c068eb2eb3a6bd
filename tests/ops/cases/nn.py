"""Rows: layers without state, attention, losses."""

from __future__ import annotations

from itertools import product

import numpy as np

from lucid.ops.counter import KEYS
from tests.ops.case import Case, fixed, floats, ints, positive, row
from tests.ops.cases.reduce import softmax


def layer_norm(x, weight=None, bias=None, axes=1, eps=1e-5):
    taken = tuple(range(-axes, 0))
    centre = x.mean(taken, keepdims=True)
    scale = 1 / np.sqrt(x.var(taken, keepdims=True) + eps)
    y = (x - centre) * scale
    return (y if weight is None else y * weight) + (0 if bias is None else bias), centre, scale


def batch_norm(x, mean, var, weight, bias, training):
    axes = (0, *range(2, x.ndim))
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return y * weight[:, None] + bias[:, None]


def normalized_slope(g, x, weight, centre, scale, axes):
    taken, leading = tuple(range(-axes, 0)), tuple(range(x.ndim - axes))
    s = (x - centre) * scale
    h = g if weight is None else g * weight
    gx = (h - h.mean(taken, keepdims=True) - s * (h * s).mean(taken, keepdims=True)) * scale
    return gx, (g * s).sum(leading), g.sum(leading)


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    outputs, inner, size = weight.shape
    before, after = padding if isinstance(padding, tuple) else (padding, padding)
    if padding == "same":
        reach = dilation * (size - 1)
        before, after = reach // 2, reach - reach // 2
    x = np.pad(x, ((0, 0), (0, 0), (before, after)))
    steps = (x.shape[2] - dilation * (size - 1) - 1) // stride + 1
    out = np.zeros((x.shape[0], outputs, steps))
    for n, o, t in product(range(x.shape[0]), range(outputs), range(steps)):
        first = o // (outputs // groups) * inner
        taps = x[n, first : first + inner, t * stride : t * stride + dilation * (size - 1) + 1 : dilation]
        out[n, o, t] = (taps * weight[o]).sum()
    return out if bias is None else out + bias[:, None]


def windows(x, size, stride, dilation):
    steps = (x.shape[2] - dilation * (size - 1) - 1) // stride + 1
    return np.stack([x[:, :, k * dilation :: stride][:, :, :steps] for k in range(size)], 2)


def windows_sum(g, size, stride, dilation, length):
    out = np.zeros((*g.shape[:2], length))
    for k, t in product(range(size), range(g.shape[3])):
        out[:, :, t * stride + k * dilation] += g[:, :, k, t]
    return out


WORD = 2**64 - 1


def squares(counter: int, key: int) -> int:
    """The generator as its author writes it, in Python's integers (B. Widynski, 2020)."""
    y = x = counter * key & WORD
    z = y + key & WORD
    for summand in (y, z, y):
        x = x * x + summand & WORD
        x = x >> 32 | x << 32 & WORD
    return (x * x + z & WORD) >> 32


def key_of(seed: int) -> int:
    high, low = (squares(seed & WORD, key) for key in KEYS)
    return high << 32 | low | 1


def keyed_uniform(seed, shape, draw, word, dtype):
    key, count = key_of(int(seed)), int(np.prod(shape))
    high, low = ([squares((draw << 35) + (2 * word + i << 32) + n, key) for n in range(count)] for i in (0, 1))
    bits = {"float16": [w >> 21 for w in high], "float32": [w >> 8 for w in high]}.get(dtype.name)
    if bits is not None:
        return (np.array(bits) * 2.0 ** -{"float16": 11, "float32": 24}[dtype.name]).astype(dtype).reshape(shape)
    return (np.array([(h << 21) + (w >> 11) for h, w in zip(high, low, strict=True)]) * 2.0**-53).reshape(shape)


def attention(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        mask = np.tril(np.ones(scores.shape[-2:], bool))
    if mask is not None and mask.dtype == bool:
        mask = np.where(mask, 0.0, -np.inf)
    return softmax(scores if mask is None else scores + mask, -1) @ v


NAMES: list[Case] = [
    row(
        "normalized",
        floats(2, 3, 4),
        floats(3, 4),
        floats(3, 4),
        ref=lambda x, w, b, axes, eps: layer_norm(x, w, b, axes, eps),
        axes=2,
        eps=1e-5,
        torch=None,
    ),
    row(
        "normalized",
        floats(2, 4),
        None,
        None,
        ref=lambda x, w, b, axes, eps: layer_norm(x),
        axes=1,
        eps=1e-5,
        torch=None,
        note="plain",
    ),
    row(
        "normalized_slope",
        floats(2, 3, 4),
        floats(2, 3, 4),
        floats(4),
        floats(2, 3, 1),
        positive(2, 3, 1),
        ref=normalized_slope,
        axes=1,
        torch=None,
    ),
    row(
        "normalized_slope",
        floats(2, 3, 4),
        floats(2, 3, 4),
        None,
        floats(2, 1, 1),
        positive(2, 1, 1),
        ref=normalized_slope,
        axes=2,
        torch=None,
        note="plain",
        dynamic={"input_0": {0: "batch"}, "input_1": {0: "batch"}, "input_2": {0: "batch"}, "input_3": {0: "batch"}},
    ),
    row(
        "channels_normalized",
        floats(4, 3, 2),
        floats(3),
        positive(3),
        floats(3),
        floats(3),
        ref=lambda x, m, v, w, b, eps: (x - m[:, None]) / np.sqrt(v[:, None] + eps) * w[:, None] + b[:, None],
        eps=0.1,
        torch=None,
    ),
    row(
        "channels_normalized",
        floats(4, 3),
        floats(3),
        positive(3),
        None,
        None,
        ref=lambda x, m, v, w, b, eps: (x - m) / np.sqrt(v + eps),
        eps=1e-5,
        torch=None,
        note="plain",
    ),
    row("batch_norm", floats(4, 3, 2), None, None, floats(3), floats(3), ref=batch_norm, training=True),
    row(
        "batch_norm",
        floats(4, 3),
        fixed(3),
        fixed(3),
        floats(3),
        ref=lambda x, m, v, w: (x - m) / np.sqrt(v + 1e-5) * w,
        note="running",
    ),
    row(
        "group_norm",
        floats(2, 4, 3),
        2,
        floats(4),
        floats(4),
        ref=lambda x, n, w, b: layer_norm(x.reshape(2, n, -1))[0].reshape(x.shape) * w[:, None] + b[:, None],
        dynamic={"input_0": {0: "batch", 2: "time"}},
    ),
    row("group_norm", floats(2, 4), 1, ref=lambda x, n: layer_norm(x)[0], note="plain"),
    row(
        "rms_norm",
        floats(2, 3, 4),
        (4,),
        floats(4),
        ref=lambda x, s, w: x / np.sqrt((x * x).mean(-1, keepdims=True)) * w,
    ),
    row(
        "rms_norm",
        floats(2, 3, 4),
        [3, 4],
        ref=lambda x, s, eps: x / np.sqrt((x * x).mean((1, 2), keepdims=True) + eps),
        eps=0.1,
        note="two_axes",
    ),
    row("prelu", floats(2, 3), floats(1), ref=lambda x, w: np.where(x > 0, x, w * x)),
    row("prelu", floats(2, 3, 4), floats(3), ref=lambda x, w: np.where(x > 0, x, w[:, None] * x), note="channels"),
    row(
        "prelu",
        np.array([np.inf, -np.inf]),
        floats(1),
        ref=lambda x, w: np.where(x > 0, x, w * x),
        note="infinite",
        derivative=False,
    ),
    row("dropout1d", floats(2, 3, 4), ref=lambda x, training: x, training=False),
    row("layer_norm", floats(2, 3, 4), (4,), floats(4), floats(4), ref=lambda x, s, w, b: layer_norm(x, w, b)[0]),
    row("layer_norm", floats(2, 3, 4), [3, 4], ref=lambda x, s: layer_norm(x, axes=2)[0], note="two_axes"),
    row(
        "layer_norm",
        floats(2, 3, 4),
        (4,),
        floats(4),
        ref=lambda x, s, w, eps: layer_norm(x, w, eps=eps)[0],
        eps=0.1,
        note="no_bias",
    ),
    row(
        "windows",
        floats(2, 3, 7),
        ref=windows,
        size=3,
        stride=2,
        dilation=2,
        torch=None,
        dynamic={"input_0": {0: "batch", 2: "time"}},
    ),
    row(
        "windows_sum",
        floats(2, 3, 3, 2),
        ref=windows_sum,
        size=3,
        stride=2,
        dilation=2,
        length=8,
        torch=None,
        dynamic=False,
    ),
    row(
        "windows_sum",
        floats(2, 3, 2, 4),
        ref=windows_sum,
        size=2,
        stride=1,
        dilation=1,
        length=5,
        torch=None,
        note="plain",
        dynamic=False,
    ),
    row(
        "convolved",
        floats(2, 4, 7),
        floats(6, 2, 3),
        floats(6),
        ref=lambda x, w, b, stride, padding, dilation, groups: conv1d(
            x, w, b, stride[0], padding[0], dilation[0], groups
        ),
        stride=(2,),
        padding=((1, 2),),
        dilation=(2,),
        groups=2,
        torch=None,
        dynamic={"input_0": {0: "batch", 2: "time"}},
    ),
    row(
        "conv1d", floats(2, 3, 6), floats(4, 3, 3), floats(4), ref=conv1d, dynamic={"input_0": {0: "batch", 2: "time"}}
    ),
    row(
        "conv1d",
        floats(2, 3, 6),
        floats(4, 3, 3),
        ref=conv1d,
        stride=2,
        padding=1,
        note="stride",
        dynamic={"input_0": {0: "batch", 2: "time"}},
    ),
    row(
        "conv1d",
        floats(2, 4, 9),
        floats(4, 2, 3),
        floats(4),
        ref=conv1d,
        padding="same",
        dilation=2,
        groups=2,
        note="same",
        dynamic={"input_0": {0: "batch", 2: "time"}},
    ),
    row(
        "conv1d",
        floats(2, 3, 5),
        floats(3, 1, 2),
        ref=conv1d,
        padding="same",
        groups=3,
        note="depthwise",
        dynamic={"input_0": {0: "batch", 2: "time"}},
    ),
    row(
        "conv1d",
        floats(3, 6),
        floats(4, 3, 1),
        ref=lambda x, w: conv1d(x[None], w)[0],
        note="no_batch",
        dynamic={"input_0": {1: "time"}},
    ),
    row(
        "conv1d",
        ints(9, 2, 3, 6),
        ints(9, 4, 3, 3),
        ref=lambda *xs, padding: conv1d(*xs, padding=padding).astype(int),
        padding=2,
        note="ints",
        dynamic=False,
    ),
    row(
        "conv1d",
        np.arange(12, dtype=np.int8).reshape(1, 2, 6),
        np.ones((1, 2, 3), np.int8),
        ref=lambda *xs, padding: conv1d(*xs, padding=padding).astype(np.int8),
        padding=2,
        note="int8",
        torch=None,
        dynamic=False,
    ),
    row("scaled_dot_product_attention", floats(2, 3, 4), floats(2, 5, 4), floats(2, 5, 2), ref=attention),
    row(
        "scaled_dot_product_attention",
        floats(2, 3, 4),
        floats(2, 5, 4),
        floats(2, 5, 2),
        ref=lambda q, k, v, is_causal: attention(q, k, v, causal=True),
        is_causal=True,
        note="causal",
    ),
    row(
        "scaled_dot_product_attention",
        floats(2, 2, 4),
        floats(2, 3, 4),
        floats(2, 3, 2),
        np.array([[True, False, True], [False, True, True]]),
        ref=attention,
        note="mask",
    ),
    row(
        "scaled_dot_product_attention",
        floats(2, 3, 4),
        floats(2, 5, 4),
        floats(2, 5, 2),
        floats(2, 3, 5),
        ref=attention,
        note="bias",
    ),
    row(
        "scaled_dot_product_attention",
        floats(2, 4),
        floats(3, 4),
        floats(3, 2),
        np.array([[True, False, True], [False, False, False]]),
        ref=lambda q, k, v, m: attention(q, k, v, np.where(m.any(1, keepdims=True), m, True)) * m.any(1, keepdims=True),
        note="nothing_to_see",
    ),
    row(
        "scaled_dot_product_attention",
        floats(2, 4, 3, 2),
        floats(2, 2, 5, 2),
        floats(2, 2, 5, 2),
        ref=lambda q, k, v, enable_gqa, scale: attention(q, k.repeat(2, 1), v.repeat(2, 1), scale=scale),
        enable_gqa=True,
        scale=0.3,
        note="groups",
    ),
    row("dropout", floats(2, 3), ref=lambda x, training: x, training=False),
    row(
        "dropout",
        floats(2, 3),
        ref=lambda x, p: np.zeros((2, 3)),
        p=1.0,
        note="everything",
        no_export="random",
        derivative=False,
    ),
    *[
        row(
            "keyed_uniform",
            np.array(-7),
            ref=keyed_uniform,
            shape=(2, 3),
            draw=5,
            word=1,
            dtype=np.dtype(dtype),
            note=dtype,
            torch=None,
            derivative=False,
            stays=False,
        )
        for dtype in ("float16", "float32", "float64")
    ],
]
