"""Imports of attention and of what goes with it. Letters: N batch, T queries, S keys, H heads, E width of a head."""

from __future__ import annotations

import math
from typing import Any

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...tensor import Tensor
from ..registry import Operation, imports
from .elementwise import dtype_of

__all__: list[str] = []


@imports("Attention")
def _(
    node: Operation,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    valid: Tensor | None = None,
) -> Any:
    if (past_key is None) != (past_value is None) or (valid is not None and past_key is not None):
        raise ModelImportError(f"{node}: it takes both past keys and past values, or the numbers of valid keys")
    flat = q.ndim == 3
    if flat:
        heads = (node.get("q_num_heads"), node.get("kv_num_heads"), node.get("kv_num_heads"))
        q, k, v = (_by_head(x, n) for x, n in zip((q, k, v), heads, strict=True))
    before: Any = 0
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k, v = ops.cat([past_key, k], 2), ops.cat([past_value, v], 2)
    present = k, v
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = (ops.repeat_interleave(x, groups, 1) for x in (k, v))
    bias = _bias(node, q, k, mask, before, valid)
    y, scores = _attended(node, q, k, v, bias)
    if flat:
        y = ops.transpose(y, 1, 2)
        y = ops.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))
    return (y, *present, scores)[: node.outputs]


def _by_head(x: Tensor, heads: int) -> Tensor:
    n, t, width = x.shape
    return ops.transpose(ops.reshape(x, (n, t, heads, width // heads)), 1, 2)


def _bias(node: Operation, q: Tensor, k: Tensor, mask: Tensor | None, before: Any, valid: Tensor | None) -> Any:
    """Returns what is added to the scores, -inf where a query does not see a key; None if each sees all."""
    queries, keys = q.shape[2], k.shape[2]
    places = ops.arange(keys)
    seen: list[Tensor] = []
    if valid is not None:
        valid = ops.reshape(valid, (-1, 1, 1, 1))
        seen.append(places < valid)
    left, right = node.get("left_window_size", -1), node.get("right_window_size", -1)
    if node.get("is_causal", 0) or left >= 0 or right >= 0:
        rows = ops.unsqueeze(ops.arange(queries), 1)
        rows = rows + before if valid is None else rows + (valid - queries)
        seen += [places <= rows] if node.get("is_causal", 0) else []
        seen += [places >= rows - left] if left >= 0 else []
        seen += [places <= rows + right] if right >= 0 else []
    if mask is not None:
        # A mask may end earlier than the keys; nothing sees those beyond.
        short = keys - mask.shape[-1]
        if type(short) is not int or short:
            mask = F.pad(mask, (0, short), "constant", False if mask.dtype.kind == "b" else -math.inf)
        if mask.dtype.kind == "b":
            seen.append(mask)
            mask = None
    if not seen:
        return mask
    both = seen[0]
    for more in seen[1:]:
        both = both & more
    return ops.where(both, ops.zeros((), dtype=q.dtype) if mask is None else mask, -math.inf).to(q.dtype)


def _attended(node: Operation, q: Tensor, k: Tensor, v: Tensor, bias: Any) -> tuple[Tensor, Tensor]:
    """Returns the output, and the scores at the stage that the node names."""
    scale = node.get("scale")
    root = math.sqrt(1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    stages = [ops.matmul(q * root, ops.transpose(k * root, 2, 3))]
    cap = node.get("softcap", 0.0)
    stages.append(ops.tanh(stages[0] / cap) * cap if cap else stages[0])
    stages.append(stages[1] if bias is None else stages[1] + bias)
    scores = stages[2]
    code = node.get("softmax_precision")
    scores = scores if code is None else scores.to(dtype_of(node, code))
    if bias is None:
        weights = ops.softmax(scores, -1)
    else:  # a query that sees no key gets zeros
        blind = ops.amax(bias, -1, True) == -math.inf
        weights = ops.where(blind, 0.0, ops.softmax(ops.where(blind, 0.0, scores), -1))
    stages.append(weights.to(q.dtype))
    return ops.matmul(stages[3], v), stages[node.get("qk_matmul_output_mode", 0)]


@imports("RotaryEmbedding")
def _(node: Operation, x: Tensor, cos: Tensor, sin: Tensor, places: Tensor | None = None) -> Tensor:
    flat = x.ndim == 3
    y = _by_head(x, node.get("num_heads")) if flat else x
    if places is not None:
        cos, sin = (row[places.to("int64")] for row in (cos, sin))
    cos, sin = (ops.unsqueeze(row, 1) for row in (cos, sin))  # (N, 1, T, E / 2)
    width = node.get("rotary_embedding_dim", 0) or y.shape[-1]
    turned, rest = y[..., :width], y[..., width:]
    by_pairs = bool(node.get("interleaved", 0))
    a, b = (turned[..., ::2], turned[..., 1::2]) if by_pairs else ops.split(turned, width // 2, -1)
    pair = [a * cos - b * sin, a * sin + b * cos]
    turned = ops.reshape(ops.stack(pair, -1), tuple(turned.shape)) if by_pairs else ops.cat(pair, -1)
    y = ops.cat([turned, rest], -1) if width != x.shape[-1] else turned
    return ops.reshape(ops.transpose(y, 1, 2), tuple(x.shape)) if flat else y


@imports("TensorScatter")
def _(node: Operation, past: Tensor, update: Tensor, start: Tensor | None = None) -> Tensor:
    """Writes a piece into a cache, at a place for each sequence."""
    axis = node.get("axis", -2) % past.ndim
    length, count = past.shape[axis], update.shape[axis]
    ahead = ops.unsqueeze(ops.arange(length), 0)
    ahead = ahead if start is None else ahead - ops.reshape(start.to("int64"), (-1, 1))
    if node.get("mode", "linear") == "circular":
        ahead = ops.remainder(ahead, length)
    ahead = ops.reshape(ahead, (-1, *[length if i == axis else 1 for i in range(1, past.ndim)]))
    ahead = ops.broadcast_to(ahead, tuple(past.shape))
    written = ops.gather(update, axis, ops.clamp(ahead, 0, count - 1))
    return ops.where((ahead >= 0) & (ahead < count), written, past)
