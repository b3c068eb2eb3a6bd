"""Gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import GradientError, TraceError
from ...tensor import Tensor, around
from ...tracer.mode import current_trace
from ...tracer.op import FUNCTIONS, OPS

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scales the gradients of all parameters so that their total norm is at most `max_norm`.

    Args:
        parameters: the parameters whose gradients are scaled.
        max_norm: the largest norm.
        norm_type: the p of the norm, or "inf". The total norm is the norm of the parameters' norms, so that 0 counts
            the parameters with a nonzero gradient.
        error_if_nonfinite: raise an error if the norm is inf or NaN, and change nothing.

    Returns:
        The norm before clipping.

    Source: R. Pascanu et al. (2013), "On the difficulty of training recurrent neural networks";
    torch.nn.utils.clip_grad_norm_.

    Example:
        >>> w = lucid.tensor([3.0, 4.0], requires_grad=True)
        >>> w.sum().backward(lucid.tensor(10.0))
        >>> nn.utils.clip_grad_norm_([w], 1.0), w.grad
        (tensor(14.1421), tensor([0.7071, 0.7071]))
    """
    tensors = [p for p in _listed(parameters) if p.grad is not None]
    if current_trace() is not None and tensors:
        if error_if_nonfinite:
            raise TraceError("clip_grad_norm_: a graph cannot raise an error; leave out error_if_nonfinite=True")
        scaled, total = scaled_to_norm([p.grad for p in tensors if p.grad is not None], max_norm, float(norm_type))
        for p, gradient in zip(tensors, scaled, strict=True):
            p.grad = gradient
        return total
    gradients = [p.grad._data for p in tensors if p.grad is not None]
    if not gradients:
        return around(np.zeros((), np.float32))
    norm = float(_norm(np.array([_norm(g, float(norm_type)) for g in gradients]), float(norm_type)))
    if error_if_nonfinite and not math.isfinite(norm):
        raise GradientError(f"clip_grad_norm_: the norm of the gradients is {norm}; no gradient was changed")
    scale = float(max_norm) / (norm + 1e-6)
    if not scale >= 1:
        for p, g in zip(tensors, gradients, strict=True):
            with np.errstate(invalid="ignore"):
                p.grad = around(g * np.asarray(scale, g.dtype))
    return around(np.asarray(norm, gradients[0].dtype))


def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Clips each element of the gradients to [-clip_value, clip_value] (torch.nn.utils.clip_grad_value_).

    Example:
        >>> w = lucid.tensor([3.0, 4.0], requires_grad=True)
        >>> w.sum().backward(lucid.tensor(10.0))
        >>> nn.utils.clip_grad_value_([w], 1.0)
        >>> w.grad
        tensor([1., 1.])
    """
    for p in _listed(parameters):
        if p.grad is not None and current_trace() is not None:
            p.grad = FUNCTIONS["clamp"](p.grad, -clip_value, clip_value)
        elif p.grad is not None:
            p.grad = around(np.clip(p.grad._data, -clip_value, clip_value))


def get_total_norm(tensors: Iterable[Tensor] | Tensor, norm_type: float | str = 2.0) -> Tensor:
    """Returns the norm of the norms of tensors (torch.nn.utils.get_total_norm).

    Example:
        >>> nn.utils.get_total_norm([lucid.tensor([3.0]), lucid.tensor([4.0])])
        tensor(5.)
    """
    arrays = [x._data for x in _listed(tensors)]
    norm = _norm(np.array([_norm(x, float(norm_type)) for x in arrays]), float(norm_type))
    return around(np.asarray(norm, arrays[0].dtype if arrays else np.float32))


def scaled_to_norm(gradients: Sequence[Tensor], max_norm: float, norm_type: float = 2.0) -> tuple[list[Tensor], Tensor]:
    """Does with ops what `clip_grad_norm_` does: returns the scaled gradients, and the norm before.

    It computes in the dtype of the gradients, where `clip_grad_norm_` computes in float64.
    """
    norms = [_recorded_norm(g, norm_type) for g in gradients]
    total = _recorded_norm(FUNCTIONS["stack"](norms), norm_type) if len(norms) > 1 else norms[0]
    scale = OPS["minimum"](float(max_norm) / (total + 1e-6), 1.0)
    return [g * scale for g in gradients], total


def _recorded_norm(x: Tensor, p: float) -> Tensor:
    if p == 2:
        return OPS["sqrt"]((x * x).sum())
    if math.isinf(p):
        return abs(x).amax() if p > 0 else abs(x).amin()
    if p == 0:
        return (x != 0).sum().to(x.dtype)
    return (abs(x) ** p).sum() ** (1 / p)


def _norm(x: np.ndarray[Any, Any], p: float) -> Any:
    if math.isinf(p):
        x = np.abs(x)
        return x.max(initial=0.0) if p > 0 else x.min(initial=math.inf)
    if p == 0:
        return np.count_nonzero(x)
    # In float64: in float32, a sum of many squares would lose digits and depend on the order of the parameters.
    with np.errstate(divide="ignore", over="ignore"):
        return (np.abs(x.astype(np.float64)) ** p).sum() ** (1 / p)


def _listed(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)
