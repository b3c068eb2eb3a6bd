"""Dropout: random zeros in training."""

from __future__ import annotations

from ..ops.random import dropout
from ..tensor import Tensor
from .module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """Zeroes each element with probability `p` in training, and scales the others by ``1 / (1 - p)``
    (torch.nn.Dropout).

    Args:
        p: the probability, in [0, 1].
        inplace: accepted for ported code; the result is always a new tensor.

    Raises:
        ValueError: `p` is not in [0, 1].

    Source: N. Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting".

    Example:
        >>> nn.Dropout(0.5).eval()(lucid.ones(3))
        tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be in [0, 1]; got {p!r}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
