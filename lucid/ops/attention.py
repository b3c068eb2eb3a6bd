"""Scaled dot-product attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError
from ..tensor import Tensor, as_tensor
from ..tracer.mode import note
from ..tracer.op import function
from .creation import arange
from .elementwise import astype, gt, le, where
from .linalg import matmul
from .math import rsqrt
from .random import dropout
from .reduce import any, size, softmax
from .shape import transpose, unsqueeze
from .tile import repeat_interleave

__all__ = ["scaled_dot_product_attention"]


@function
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Computes ``softmax(query @ key' * scale + mask) @ value`` (torch.nn.functional.scaled_dot_product_attention).

    Letters: L queries, S keys, E features, V features of the values.

    Args:
        query: the queries.
        key: the keys that they are compared with.
        value: the values that the attention weights average.
        attn_mask: bools, True where a query may attend to a key; or numbers that are added to the scores. A query that
            may attend to no key has the result 0, and no gradient.
        dropout_p: the probability of dropping an attention weight.
        is_causal: let query i attend to keys up to i; not together with `attn_mask`.
        scale: the factor of the scores; ``1 / √E`` if not given.
        enable_gqa: repeat each head of `key` and `value`, axis -3, until there are as many as in `query`.

    Shape:
        query: (*, L, E); key: (*, S, E); value: (*, S, V); attn_mask: broadcasts to (*, L, S); the result: (*, L, V).

    Raises:
        ShapeError: the shapes do not fit. DtypeError: the mask is of integers. ValueError: both kinds of mask are
            given.

    Source: A. Vaswani et al. (2017), "Attention is all you need".

    >>> q, k, v = lucid.ones(1, 2), lucid.ones(3, 2), lucid.tensor([[1.0], [2.0], [3.0]])
    >>> lucid.nn.functional.scaled_dot_product_attention(q, k, v)
    tensor([[2.]])
    """
    name = "scaled_dot_product_attention"
    if is_causal and attn_mask is not None:
        raise ValueError(f"{name}: is_causal makes the mask itself; attn_mask must be None with it")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{name}: at least two axes are needed; got {query.shape}, {key.shape} and {value.shape}")
    for x in (query, key):
        note(x, *["batch", *[None] * (x.ndim - 3)][: x.ndim - 2], "time")
    if enable_gqa:
        key, value = (repeat_interleave(x, query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{name}: query and key must have as many features, key and value as many positions; got shapes "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    scores = matmul(query * (rsqrt(size(query, dim=-1)) if scale is None else scale), transpose(key, -1, -2))
    allowed = None
    if is_causal:
        allowed = le(arange(key.shape[-2]), unsqueeze(arange(query.shape[-2]), 1))
    elif attn_mask is not None:
        mask = as_tensor(attn_mask)
        if mask.dtype == np.bool_:
            allowed = mask
        elif mask.is_floating_point():
            allowed = gt(mask, float("-inf"))
            scores = scores + where(allowed, mask, 0.0)
        else:
            raise DtypeError(f"{name}: attn_mask must be of bools or floating-point numbers; got {mask.dtype}")
    if allowed is not None:
        # A finite minimum, so that a query without keys gets finite weights, which are then set to 0.
        scores = where(allowed, scores, float(np.finfo(scores.dtype).min))
    weights = softmax(scores, -1)
    if attn_mask is not None and allowed is not None:
        weights = weights * astype(any(allowed, -1, True), weights.dtype)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return matmul(weights, value)
