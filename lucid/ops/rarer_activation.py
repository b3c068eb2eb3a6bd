"""Activation functions that recurrent models use less often (torch.nn.functional)."""

from __future__ import annotations

from typing import Any

from ..errors import RangeError
from ..tensor import Tensor
from ..tracer.op import function
from .activation import elu, relu6, softplus
from .elementwise import abs, gt, tanh, where
from .math import clamp, expm1
from .reduce import softmax

__all__ = [
    "celu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "mish",
    "selu",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


@function
def selu(x: Tensor, inplace: bool = False) -> Tensor:
    """Computes ``scale * elu(x, alpha)`` with the numbers that keep means and variances (torch.nn.functional.selu).

    Source: G. Klambauer et al. (2017), "Self-normalizing neural networks".

    >>> lucid.nn.functional.selu(lucid.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return elu(x, 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946


@function
def celu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Computes ``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`` (torch.nn.functional.celu).

    >>> lucid.nn.functional.celu(lucid.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    return where(gt(x, 0), x, expm1(clamp(x, max=0) / alpha) * alpha)


@function
def mish(x: Tensor, inplace: bool = False) -> Tensor:
    """Computes ``x * tanh(softplus(x))`` (torch.nn.functional.mish).

    >>> lucid.nn.functional.mish(lucid.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.944 ])
    """
    return x * tanh(softplus(x))


@function
def hardsigmoid(x: Tensor, inplace: bool = False) -> Tensor:
    """Computes ``min(max(x + 3, 0), 6) / 6`` (torch.nn.functional.hardsigmoid).

    >>> lucid.nn.functional.hardsigmoid(lucid.tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75])
    """
    return relu6(x + 3) / 6


@function
def hardswish(x: Tensor, inplace: bool = False) -> Tensor:
    """Computes ``x * hardsigmoid(x)`` (torch.nn.functional.hardswish).

    >>> lucid.nn.functional.hardswish(lucid.tensor([-4.0, 1.5]))
    tensor([-0.   ,  1.125])
    """
    return x * hardsigmoid(x)


@function
def softsign(x: Tensor) -> Tensor:
    """Computes ``x / (1 + |x|)`` (torch.nn.functional.softsign).

    >>> lucid.nn.functional.softsign(lucid.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """
    return x / (1 + abs(x))


@function
def softmin(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Computes ``softmax(-x)`` along an axis, converted to a dtype first if one is given (torch.nn.functional.softmin).

    >>> lucid.nn.functional.softmin(lucid.tensor([0.0, 1.0]), dim=0)
    tensor([0.7311, 0.2689])
    """
    return softmax(-x, dim, dtype)


@function
def tanhshrink(x: Tensor) -> Tensor:
    """Computes ``x - tanh(x)`` (torch.nn.functional.tanhshrink).

    >>> lucid.nn.functional.tanhshrink(lucid.tensor([0.0, 2.0]))
    tensor([0.   , 1.036])
    """
    return x - tanh(x)


@function
def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """Moves elements towards 0 by `lambd`, and not across it (torch.nn.functional.softshrink).

    >>> lucid.nn.functional.softshrink(lucid.tensor([-1.0, 0.25, 2.0]))
    tensor([-0.5,  0. ,  1.5])
    """
    if lambd < 0:
        raise RangeError(f"softshrink: lambd must not be negative; got {lambd}")
    return x - clamp(x, -lambd, lambd)


@function
def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """Returns 0 for elements between ``-lambd`` and `lambd` (torch.nn.functional.hardshrink).

    >>> lucid.nn.functional.hardshrink(lucid.tensor([-1.0, 0.25, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    return where(gt(abs(x), lambd), x, 0.0)


@function
def threshold(x: Tensor, threshold: Any, value: Any, inplace: bool = False) -> Tensor:
    """Returns `x` where it is greater than `threshold`, else `value` (torch.nn.functional.threshold).

    >>> lucid.nn.functional.threshold(lucid.tensor([0.1, 2.0]), 1.0, -1.0)
    tensor([-1.,  2.])
    """
    return where(gt(x, threshold), x, value)
