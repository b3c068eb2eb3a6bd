"""Stateless functions (torch.nn.functional)."""

from typing import TYPE_CHECKING

from ..absent import absent_from
from ..ops.activation import elu, gelu, glu, hardtanh, leaky_relu, logsigmoid, relu6, silu, softplus
from ..ops.attention import scaled_dot_product_attention
from ..ops.conv import conv1d
from ..ops.cross_entropy import cross_entropy, nll_loss
from ..ops.ctc import ctc_loss
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.embedding import embedding
from ..ops.layer_norm import layer_norm
from ..ops.linalg import linear
from ..ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from ..ops.moments import normalize
from ..ops.pad import pad
from ..ops.random import dropout
from ..ops.reduce import log_softmax, softmax
from ..ops.select import one_hot

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "hardtanh",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]

# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
