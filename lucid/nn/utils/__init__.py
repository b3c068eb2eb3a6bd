"""Helpers for modules: gradient clipping, parameters as a vector, computed weights, sequences of different lengths."""

from typing import TYPE_CHECKING

from ...absent import absent_from
from . import parametrizations, rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from .vector import parameters_to_vector, vector_to_parameters
from .weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "remove_weight_norm",
    "rnn",
    "vector_to_parameters",
    "weight_norm",
]

# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
