"""Layers, losses and what they are made with (torch.nn)."""

from ..tensor import Parameter
from . import functional, init, utils
from .container import Sequential
from .dropout import Dropout
from .linear import Linear
from .loss import CrossEntropyLoss, MSELoss
from .module import Module
from .rnn import RNN, RNNBase

__all__ = [
    "RNN",
    "CrossEntropyLoss",
    "Dropout",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "RNNBase",
    "Sequential",
    "functional",
    "init",
    "utils",
]
