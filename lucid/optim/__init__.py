"""Optimizers and learning rate schedulers (torch.optim)."""

from typing import TYPE_CHECKING

from ..absent import absent_from
from . import lr_scheduler
from .adagrad import Adagrad
from .adam import Adam
from .adamax import Adamax
from .adamw import AdamW
from .nadam import NAdam
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop", "lr_scheduler"]

# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
