"""Loss modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..ops.cross_entropy import cross_entropy, nll_loss
from ..ops.ctc import ctc_loss
from ..ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    quantile_loss,
    smooth_l1_loss,
)
from ..ops.similarity import cosine_embedding_loss, triplet_margin_loss
from ..tensor import Tensor
from .module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "QuantileLoss",
    "SmoothL1Loss",
    "TripletMarginLoss",
]

Reduction = Literal["none", "mean", "sum"]


class Loss(Module):
    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'none', 'mean' or 'sum'; got {reduction!r}")
        self.reduction: Reduction = reduction


class MSELoss(Loss):
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


class L1Loss(Loss):
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


class SmoothL1Loss(Loss):
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


class HuberLoss(Loss):
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


class CrossEntropyLoss(Loss):
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


class NLLLoss(Loss):
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


class BCELoss(Loss):
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


class BCEWithLogitsLoss(Loss):
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


class GaussianNLLLoss(Loss):
    """Computes ``0.5 (log(var) + (input - target)² / var)``, the negative log-likelihood of a normal distribution,
    reduced (torch.nn.GaussianNLLLoss).

    Args:
        full: add the constant ``0.5 log(2 π)``.
        eps: keeps the variance away from 0.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Shape:
        input, target: (*); var: the same, or without the last axis, or with one axis of size one; or a number.

    Example:
        >>> nn.GaussianNLLLoss()(lucid.zeros(1), lucid.tensor([2.0]), lucid.ones(1))
        tensor(2.)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Any, var: Any) -> Tensor:
        return gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class QuantileLoss(Loss):
    """Computes the quantile loss, also called pinball loss, ``max(q d, (q - 1) d)`` with ``d = target - input``,
    reduced. The q-quantile of the target minimizes it. PyTorch has no such loss.

    Args:
        quantiles: q, from 0 to 1; or the Q quantiles that the last axis of the input predicts.
        reduction: "mean", "sum", or "none" for the loss of each prediction.

    Shape:
        input: (*) for one quantile, (*, Q) for several; target: (*).

    Source: R. Koenker and G. Bassett (1978), "Regression quantiles".

    Example:
        >>> nn.QuantileLoss(0.9)(lucid.tensor([1.0, 3.0]), lucid.tensor([2.0, 2.0]))
        tensor(0.5)
    """

    def __init__(self, quantiles: float | Sequence[float] = 0.5, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        given = (quantiles,) if isinstance(quantiles, (int, float)) else quantiles
        if not all(0 <= q <= 1 for q in given):
            raise ValueError(f"QuantileLoss: quantiles must be numbers from 0 to 1; got {quantiles!r}")
        self.quantiles = quantiles

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return quantile_loss(input, target, self.quantiles, self.reduction)


class TripletMarginLoss(Loss):
    """Computes ``max(d(anchor, positive) - d(anchor, negative) + margin, 0)``, reduced (torch.nn.TripletMarginLoss).

    Args:
        margin: how much farther away `negative` should be than `positive`.
        p: the norm of the distance d.
        eps: is added to each difference.
        swap: take the distance between `positive` and `negative` where it is the smaller one.
        reduction: "mean", "sum", or "none" for the loss of each vector.

    Shape:
        anchor, positive, negative: (N, D) or (D,).

    Example:
        >>> near, far = lucid.tensor([[0.0, 1.0]]), lucid.tensor([[0.0, 1.5]])
        >>> nn.TripletMarginLoss()(lucid.zeros(1, 2), near, far)
        tensor(0.5)
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: margin must be positive; got {margin}")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return triplet_margin_loss(anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction)


class CosineEmbeddingLoss(Loss):
    """Computes ``1 - cos(input1, input2)`` where the target is 1, and ``max(cos(input1, input2) - margin, 0)`` where it
    is -1, reduced (torch.nn.CosineEmbeddingLoss).

    Args:
        margin: how similar vectors may be that should differ; from -1 to 1.
        reduction: "mean", "sum", or "none" for the loss of each pair.

    Shape:
        input1, input2: (N, D) or (D,); target: (N,) or (), of 1 and -1.

    Example:
        >>> x = lucid.tensor([[1.0, 0.0]])
        >>> nn.CosineEmbeddingLoss()(x, lucid.tensor([[3.0, 4.0]]), lucid.tensor([1]))
        tensor(0.4)
    """

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Any) -> Tensor:
        return cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


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


class CTCLoss(Loss):
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
