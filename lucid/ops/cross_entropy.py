"""Classification losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.mode import note
from ..tracer.op import Array, function
from .elementwise import astype, eq, ne, where
from .loss import Reduction, reduced
from .reduce import below_top, log_softmax, size, sum
from .scatter import gather_at
from .shape import reshape, squeeze, unsqueeze

__all__ = ["cross_entropy", "nll_loss"]

# PyTorch computes inf and nan silently; so do these.
_quiet = np.errstate(all="ignore")


@op
def class_losses(x: Array, target: Array, weight: Array, /, dim: int, ignore_index: int) -> Array:
    """Computes each target's loss, ``weight[target] * -log_softmax(x)[target]``, its weight, and the softmax.

    Loss and weight are 0 where the target is ignored.

    Shape:
        x: (..., C, ...) with C at axis `dim`; target: the same without C; weight: (C,) or None; the results: two of the
        shape of target, and one of that of x.
    """
    kept = target != ignore_index
    index = np.where(kept, target, 0)
    y = below_top(x, dim, None)
    picked = y[place_of(index, dim)]
    np.exp(y, out=y)
    total = np.add.reduce(y, axis=dim, keepdims=True)
    y /= total
    # Not only a product with 0: an ignored loss may be infinite.
    loss = np.where(kept, np.log(np.squeeze(total, dim)) - picked, 0)
    if weight is None:
        return loss, kept.astype(y.dtype), y
    weights = np.where(kept, weight[index], 0)
    return loss * weights, weights, y


@class_losses.vjp
def _(g: Any, target: Tensor, out: Any, dim: int, ignore_index: int) -> Any:
    # The weights are constants, as in PyTorch.
    g_loss, _, g_softmax = g
    _, weights, shares = out
    gx = None
    if g_loss is not None:
        slope = less_one_at(shares, target, dim=dim, ignore_index=ignore_index)
        # If all are ignored, their mean is 0 / 0, with a gradient that is not finite.
        gx = slope * unsqueeze(product_or_zero(g_loss, weights), dim)
    if g_softmax is not None:
        more = shares * (g_softmax - sum(g_softmax * shares, dim, True))
        gx = more if gx is None else gx + more
    return gx, None, None


@op
@_quiet
def product_or_zero(x: Array, weight: Array, /) -> Array:
    """Computes ``x * weight``, which is 0 where the weight is 0, whatever `x` is."""
    return np.where(weight == 0, 0, x * weight)


@product_or_zero.vjp
def _(g: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, ...]) -> Any:
    gw = where(eq(weight, 0), 0.0, g * x) if needs[1] else None
    return product_or_zero(g, weight) if needs[0] else None, gw


product_or_zero.keep_for(x="weight")


@op
def less_one_at(x: Array, target: Array, /, dim: int, ignore_index: int) -> Array:
    """Subtracts one from `x` at each target's class: the gradient of the loss, if x is the softmax."""
    y = np.array(x)
    y[place_of(np.where(target == ignore_index, 0, target), dim)] -= 1
    return y


@less_one_at.vjp
def _(g: Tensor) -> Any:
    return g, None


def place_of(index: Array, dim: int) -> tuple[Array, ...]:
    """Returns a NumPy index that selects the classes in `index` along axis `dim`."""
    places: list[Array] = [
        np.arange(n).reshape([-1 if d == axis else 1 for d in range(index.ndim)]) for axis, n in enumerate(index.shape)
    ]
    places.insert(dim, index)
    return tuple(places)


