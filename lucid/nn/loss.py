"""Losses as modules."""

from __future__ import annotations

from typing import Any, Literal

from ..ops.cross_entropy import cross_entropy
from ..ops.loss import mse_loss
from ..tensor import Tensor
from .module import Module

__all__ = ["CrossEntropyLoss", "MSELoss"]

Reduction = Literal["none", "mean", "sum"]


class _Loss(Module):
    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'none', 'mean' or 'sum'; got {reduction!r}")
        self.reduction: Reduction = reduction


class MSELoss(_Loss):
    """The squared difference, reduced (torch.nn.MSELoss).

    Args:
        reduction: "mean", "sum", or "none" for the loss of each element.

    Example:
        >>> nn.MSELoss()(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
        tensor(2.)
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return mse_loss(input, target, self.reduction)


class CrossEntropyLoss(_Loss):
    """The cross entropy between a softmax over classes and a target (torch.nn.CrossEntropyLoss).

    Args:
        weight: a weight for each class, (C,).
        ignore_index: a class index that counts nothing.
        reduction: "mean" (weighted), "sum", or "none" for the loss of each element.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].

    Shape:
        input: scores (N, C), (N, C, ...) or (C,).
        target: class indices, of the shape of the input without C; or probabilities, of the shape of the input.

    Example:
        >>> nn.CrossEntropyLoss()(lucid.zeros(1, 2), lucid.tensor([0]))
        tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
