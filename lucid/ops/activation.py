"""Activation functions other than `tanh`, `sigmoid` and `relu` (torch.nn.functional)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .elementwise import exp, gt, le, relu, sigmoid, tanh, where
from .erf import erf_array
from .shape import reshape_to, split

__all__ = ["elu", "gelu", "glu", "hardtanh", "leaky_relu", "logsigmoid", "prelu", "relu6", "silu", "softplus"]

# PyTorch computes inf and nan silently; so do these.
_quiet = np.errstate(all="ignore")

_ROOT_HALF = 0.7071067811865476
_ONE_OVER_ROOT_2_PI = 0.3989422804014327
# gelu's approximation by tanh.
_ROOT_2_OVER_PI = 0.7978845608028654
_CUBIC = 0.044715


@op
def leaky_relu(x: Array, /, negative_slope: float = 0.01) -> Array:
    """Returns `x` where it is positive, else ``negative_slope * x`` (ONNX LeakyRelu).

    >>> lucid.nn.functional.leaky_relu(lucid.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return np.where(x > 0, x, x * negative_slope)


@leaky_relu.vjp
def _(g: Tensor, x: Tensor, negative_slope: float) -> Any:
    return where(gt(x, 0), g, g * negative_slope)


@function
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Returns `x` where it is positive, else ``weight * x`` (torch.nn.functional.prelu).

    Shape:
        x: (N, C, *), or any other for one weight; weight: (C,), (1,) or (); the result: that of `x`.

    Raises:
        ShapeError: there are neither one nor C weights.

    Source: K. He et al. (2015), "Delving deep into rectifiers".

    >>> lucid.nn.functional.prelu(lucid.tensor([[-1.0, 2.0]]), lucid.tensor([0.5]))
    tensor([[-0.5,  2. ]])
    """
    many = weight.ndim == 1 and weight.shape[0] != 1
    if weight.ndim > 1 or (many and weight.shape[0] != (x.shape[1] if x.ndim > 1 else 1)):
        raise ShapeError(f"prelu: expected one weight, or one for each channel of {x.shape}; got {weight.shape}")
    slope = reshape_to(weight, shape=(-1, *[1] * (x.ndim - 2)) if many else ())
    positive = gt(x, 0)
    # Each product has the elements of one side alone, since 0 times infinity would be NaN.
    return where(positive, x, 0.0) + slope * where(positive, 0.0, x)


@op
@_quiet
def elu(x: Array, /, alpha: float = 1.0) -> Array:
    """Returns `x` where it is positive, else ``alpha * (exp(x) - 1)`` (ONNX Elu).

    Source: D.-A. Clevert et al. (2016), "Fast and accurate deep network learning by exponential linear units".

    >>> lucid.nn.functional.elu(lucid.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    return np.where(x > 0, x, alpha * np.expm1(x))


@elu.vjp
def _(g: Tensor, x: Tensor, alpha: float) -> Any:
    positive = gt(x, 0)
    # Avoids the exponential of a large number, whose product with 0 would be NaN.
    return where(positive, g, g * exp(where(positive, 0.0, x)) * alpha)


@op
@_quiet
def silu(x: Array, /) -> Array:
    """Computes ``x * sigmoid(x)``, also called swish.

    >>> lucid.nn.functional.silu(lucid.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    y = np.exp(-x)
    y += 1
    return x / y


@silu.vjp
def _(g: Tensor, x: Tensor) -> Any:
    s = sigmoid(x)
    return g * (s * (x * (1 - s) + 1))


@op
@_quiet
def softplus(x: Array, /, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Computes ``log(1 + exp(beta * x)) / beta``, or `x` where ``beta * x > threshold`` (ONNX Softplus).

    >>> lucid.nn.functional.softplus(lucid.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.    ])
    """
    z = x * beta
    return np.where(z > threshold, x, (np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)) / beta)


@softplus.vjp
def _(g: Tensor, x: Tensor, beta: float, threshold: float) -> Any:
    z = x * beta
    return where(gt(z, threshold), g, g * sigmoid(z))


@function
def logsigmoid(x: Tensor) -> Tensor:
    """Computes ``log(sigmoid(x))`` without underflow (torch.nn.functional.logsigmoid).

    >>> lucid.nn.functional.logsigmoid(lucid.tensor([0.0, -100.0]))
    tensor([  -0.6931, -100.    ])
    """
    return -softplus(-x, 1.0, float("inf"))


@op
@_quiet
def gelu_erf(x: Array, /) -> Array:
    """Computes ``x * Φ(x)``, where Φ is the distribution function of the standard normal distribution (ONNX Gelu)."""
    y = erf_array(x * _ROOT_HALF)
    y += 1
    y *= 0.5
    y *= x
    return y


@gelu_erf.vjp
def _(g: Tensor, x: Tensor) -> Any:
    return g * gelu_slope(x)


@op
@_quiet
def gelu_slope(x: Array, /) -> Array:
    """Computes ``Φ(x) + x φ(x)``, the derivative of `gelu`; φ is the density of the standard normal distribution."""
    y = erf_array(x * _ROOT_HALF)
    y += 1
    y *= 0.5
    density = np.multiply(x, x) * -0.5
    return y + x * (np.exp(density) * _ONE_OVER_ROOT_2_PI)


@gelu_slope.vjp
def _(g: Tensor, x: Tensor) -> Any:
    square = x * x
    return g * ((2 - square) * exp(square * -0.5) * _ONE_OVER_ROOT_2_PI)


@op
def gelu_tanh(x: Array, /) -> Array:
    """Computes ``0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))`` (ONNX Gelu, approximate="tanh")."""
    y = np.tanh(_ROOT_2_OVER_PI * (x + _CUBIC * (x * x * x)))
    y += 1
    y *= 0.5  # first: twice a large `x` overflows
    return x * y


@gelu_tanh.vjp
def _(g: Tensor, x: Tensor) -> Any:
    t = tanh((x + x * x * x * _CUBIC) * _ROOT_2_OVER_PI)
    slope = (1 - t * t) * ((x * x * (3 * _CUBIC) + 1) * _ROOT_2_OVER_PI)
    return g * ((t + 1) * 0.5 + x * slope * 0.5)


@function
def gelu(x: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """Computes ``x * Φ(x)``, where Φ is the standard normal distribution function, or its approximation by tanh.

    Source: D. Hendrycks and K. Gimpel (2016), "Gaussian error linear units".

    >>> lucid.nn.functional.gelu(lucid.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}")
    return gelu_tanh(x) if approximate == "tanh" else gelu_erf(x)


@op
def hardtanh(x: Array, /, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Clamps `x` to a range; outside it, and at its limits, the gradient is 0 (ONNX Clip).

    >>> lucid.nn.functional.hardtanh(lucid.tensor([-2.0, 0.5]))
    tensor([-1. ,  0.5])
    """
    if min_val > max_val:
        raise ValueError("min_val must not be greater than max_val")
    if type(x) is np.ndarray and x.dtype.kind in "iu":
        min_val, max_val = integer_limits(x.dtype, min_val, max_val)
    return np.minimum(np.maximum(x, min_val), max_val)


def integer_limits(dtype: np.dtype[Any], *limits: float) -> list[int]:
    """Rounds limits towards 0, to integers of a dtype, as PyTorch does."""
    info = np.iinfo(dtype)
    return [int(min(max(limit, info.min), info.max)) for limit in limits]


@hardtanh.vjp
def _(g: Tensor, x: Tensor, min_val: float, max_val: float) -> Any:
    return where(le(x, min_val) | le(max_val, x), 0.0, g)


@function
def relu6(x: Tensor, inplace: bool = False) -> Tensor:
    """Clamps `x` to [0, 6] (torch.nn.functional.relu6).

    >>> lucid.nn.functional.relu6(lucid.tensor([-1.0, 9.0]))
    tensor([0., 6.])
    """
    return hardtanh(x, 0.0, 6.0)


@function
def glu(x: Tensor, dim: int = -1) -> Tensor:
    """Multiplies the first half of an axis by the sigmoid of the second half (torch.nn.functional.glu).

    Raises:
        ShapeError: the axis has an odd size.

    Source: Y. Dauphin et al. (2017), "Language modeling with gated convolutional networks".

    >>> lucid.nn.functional.glu(lucid.tensor([3.0, 0.0]))
    tensor([1.5])
    """
    if not x.ndim:
        raise ShapeError("glu: a tensor without axes has no halves")
    if x.shape[dim] % 2:
        raise ShapeError(f"glu: axis {dim} must have an even size; got shape {x.shape}")
    value, gate = split(x, x.shape[dim] // 2, dim)
    return value * sigmoid(gate)


for _op in (relu, leaky_relu, elu, silu, hardtanh):
    # Accepted for ported code, as by the modules: the result is always a new tensor.
    _op.takes("inplace")(lambda *args, inplace, _op=_op, **options: _op(*args, **options))
