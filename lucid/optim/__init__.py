"""Optimizers and learning rate schedulers (torch.optim)."""

from typing import TYPE_CHECKING

from ..absent import absent_from
from . import lr_scheduler
from .adagrad import Adagrad
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]

# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
