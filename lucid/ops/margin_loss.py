"""Losses of margins and of counts (torch.nn.functional)."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor
from ..tracer.op import function
from .activation import softplus
from .elementwise import eq, exp, gt, log, mul, relu, where
from .loss import Reduction, reduced
from .math import clamp

__all__ = ["hinge_embedding_loss", "margin_ranking_loss", "poisson_nll_loss", "soft_margin_loss"]


def _paired(name: str, input: Tensor, target: Any) -> Tensor:
    target = as_tensor(target)
    if input.shape != target.shape:
        raise ShapeError(f"{name}: input has shape {input.shape}, but target has {target.shape}")
    return target


@function
def margin_ranking_loss(
    input1: Tensor, input2: Any, target: Any, margin: float = 0.0, reduction: Reduction = "mean"
) -> Tensor:
    """Computes ``max(0, margin - target * (input1 - input2))``, reduced (torch.nn.functional.margin_ranking_loss).

    Args:
        input1: scores.
        input2: other scores, of the same shape.
        target: 1 where the first score should be greater, -1 where the second should.
        margin: how much greater.
        reduction: "mean", "sum", or "none" for the loss of each element.

    >>> lucid.nn.functional.margin_ranking_loss(lucid.tensor([1.0]), lucid.tensor([3.0]), lucid.tensor([1.0]))
    tensor(2.)
    """
    difference = input1 - _paired("margin_ranking_loss", input1, input2)
    return reduced("margin_ranking_loss", relu(margin - mul(target, difference)), reduction)


@function
def hinge_embedding_loss(input: Tensor, target: Any, margin: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """Computes `input` where the target is 1, and ``max(0, margin - input)`` where it is -1, reduced
    (torch.nn.functional.hinge_embedding_loss).

    >>> lucid.nn.functional.hinge_embedding_loss(lucid.tensor([2.0, 0.5]), lucid.tensor([1, -1]))
    tensor(1.25)
    """
    target = _paired("hinge_embedding_loss", input, target)
    loss = where(eq(target, -1), 0.0, input) + where(eq(target, 1), 0.0, relu(margin - input))
    return reduced("hinge_embedding_loss", loss, reduction)


@function
def soft_margin_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """Computes ``log(1 + exp(-target * input))``, reduced, for targets 1 and -1 (torch.nn.functional.soft_margin_loss).

    >>> lucid.nn.functional.soft_margin_loss(lucid.tensor([0.0, 1.0]), lucid.tensor([1.0, -1.0]))
    tensor(1.0032)
    """
    product = _paired("soft_margin_loss", input, target) * input
    return reduced("soft_margin_loss", softplus(-product, threshold=1e4), reduction)


@function
def poisson_nll_loss(
    input: Tensor,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Tensor:
    """Computes the negative log-likelihood of counts, reduced
    (torch.nn.functional.poisson_nll_loss).

    Args:
        input: the logarithm of the expected count, or the count itself if not `log_input`.
        target: the counts.
        log_input: whether `input` is a logarithm.
        full: whether the term of the target alone is added, for targets above 1, by Stirling's formula.
        eps: what is added to an expected count before its logarithm.
        reduction: "mean", "sum", or "none" for the loss of each element.

    >>> lucid.nn.functional.poisson_nll_loss(lucid.tensor([0.0, 1.0]), lucid.tensor([1.0, 2.0]))
    tensor(0.8591)
    """
    target = _paired("poisson_nll_loss", input, target)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        count = clamp(target, min=1)
        term = target * log(count) - target + log(count * (2 * math.pi)) * 0.5
        loss = loss + where(gt(target, 1), term, 0.0)
    return reduced("poisson_nll_loss", loss, reduction)