@function
def nll_loss(
    input: Tensor,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Computes the negative log-likelihood, ``-weight[target] * input[target]`` (torch.nn.functional.nll_loss).

    Args:
        input: log-probabilities.
        target: class indices.
        weight: a weight for each class; the mean is a weighted mean.
        ignore_index: a class index that is ignored.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Shape:
        input: (N, C) or (N, C, ...) or (C,); target: the same without C; weight: (C,).

    Raises:
        ShapeError: the shapes do not fit. DtypeError: the target is not of integers. AxisError: a class index is out of
            range.

    >>> lucid.nn.functional.nll_loss(lucid.tensor([[-0.5, -1.0]]), lucid.tensor([1]))
    tensor(1.)
    """
    target = as_tensor(target)
    dim = 1 if input.ndim > 1 else 0
    note(input, *("batch",)[:dim])
    _check_indices("nll_loss", input, target, ignore_index, dim)
    weight = _checked_weight("nll_loss", input, weight, dim)
    return _picked(input, target, weight, ignore_index, reduction, dim)


def _check_indices(name: str, input: Tensor, target: Tensor, ignore_index: int, dim: int) -> None:
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class indices must be integers; got a target of {target.dtype}")
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if not input.ndim or target.shape != expected:
        raise ShapeError(
            f"{name}: the target of an input of shape {input.shape} must have shape {expected} (class indices); got "
            f"{target.shape}"
        )
    classes = concrete(input.shape[dim])
    data = target._data
    if data.size and not (data.min() >= 0 and data.max() < classes):
        valid = data[data != ignore_index]
        if valid.size and not (valid.min() >= 0 and valid.max() < classes):
            raise AxisError(
                f"{name}: class indices must be from 0 to {classes - 1}; got {valid.min()} to {valid.max()}"
            )


def _checked_weight(name: str, input: Tensor, weight: Any, dim: int) -> Tensor | None:
    """Returns the weights of the classes as a tensor, None if there are none."""
    if weight is None:
        return None
    given = as_tensor(weight)
    if given.ndim != 1 or given.shape[0] != input.shape[dim]:
        raise ShapeError(
            f"{name}: weight must have the shape ({input.shape[dim]},), one for each class; got {given.shape}"
        )
    return given


def _picked(logs: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: Reduction, dim: int) -> Tensor:
    """Computes the loss of each target's class."""
    kept = ne(target, ignore_index)
    index = where(kept, target, 0)
    loss = -squeeze(gather_at(logs, unsqueeze(index, dim), dim=dim), dim)
    weights = astype(kept, logs.dtype) if weight is None else _weights(weight, kept, index, logs)
    # Not a product with 0: an ignored loss may be infinite.
    loss = where(kept, loss, 0.0) if weight is None else where(kept, loss, 0.0) * weights
    return loss.sum() / weights.sum() if reduction == "mean" else reduced("nll_loss", loss, reduction)


def _weights(weight: Tensor, kept: Tensor, index: Tensor, logs: Tensor) -> Tensor:
    return where(kept, weight[index], 0.0)


@function
def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Computes the cross entropy between a softmax over classes and a target (torch.nn.functional.cross_entropy).

    For class indices ``-weight[target] * log_softmax(input)[target]``, for probabilities
    ``-Σ_c weight[c] * target[c] * log_softmax(input)[c]``.

    Args:
        input: scores before softmax.
        target: class indices, or the probabilities of all classes.
        weight: a weight for each class; for class indices, the mean is a weighted mean.
        ignore_index: a class index that is ignored.
        reduction: "mean", "sum", or "none" for the loss of each element.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].

    Shape:
        input: (N, C) or (N, C, ...) or (C,); target: the same without C (indices) or the same (probabilities).

    Raises:
        ShapeError: the shapes do not fit. AxisError: a class index is out of range. ValueError: an option is out of
            range.

    >>> lucid.nn.functional.cross_entropy(lucid.zeros(1, 2), lucid.tensor([0]))
    tensor(0.6931)
    """
    target = as_tensor(target)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1]; got {label_smoothing}")
    dim = 1 if input.ndim > 1 else 0
    if not input.ndim:
        raise ShapeError("cross_entropy: input must have an axis of classes; got shape ()")
    weight = _checked_weight("cross_entropy", input, weight, dim)
    note(input, *("batch",)[:dim])
    if target.is_floating_point():
        if ignore_index >= 0:
            raise ValueError(f"cross_entropy: ignore_index is for class indices, not probabilities; got {ignore_index}")
        return _against_probabilities(input, target, weight, reduction, label_smoothing, dim)
    _check_indices("cross_entropy", input, target, ignore_index, dim)
    if label_smoothing == 0:
        loss, weights, _ = class_losses(input, target, weight, dim=dim, ignore_index=ignore_index)
        return loss.sum() / weights.detach().sum() if reduction == "mean" else reduced("cross_entropy", loss, reduction)
    logs = log_softmax(input, dim)
    hard = _picked(logs, target, weight, ignore_index, reduction, dim)
    kept = ne(target, ignore_index)
    scaled = logs if weight is None else logs * _per_class(weight, logs, dim)
    spread = where(kept, -scaled.sum(dim), 0.0)
    if reduction == "mean":
        weights = astype(kept, logs.dtype)
        if weight is not None:
            weights = _weights(weight, kept, where(kept, target, 0), logs)
        spread = spread.sum() / weights.sum()
    else:
        spread = reduced("cross_entropy", spread, reduction)
    return hard * (1 - label_smoothing) + spread * (label_smoothing / size(logs, dim=dim))


def _against_probabilities(
    input: Tensor, target: Tensor, weight: Any, reduction: Reduction, label_smoothing: float, dim: int
) -> Tensor:
    if target.shape != input.shape:
        raise ShapeError(
            f"cross_entropy: a target of {target.dtype} holds probabilities, so it must have the shape of the input, "
            f"{input.shape}; got {target.shape}; class indices are integers, as in target.long()"
        )
    logs = log_softmax(input, dim)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / size(logs, dim=dim)
    if weight is not None:
        logs = logs * _per_class(weight, logs, dim)
    loss = -(logs * target).sum(dim)
    # The mean is over the remaining axes; without any loss it is NaN.
    return reduced("cross_entropy", loss, reduction)


def _per_class(weight: Tensor, logs: Tensor, dim: int) -> Tensor:
    return reshape(weight, [-1 if i == dim else 1 for i in range(logs.ndim)])
