"""Functions without state (torch.nn.functional)."""

from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.linalg import linear
from ..ops.loss import cross_entropy, mse_loss, nll_loss
from ..ops.random import dropout
from ..ops.reduce import log_softmax, softmax

__all__ = [
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
