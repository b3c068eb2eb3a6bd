"""Layers, losses and what they are made with (torch.nn)."""

from ..tensor import Parameter
from . import functional, init, utils
from .cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
from .container import Sequential
from .dropout import Dropout
from .gru import GRU
from .linear import Linear
from .loss import CrossEntropyLoss, MSELoss
from .lstm import LSTM
from .module import Module
from .rnn import RNN, RNNBase
from .scan import scan

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CrossEntropyLoss",
    "Dropout",
    "GRUCell",
    "LSTMCell",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
    "Sequential",
    "functional",
    "init",
    "scan",
    "utils",
]
