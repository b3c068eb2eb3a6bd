"""Helpers for modules: gradient clipping, parameters as a vector, computed weights, sequences of different lengths."""

from . import parametrizations, rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_
from .vector import parameters_to_vector, vector_to_parameters
from .weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameters_to_vector",
    "parametrizations",
    "remove_weight_norm",
    "rnn",
    "vector_to_parameters",
    "weight_norm",
]
