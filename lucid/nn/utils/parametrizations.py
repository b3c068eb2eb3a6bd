"""Weights that are computed from other parameters (torch.nn.utils.parametrizations)."""

from .weight_norm import parametrized_weight_norm as weight_norm

__all__ = ["weight_norm"]
