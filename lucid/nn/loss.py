"""Loss modules."""

from __future__ import annotations

from typing import Any, Literal

from ..ops.cross_entropy import cross_entropy, nll_loss
from ..ops.ctc import ctc_loss
from ..ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from ..tensor import Tensor
from .module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]

Reduction = Literal["none", "mean", "sum"]


class _Loss(Module):
    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'none', 'mean' or 'sum'; got {reduction!r}")
        self.reduction: Reduction = reduction


class MSELoss(_Loss):
    """Computes the squared error, reduced (torch.nn.MSELoss).

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


class L1Loss(_Loss):
    """Computes the absolute error, reduced (torch.nn.L1Loss).

    Args:
        reduction: "mean", "sum", or "none" for the loss of each element.

    Example:
        >>> nn.L1Loss()(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
        tensor(1.)
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """Computes the smooth L1 loss, reduced (torch.nn.SmoothL1Loss).

    It is ``0.5 d² / beta`` where ``d = |input - target| < beta``, else ``d - 0.5 beta``.

    Args:
        reduction: "mean", "sum", or "none" for the loss of each element.
        beta: where the parabola ends; not negative.

    Example:
        >>> nn.SmoothL1Loss()(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
        tensor(0.75)
    """

    def __init__(self, reduction: Reduction = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if beta < 0:
            raise ValueError(f"SmoothL1Loss: beta must not be negative; got {beta}")
        self.beta = beta

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Computes the Huber loss, reduced (torch.nn.HuberLoss).

    It is ``0.5 d²`` where ``d = |input - target| <= delta``, else ``delta (d - 0.5 delta)``.

    Args:
        reduction: "mean", "sum", or "none" for the loss of each element.
        delta: where the parabola ends; positive.

    Example:
        >>> nn.HuberLoss()(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
        tensor(0.75)
    """

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if delta <= 0:
            raise ValueError(f"HuberLoss: delta must be positive; got {delta}")
        self.delta = delta

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return huber_loss(input, target, self.reduction, self.delta)


class CrossEntropyLoss(_Loss):
    """Computes the cross entropy between a softmax over classes and a target (torch.nn.CrossEntropyLoss).

    Args:
        weight: a weight for each class, (C,).
        ignore_index: a class index that is ignored.
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


class NLLLoss(_Loss):
    """Computes the negative log-likelihood of class indices (torch.nn.NLLLoss).

    Args:
        weight: a weight for each class, (C,).
        ignore_index: a class index that is ignored.
        reduction: "mean" (weighted), "sum", or "none" for the loss of each element.

    Shape:
        input: log-probabilities (N, C), (N, C, ...) or (C,); target: class indices, the same without C.

    Example:
        >>> nn.NLLLoss()(lucid.tensor([[-0.5, -1.0]]), lucid.tensor([1]))
        tensor(1.)
    """

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCELoss(_Loss):
    """Computes ``-(target log(input) + (1 - target) log(1 - input))``, reduced (torch.nn.BCELoss).

    Args:
        weight: a factor for each element; broadcasts.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Example:
        >>> nn.BCELoss()(lucid.tensor([0.5]), lucid.tensor([1.0]))
        tensor(0.6931)
    """

    def __init__(self, weight: Tensor | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Computes the binary cross entropy of ``sigmoid(input)`` without underflow (torch.nn.BCEWithLogitsLoss).

    Args:
        weight: a factor for each element; broadcasts.
        reduction: "mean", "sum", or "none" for the loss of each element.
        pos_weight: a factor for targets of 1; broadcasts.

    Example:
        >>> nn.BCEWithLogitsLoss()(lucid.tensor([0.0]), lucid.tensor([1.0]))
        tensor(0.6931)
    """

    def __init__(
        self, weight: Tensor | None = None, reduction: Reduction = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class KLDivLoss(Module):
    """Computes the Kullback–Leibler divergence, ``target (log(target) - input)``, reduced (torch.nn.KLDivLoss).

    Args:
        reduction: "batchmean" for the divergence itself: the sum divided by the size of the first axis; "mean", "sum",
            or "none" for each element.
        log_target: whether `target` holds log-probabilities.

    Example:
        >>> nn.KLDivLoss("batchmean")(lucid.tensor([[-1.0, -0.5]]), lucid.tensor([[0.5, 0.5]]))
        tensor(0.0569)
    """

    def __init__(
        self, reduction: Literal["none", "mean", "sum", "batchmean"] = "mean", log_target: bool = False
    ) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum", "batchmean"):
            raise ValueError(f"KLDivLoss: reduction must be 'none', 'mean', 'sum' or 'batchmean'; got {reduction!r}")
        self.reduction: Literal["none", "mean", "sum", "batchmean"] = reduction
        self.log_target = log_target

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return kl_div(input, target, self.reduction, self.log_target)


class CTCLoss(_Loss):
    """Computes the negative log-probability of a target, over all its alignments (torch.nn.CTCLoss).

    The gradient is with respect to `log_probs`; see `lucid.nn.functional.ctc_loss`.

    Args:
        blank: the class that stands for no label.
        reduction: "mean" for the mean over the batch of the losses divided by the target lengths, "sum", or "none".
        zero_infinity: return 0 instead of an infinite loss where a target does not fit into its sequence.

    Shape:
        log_probs: (T, N, C) or (T, C); targets: (N, L) or (sum of target_lengths,); input_lengths, target_lengths:
        (N,).

    Example:
        >>> log_probs = lucid.log_softmax(lucid.zeros(2, 1, 2), -1)
        >>> nn.CTCLoss()(log_probs, lucid.tensor([[1]]), [2], [1])
        tensor(0.2877)
    """

    def __init__(self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        return ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
