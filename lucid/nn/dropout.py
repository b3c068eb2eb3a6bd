"""Dropout and Dropout1d: random zeros in training."""

from __future__ import annotations

from ..ops.random import dropout, dropout1d
from ..tensor import Tensor
from .module import Module

__all__ = ["Dropout", "Dropout1d"]


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
            raise ValueError(f"{type(self).__name__}: p must be in [0, 1]; got {p!r}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout1d(Dropout):
    """Zeroes each channel with probability `p` in training, and scales the others by ``1 / (1 - p)``
    (torch.nn.Dropout1d).

    Args:
        p: the probability, in [0, 1].
        inplace: accepted for ported code; the result is always a new tensor.

    Shape:
        input: (N, C, L) or (C, L); output: the same.

    Raises:
        ValueError: `p` is not in [0, 1]. ShapeError: the input has other axes.

    Source: J. Tompson et al. (2015), "Efficient object localization using convolutional networks".

    Example:
        >>> nn.Dropout1d(0.5).eval()(lucid.ones(1, 3))
        tensor([[1., 1., 1.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return dropout1d(input, self.p, self.training)
