"""Loss modules of margins and of counts."""

from __future__ import annotations

from typing import Any

from ..ops.margin_loss import hinge_embedding_loss, margin_ranking_loss, poisson_nll_loss, soft_margin_loss
from ..tensor import Tensor
from .loss import Loss, Reduction

__all__ = ["HingeEmbeddingLoss", "MarginRankingLoss", "PoissonNLLLoss", "SoftMarginLoss"]


class MarginRankingLoss(Loss):
    """Computes ``max(0, margin - target * (input1 - input2))``, reduced (torch.nn.MarginRankingLoss).

    Args:
        margin: how much greater the first score should be where the target is 1, and the second where it is -1.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Example:
        >>> nn.MarginRankingLoss()(lucid.tensor([1.0]), lucid.tensor([3.0]), lucid.tensor([1.0]))
        tensor(2.)
    """

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Any, target: Any) -> Tensor:
        return margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class HingeEmbeddingLoss(Loss):
    """Computes the input where the target is 1, and ``max(0, margin - input)`` where it is -1, reduced
    (torch.nn.HingeEmbeddingLoss).

    Example:
        >>> nn.HingeEmbeddingLoss()(lucid.tensor([2.0, 0.5]), lucid.tensor([1, -1]))
        tensor(1.25)
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return hinge_embedding_loss(input, target, self.margin, self.reduction)


class SoftMarginLoss(Loss):
    """Computes ``log(1 + exp(-target * input))``, reduced, for targets 1 and -1 (torch.nn.SoftMarginLoss).

    Example:
        >>> nn.SoftMarginLoss()(lucid.tensor([0.0, 1.0]), lucid.tensor([1.0, -1.0]))
        tensor(1.0032)
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return soft_margin_loss(input, target, self.reduction)


class PoissonNLLLoss(Loss):
    """Computes the negative log-likelihood of counts, reduced (torch.nn.PoissonNLLLoss).

    Args:
        log_input: whether the input is the logarithm of the expected count.
        full: whether the term of the target alone is added, for targets above 1.
        eps: what is added to an expected count before its logarithm.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Example:
        >>> nn.PoissonNLLLoss()(lucid.tensor([0.0, 1.0]), lucid.tensor([1.0, 2.0]))
        tensor(0.8591)
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return poisson_nll_loss(input, target, self.log_input, self.full, self.eps, self.reduction)
