"""MultiheadAttention: scaled dot-product attention in several heads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..devices import require_cpu
from ..errors import DtypeError, ShapeError
from ..ops.attention import scaled_dot_product_attention
from ..ops.creation import arange, zeros
from ..ops.elementwise import astype, gt, le, where
from ..ops.linalg import linear, matmul
from ..ops.pad import pad
from ..ops.random import dropout
from ..ops.reduce import any as any_of
from ..ops.reduce import softmax
from ..ops.shape import cat, expand, reshape, split, squeeze, transpose, unsqueeze
from ..tensor import Parameter, Tensor, around, as_tensor
from ..tracer.mode import note
from . import init
from .linear import Linear
from .module import Module

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Computes ``concat(head_1, …, head_H) W_o' + b_o`` with ``head = softmax(q k' / √D + mask) v``
    (torch.nn.MultiheadAttention).

    Letters: L queries, S keys, N batch, E features, H heads, D = E / H features of each; `q`, `k` and `v` are affine
    maps of query, key and value, cut into heads.

    Args:
        embed_dim: E.
        num_heads: H.
        dropout: the probability of dropping an attention weight, in training.
        bias: whether the affine maps add a bias.
        add_bias_kv: append a learned key and value, `bias_k` and `bias_v`, to those given.
        add_zero_attn: append a key and a value of zeros.
        kdim: the number of features of a key; E if None.
        vdim: the number of features of a value; E if None.
        batch_first: whether the batch is the first axis.
        device: "cpu".
        dtype: the dtype of the parameters.

    Shape:
        query: (L, N, E); key, value: (S, N, E), or kdim and vdim for E; with the batch first if batch_first, and
        without N if there is no batch. The result: that of query; and the weights, (N, L, S), or (N, H, L, S) if they
        are not averaged.
        in_proj_weight: (3 E, E), drawn by Xavier's rule; in_proj_bias: (3 E,), zeros. If kdim or vdim differs from E,
        there are q_proj_weight: (E, E), k_proj_weight: (E, kdim) and v_proj_weight: (E, vdim) instead.
        bias_k, bias_v: (1, 1, E), drawn by Xavier's rule. The weights have a column for each appended key.
        out_proj.weight: (E, E); out_proj.bias: (E,), zeros.

    Raises:
        ValueError: `embed_dim` is not a multiple of `num_heads`, or an option is out of range. ShapeError: the shapes
        do not fit. DtypeError: a mask is of integers.

    Source: A. Vaswani et al. (2017), "Attention is all you need".

    Example:
        >>> x = lucid.ones(5, 3, 8)
        >>> output, weights = nn.MultiheadAttention(8, num_heads=2)(x, x, x)
        >>> output.shape, weights.shape
        ((5, 3, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        sizes = {"embed_dim": embed_dim, "num_heads": num_heads, "kdim": self.kdim, "vdim": self.vdim}
        for name, n in sizes.items():
            if not isinstance(n, int) or isinstance(n, bool) or n <= 0:
                raise ValueError(f"MultiheadAttention: {name} must be a positive int; got {n!r}")
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim must be a multiple of num_heads; got {embed_dim} and {num_heads}"
            )
        if not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: dropout must be in [0, 1]; got {dropout!r}")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(zeros(3 * embed_dim, embed_dim, dtype=dtype))
        else:
            self.register_parameter("in_proj_weight", None)
            for name, width in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
                self.register_parameter(f"{name}_proj_weight", Parameter(zeros(embed_dim, width, dtype=dtype)))
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim, dtype=dtype)) if bias else None)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(zeros(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None)
        self.add_zero_attn = add_zero_attn
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitializes the parameters."""
        for weight in self._in_proj() if self.in_proj_weight is None else (self.in_proj_weight,):
            init.xavier_uniform_(weight)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)
        self.out_proj.reset_parameters()
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the result, and the attention weights if `need_weights`.

        A query that may attend to no key has weights 0.

        Args:
            query: the queries.
            key: the keys that they are compared with.
            value: the values that the attention weights average.
            key_padding_mask: (N, S) or (S,): bools, True where a key is ignored; or numbers, added to the scores.
            need_weights: whether to return the weights; if not, None takes their place.
            attn_mask: (L, S) or (N H, L, S): the same for each query.
            average_attn_weights: whether the weights are the mean over the heads.
            is_causal: let query i attend to keys up to i. With `attn_mask`, only that mask applies, as in PyTorch.
        """
        batched = query.ndim == 3
        own = query is key is value and self.in_proj_weight is not None
        query, key, value = (self._batch_first(name, x, batched) for name, x in _named(query, key, value))
        if key.shape[:2] != value.shape[:2] or query.shape[0] != key.shape[0]:
            raise ShapeError(
                "MultiheadAttention: key and value must have as many positions, and all as many sequences; got "
                f"(N, L or S, E) = {query.shape}, {key.shape} and {value.shape}"
            )
        q, k, v = self._own_heads(query) if own else self._heads(query, key, value)
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal, batched)
        if self.bias_k is not None or self.add_zero_attn:
            k, v, mask = self._appended(k, v, mask)
        rate = self.dropout if self.training else 0.0
        if need_weights:
            weights = _weights(q, k, mask)
            weights = dropout(weights, rate) if rate else weights
            out = matmul(weights, v)
            given = weights.mean(1) if average_attn_weights else weights
            given = given if batched else squeeze(given, 0)
        else:
            out, given = scaled_dot_product_attention(q, k, v, mask, rate), None
        batch, steps, features = query.shape
        out = self.out_proj(reshape(transpose(out, 1, 2), (batch, steps, features)))
        if not batched:
            return squeeze(out, 0), given
        return out if self.batch_first else transpose(out, 0, 1), given

    def _batch_first(self, name: str, x: Tensor, batched: bool) -> Tensor:
        features = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}[name]
        if x.ndim != (3 if batched else 2) or x.shape[-1] != features:
            raise ShapeError(
                f"MultiheadAttention: expected query, key and value with two axes, or with three, the last of size "
                f"{features}; got a {name} of shape {x.shape}"
            )
        if not batched:
            note(x, "time", None)
            return unsqueeze(x, 0)
        note(x, *(("batch", "time") if self.batch_first else ("time", "batch")), None)
        return x if self.batch_first else transpose(x, 0, 1)

    def _in_proj(self) -> tuple[Tensor, ...]:
        """Returns the projection weights of queries, keys and values."""
        if self.in_proj_weight is None:
            return self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        return split(self.in_proj_weight, self.embed_dim)

    def _heads(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Projects queries, keys and values, (N, L or S, E), to heads, (N, H, L or S, D)."""
        weights = self._in_proj()
        biases = (None,) * 3 if self.in_proj_bias is None else split(self.in_proj_bias, self.embed_dim)
        maps = (linear(x, weight, bias) for x, weight, bias in zip(inputs, weights, biases, strict=True))
        return self._in_heads(maps)

    def _own_heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Projects a sequence that attends to itself: one product in the place of three."""
        return self._in_heads(split(linear(x, self.in_proj_weight, self.in_proj_bias), self.embed_dim, -1))

    def _in_heads(self, maps: Iterable[Tensor]) -> tuple[Tensor, ...]:
        return tuple(transpose(reshape(y, (*y.shape[:2], self.num_heads, self.head_dim)), 1, 2) for y in maps)

    def _appended(self, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Appends the keys and values that every query may attend to."""
        shape = (k.shape[0], self.num_heads, 1, self.head_dim)
        keys, values = [k], [v]
        if self.bias_k is not None:
            keys.append(expand(reshape(self.bias_k, (1, *shape[1:])), shape))
            values.append(expand(reshape(self.bias_v, (1, *shape[1:])), shape))
        if self.add_zero_attn:
            keys.append(zeros(shape, dtype=k.dtype))
            values.append(zeros(shape, dtype=v.dtype))
        return cat(keys, 2), cat(values, 2), None if mask is None else pad(mask, (0, len(keys) - 1))

    def _mask(
        self, q: Tensor, k: Tensor, key_padding_mask: Any, attn_mask: Any, is_causal: bool, batched: bool
    ) -> Tensor | None:
        """Returns the mask that is added to the scores (N, H, L, S), in a shape that broadcasts to theirs."""
        batch, heads, queries, keys = *q.shape[:3], k.shape[2]
        mask = None
        if attn_mask is not None:
            mask = _added("attn_mask", attn_mask, q)
            if mask.ndim == 3 and mask.shape == (batch * heads, queries, keys):
                mask = reshape(mask, (batch, heads, queries, keys))
            elif mask.shape != (queries, keys):
                raise ShapeError(
                    f"MultiheadAttention: attn_mask must have the shape {(queries, keys)} or "
                    f"{(batch * heads, queries, keys)}; got {mask.shape}"
                )
        elif is_causal:
            mask = where(le(arange(keys), unsqueeze(arange(queries), 1)), 0.0, _forbidden(q))
        if key_padding_mask is not None:
            padding = _added("key_padding_mask", key_padding_mask, q)
            expected = (batch, keys) if batched else (keys,)
            if padding.shape != expected:
                raise ShapeError(
                    f"MultiheadAttention: key_padding_mask must have the shape {expected}; got {padding.shape}"
                )
            padding = unsqueeze(padding, (1, 2)) if batched else padding
            mask = padding if mask is None else mask + padding
        return mask

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"bias={self.in_proj_bias is not None}, batch_first={self.batch_first}"
        )


def _named(query: Tensor, key: Tensor, value: Tensor) -> tuple[tuple[str, Tensor], ...]:
    return ("query", query), ("key", key), ("value", value)


def _forbidden(like: Tensor) -> Tensor:
    return around(np.asarray(-np.inf, like.dtype))


def _added(name: str, given: Any, like: Tensor) -> Tensor:
    """Converts a mask to numbers that are added to the scores."""
    mask = as_tensor(given)
    if mask.dtype == np.bool_:
        return where(mask, _forbidden(like), 0.0)
    if not mask.is_floating_point():
        raise DtypeError(f"MultiheadAttention: {name} must be of bools or floating-point numbers; got {mask.dtype}")
    return mask


def _weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    scores = matmul(q * q.shape[-1] ** -0.5, transpose(k, -1, -2))
    if mask is None:
        return softmax(scores, -1)
    allowed = gt(mask, float("-inf"))
    # A finite minimum, so that a query without keys gets finite weights, which are then set to 0.
    scores = where(allowed, scores + where(allowed, mask, 0.0), float(np.finfo(scores.dtype).min))
    return softmax(scores, -1) * astype(any_of(allowed, -1, True), scores.dtype)
