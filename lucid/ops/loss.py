"""Losses: how far a prediction is from its target, as one number."""

from __future__ import annotations

from typing import Any, Literal


from ..errors import AxisError, ShapeError
from ..tensor import Tensor, as_tensor
from ..tracer.op import function
from .elementwise import astype, ne, where
from .index import gather
from .reduce import log_softmax
from .shape import squeeze, unsqueeze

__all__ = ["cross_entropy", "mse_loss", "nll_loss"]

Reduction = Literal["none", "mean", "sum"]


def _reduced(loss: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"reduction must be 'none', 'mean' or 'sum'; got {reduction!r}")


@function
def mse_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """``(input - target) ** 2``, reduced (torch.nn.functional.mse_loss).

    >>> lucid.nn.functional.mse_loss(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0, 4.0]))
    tensor(2.)
    """
    target = as_tensor(target)
    if input.shape != target.shape:
        raise ShapeError(f"mse_loss: input has shape {input.shape}, but target has {target.shape}")
    difference = input - target
    return _reduced(difference * difference, reduction)


@function
def nll_loss(
    input: Tensor,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """The negative log-likelihood of class indices, given log-probabilities (torch.nn.functional.nll_loss).

    Shape:
        input: (N, C) or (N, C, ...) or (C,); target: the same without C; weight: (C,).
    """
    target = as_tensor(target)
    classes_at = 1 if input.ndim > 1 else 0
    if target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
        raise ShapeError(
            f"the target of an input of shape {input.shape} must have shape "
            f"{input.shape[:classes_at] + input.shape[classes_at + 1 :]} (class indices); got {target.shape}"
        )
    classes = input.shape[classes_at]
    valid = target._data[target._data != ignore_index]
    if valid.size and not (valid.min() >= 0 and valid.max() < classes):
        raise AxisError(f"class indices must be from 0 to {classes - 1}; got {valid.min()} to {valid.max()}")
    kept = ne(target, ignore_index)
    index = where(kept, target, 0)
    picked = squeeze(gather(input, classes_at, unsqueeze(index, classes_at)), classes_at)
    weights = astype(kept, input.dtype)
    if weight is not None:
        weights = weights * as_tensor(weight)[index]
    loss = -where(kept, picked, 0.0) * weights
    if reduction == "mean":
        return loss.sum() / weights.sum()
    return _reduced(loss, reduction)


@function
def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy between a softmax over classes and a target (torch.nn.functional.cross_entropy).

    Args:
        input: scores before softmax.
        target: class indices, or the probabilities of all classes.
        weight: a weight for each class.
        ignore_index: a class index that counts nothing.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].

    Shape:
        input: (N, C) or (N, C, ...) or (C,); target: the same without C (indices) or the same (probabilities).

    Raises:
        ShapeError: the shapes do not fit. AxisError: a class index is out of range.

    >>> lucid.nn.functional.cross_entropy(lucid.zeros(1, 2), lucid.tensor([0]))
    tensor(0.6931472)
    """
    target = as_tensor(target)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1]; got {label_smoothing}")
    dim = 1 if input.ndim > 1 else 0
    logs = log_softmax(input, dim)
    if target.is_floating_point():
        return _against_probabilities(logs, target, weight, reduction, label_smoothing, dim)
    hard = nll_loss(logs, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return hard
    scaled = logs if weight is None else logs * _per_class(weight, logs, dim)
    kept = ne(target, ignore_index)
    spread = where(kept, -scaled.sum(dim), 0.0)
    if reduction == "mean":
        weights = astype(kept, logs.dtype)
        if weight is not None:
            weights = weights * as_tensor(weight)[where(kept, target, 0)]
        spread = spread.sum() / weights.sum()
    else:
        spread = _reduced(spread, reduction)
    share = label_smoothing / logs.shape[dim]
    return hard * (1 - label_smoothing) + spread * share


def _against_probabilities(
    logs: Tensor, target: Tensor, weight: Any, reduction: Reduction, label_smoothing: float, dim: int
) -> Tensor:
    if target.shape != logs.shape:
        raise ShapeError(f"cross_entropy: probabilities must have the shape of the input, {logs.shape}; got {target.shape}")
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / logs.shape[dim]
    if weight is not None:
        logs = logs * _per_class(weight, logs, dim)
    loss = -(logs * target).sum(dim)
    return _reduced(loss, reduction)


def _per_class(weight: Any, logs: Tensor, dim: int) -> Tensor:
    return as_tensor(weight).reshape([-1 if i == dim else 1 for i in range(logs.ndim)])
