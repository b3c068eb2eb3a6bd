"""TransformerEncoderLayer and TransformerEncoder: self-attention and a feed-forward network, in layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..ops.activation import gelu
from ..ops.elementwise import relu
from ..tensor import Tensor
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .layer_norm import LayerNorm
from .linear import Linear
from .module import Module

__all__ = ["TransformerEncoder", "TransformerEncoderLayer"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": relu, "gelu": gelu}


class TransformerEncoderLayer(Module):
    """Computes ``y = norm1(x + attention(x))`` and then ``norm2(y + linear2(f(linear1(y))))``
    (torch.nn.TransformerEncoderLayer).

    With norm_first, it is ``y = x + attention(norm1(x))`` and then ``y + linear2(f(linear1(norm2(y))))``.

    Letters: T steps, N batch, E features.

    Args:
        d_model: E.
        nhead: the number of heads of the attention.
        dim_feedforward: the number of features between linear1 and linear2.
        dropout: the probability of dropping an attention weight, a feature between the two, or one of a summand.
        activation: f: "relu", "gelu" or a function of a tensor.
        layer_norm_eps: keeps the square root of a norm away from 0.
        batch_first: whether the batch is the first axis.
        norm_first: whether to normalize before attention and feed-forward network rather than after them.
        bias: whether linear layers and norms add a bias.
        device: "cpu".
        dtype: the dtype of the parameters.

    Shape:
        src: (T, N, E), or (N, T, E) if batch_first, or (T, E); output: the same.
        The parameters are those of `self_attn`, a MultiheadAttention; `linear1` and `linear2`, Linear layers; `norm1`
        and `norm2`, LayerNorms.

    Raises:
        ValueError: an option is out of range. ShapeError: the shapes do not fit.

    Source: A. Vaswani et al. (2017), "Attention is all you need".

    Example:
        >>> nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)(lucid.randn(3, 5, 8)).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(activation, str):
            if activation not in _ACTIVATIONS:
                raise RuntimeError(f"TransformerEncoderLayer: activation must be 'relu' or 'gelu'; got {activation!r}")
            activation = _ACTIVATIONS[activation]
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation

    def forward(
        self, src: Tensor, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """Returns the encoded sequences.

        Args:
            src: the sequences.
            src_mask: which steps a step may attend to, see `MultiheadAttention`.
            src_key_padding_mask: (N, T), which steps are padding.
            is_causal: let each step attend to those up to itself. With a mask, only that mask applies.
        """

        def attended(x: Tensor) -> Tensor:
            masks = {"key_padding_mask": src_key_padding_mask, "attn_mask": src_mask, "is_causal": is_causal}
            return self.dropout1(self.self_attn(x, x, x, need_weights=False, **masks)[0])

        def fed(x: Tensor) -> Tensor:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            x = src + attended(self.norm1(src))
            return x + fed(self.norm2(x))
        x = self.norm1(src + attended(src))
        result: Tensor = self.norm2(x + fed(x))
        return result


class TransformerEncoder(Module):
    """Calls copies of a layer one after another, and then a norm, if there is one (torch.nn.TransformerEncoder).

    Args:
        encoder_layer: the layer that is copied; the copies start with the same parameters.
        num_layers: the number of copies.
        norm: a layer that follows them, such as LayerNorm.
        enable_nested_tensor: accepted for ported code; it has no effect on results.
        mask_check: the same.

    Shape:
        src: as for the layer; output: the same.

    Example:
        >>> layer = nn.TransformerEncoderLayer(8, nhead=2)
        >>> nn.TransformerEncoder(layer, num_layers=2)(lucid.randn(5, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        """Returns the encoded sequences; the masks are those of the layer."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)
