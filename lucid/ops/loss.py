"""Elementwise losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..errors import RangeError, ShapeError
from ..tensor import Tensor, around, as_tensor, op
from ..tracer.op import Array, function
from .activation import softplus
from .elementwise import abs, eq, exp, log, lt, maximum, where
from .math import clamp, log1p, square
from .reduce import size
from .shape import unsqueeze

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "quantile_loss",
    "smooth_l1_loss",
]

Reduction = Literal["none", "mean", "sum"]


def reduced(name: str, loss: Tensor, reduction: Reduction) -> Tensor:
    """Returns the losses of all elements, or their mean or sum."""
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"{name}: reduction must be 'none', 'mean' or 'sum'; got {reduction!r}")


def at_least(x: Tensor, least: float) -> Tensor:
    """Raises elements to a bound; unlike that of `clamp`, the gradient passes unchanged."""
    return where(lt(x, least), (x - x.detach()) + least, x)


def _same_shape(name: str, input: Tensor, target: Any) -> Tensor:
    """Returns the target as a tensor. Shapes must agree: broadcasting a loss is nearly always a mistake."""
    target = as_tensor(target)
    if input.shape != target.shape:
        raise ShapeError(f"{name}: input has shape {input.shape}, but target has {target.shape}")
    return target


@function
def mse_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """Computes the squared error ``(input - target)²``, reduced (torch.nn.functional.mse_loss).

    >>> lucid.nn.functional.mse_loss(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
    tensor(2.)
    """
    difference = input - _same_shape("mse_loss", input, target)
    return reduced("mse_loss", difference * difference, reduction)


@function
def l1_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """Computes the absolute error ``|input - target|``, reduced (torch.nn.functional.l1_loss).

    >>> lucid.nn.functional.l1_loss(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
    tensor(1.)
    """
    return reduced("l1_loss", abs(input - _same_shape("l1_loss", input, target)), reduction)


@function
def smooth_l1_loss(input: Tensor, target: Any, reduction: Reduction = "mean", beta: float = 1.0) -> Tensor:
    """Computes ``0.5 d² / beta`` where ``d = |input - target| < beta``, else ``d - 0.5 beta``, reduced
    (torch.nn.functional.smooth_l1_loss).

    >>> lucid.nn.functional.smooth_l1_loss(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
    tensor(0.75)
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative; got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    distance = abs(input - _same_shape("smooth_l1_loss", input, target))
    loss = where(lt(distance, beta), distance * distance * (0.5 / beta), distance - 0.5 * beta)
    return reduced("smooth_l1_loss", loss, reduction)


@function
def huber_loss(input: Tensor, target: Any, reduction: Reduction = "mean", delta: float = 1.0) -> Tensor:
    """Computes ``0.5 d²`` where ``d = |input - target| <= delta``, else ``delta (d - 0.5 delta)``, reduced
    (torch.nn.functional.huber_loss).

    >>> lucid.nn.functional.huber_loss(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
    tensor(0.75)
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive; got {delta}")
    distance = abs(input - _same_shape("huber_loss", input, target))
    loss = where(lt(distance, delta), distance * distance * 0.5, (distance - 0.5 * delta) * delta)
    return reduced("huber_loss", loss, reduction)


@op
def surprise(x: Array, y: Array, /) -> Array:
    """Computes the binary cross entropy of each element.

    The logarithms are at least -100, and the gradient is bounded to match.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))


@surprise.vjp
def _(g: Tensor, x: Tensor, y: Tensor, needs: tuple[bool, ...]) -> Any:
    gx = g * (x - y) / maximum(x * (1 - x), 1e-12) if needs[0] else None
    gy = g * (clamp(log1p(-x), -100.0) - clamp(log(x), -100.0)) if needs[1] else None
    return gx, gy


@function
def binary_cross_entropy(input: Tensor, target: Any, weight: Any = None, reduction: Reduction = "mean") -> Tensor:
    """Computes ``-(target log(input) + (1 - target) log(1 - input))``, reduced; each logarithm is at least -100
    (torch.nn.functional.binary_cross_entropy).

    Args:
        input: probabilities.
        target: the target probabilities.
        weight: a factor for each element; broadcasts.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        RangeError: an element of `input` is not a probability. ShapeError: the shapes differ.

    >>> lucid.nn.functional.binary_cross_entropy(lucid.tensor([0.5]), lucid.tensor([1.0]))
    tensor(0.6931)
    """
    wanted = _same_shape("binary_cross_entropy", input, target)
    data = input._data
    # In this form, NaN is rejected too.
    if data.size and not (data.min() >= 0 and data.max() <= 1):
        raise RangeError(
            f"binary_cross_entropy: input must be from 0 to 1; got {data.min():.4g} to {data.max():.4g}; of scores "
            "before the sigmoid binary_cross_entropy_with_logits is the loss"
        )
    loss = surprise(input, wanted)
    return reduced("binary_cross_entropy", loss if weight is None else loss * as_tensor(weight), reduction)


@function
def binary_cross_entropy_with_logits(
    input: Tensor, target: Any, weight: Any = None, reduction: Reduction = "mean", pos_weight: Any = None
) -> Tensor:
    """Computes the binary cross entropy of ``sigmoid(input)`` without underflow
    (torch.nn.functional.binary_cross_entropy_with_logits).

    ``(1 - target) input + (1 + (pos_weight - 1) target) softplus(-input)``

    Args:
        input: scores before the sigmoid.
        target: the target probabilities.
        weight: a factor for each element; broadcasts.
        reduction: "mean", "sum", or "none" for the loss of each element.
        pos_weight: a factor for targets of 1; broadcasts.

    >>> lucid.nn.functional.binary_cross_entropy_with_logits(lucid.tensor([0.0]), lucid.tensor([1.0]))
    tensor(0.6931)
    """
    target = _same_shape("binary_cross_entropy_with_logits", input, target)
    surprise = softplus(-input, 1.0, float("inf"))
    if pos_weight is not None:
        surprise = surprise * (target * (as_tensor(pos_weight) - 1) + 1)
    loss = (1 - target) * input + surprise
    return reduced("binary_cross_entropy_with_logits", loss if weight is None else loss * as_tensor(weight), reduction)


@function
def kl_div(
    input: Tensor,
    target: Any,
    reduction: Literal["none", "mean", "sum", "batchmean"] = "mean",
    log_target: bool = False,
) -> Tensor:
    """Computes the Kullback–Leibler divergence, ``target (log(target) - input)``, reduced
    (torch.nn.functional.kl_div).

    Args:
        input: log-probabilities.
        target: probabilities, or log-probabilities if `log_target`.
        reduction: "batchmean" for the divergence itself: the sum divided by the size of the first axis; "mean", "sum",
            or "none" for each element.
        log_target: whether `target` holds log-probabilities.

    >>> lucid.nn.functional.kl_div(lucid.tensor([[-1.0, -0.5]]), lucid.tensor([[0.5, 0.5]]), "batchmean")
    tensor(0.0569)
    """
    target = _same_shape("kl_div", input, target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        # 0 log(0) is 0, with a gradient that is 0 as well.
        zero = eq(target, 0)
        loss = target * log(where(zero, 1.0, target)) - target * input
    if reduction == "batchmean":
        return loss.sum() / size(loss, dim=0) if loss.ndim else loss
    return reduced("kl_div", loss, reduction)


@function
def gaussian_nll_loss(
    input: Tensor,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Tensor:
    """Computes ``0.5 (log(var) + (input - target)² / var)``, the negative log-likelihood of a normal distribution,
    reduced (torch.nn.functional.gaussian_nll_loss).

    Args:
        input: the expectations.
        target: what was observed.
        var: the variances: a number; or a tensor of the shape of `input`, without the last axis, or with one axis of
            size one. Those below `eps` count as `eps`.
        full: add the constant ``0.5 log(2 π)``.
        eps: keeps the variance away from 0.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        ShapeError: the shape of `var` does not fit. ValueError: a variance is negative.

    >>> lucid.nn.functional.gaussian_nll_loss(lucid.zeros(1), lucid.tensor([2.0]), lucid.ones(1))
    tensor(2.)
    """
    target, var = as_tensor(target), as_tensor(var, dtype=input.dtype)
    # PyTorch's rule.
    if var.ndim and var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = unsqueeze(var, -1)
        elif var.ndim != input.ndim or [m for m, n in zip(var.shape, input.shape, strict=True) if m != n] != [1]:
            raise ShapeError(
                f"gaussian_nll_loss: var must have the shape of input, {input.shape}, or one axis of size one, or not "
                f"the last axis; got {var.shape}"
            )
    if (var._data < 0).any():
        raise ValueError("gaussian_nll_loss: a variance must not be negative")
    var = at_least(var, eps)
    loss = 0.5 * (log(var) + square(input - target) / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced("gaussian_nll_loss", loss, reduction)


@function
def quantile_loss(
    input: Tensor, target: Any, quantiles: float | Sequence[float] = 0.5, reduction: Reduction = "mean"
) -> Tensor:
    """Computes the quantile loss, also called pinball loss, ``max(q d, (q - 1) d)`` with ``d = target - input``,
    reduced. The q-quantile of the target minimizes it.

    Args:
        input: predictions of one quantile, or of several along the last axis.
        target: what was observed.
        quantiles: q, from 0 to 1; or the Q quantiles that the last axis of `input` predicts.
        reduction: "mean", "sum", or "none" for the loss of each prediction.

    Shape:
        input: (*) for one quantile, (*, Q) for several; target: (*).

    Raises:
        ShapeError: the shapes do not fit. ValueError: a quantile is not from 0 to 1.

    Source: R. Koenker and G. Bassett (1978), "Regression quantiles".

    >>> lucid.nn.functional.quantile_loss(lucid.tensor([1.0, 3.0]), lucid.tensor([2.0, 2.0]), 0.9)
    tensor(0.5)
    """
    several = not isinstance(quantiles, (int, float))
    q = np.array(quantiles, input.dtype)
    if q.ndim > 1 or not np.all((q >= 0) & (q <= 1)):
        raise ValueError(f"quantile_loss: quantiles must be numbers from 0 to 1; got {quantiles!r}")
    target = as_tensor(target)
    if several and (not input.ndim or input.shape[-1] != len(q)):
        raise ShapeError(
            f"quantile_loss: the last axis of input must have one prediction for each of {len(q)} quantiles; got "
            f"shape {input.shape}"
        )
    if target.shape != (input.shape[:-1] if several else input.shape):
        raise ShapeError(f"quantile_loss: input has shape {input.shape}, but target has {target.shape}")
    distance = (unsqueeze(target, -1) if several else target) - input
    return reduced("quantile_loss", distance * where(lt(distance, 0), around(q - 1), around(q)), reduction)
