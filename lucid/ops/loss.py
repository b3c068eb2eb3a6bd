"""Elementwise losses."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..errors import RangeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array, function
from .activation import softplus
from .elementwise import abs, eq, exp, log, lt, maximum, where
from .math import clamp, log1p
from .reduce import size

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
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
