"""Initialization of parameters, in place (torch.nn.init)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..absent import absent_from
from ..errors import ShapeError
from ..ops.draw import gaussian, uniform
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

Mode = Literal["fan_in", "fan_out"]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fills a tensor from the uniform distribution on [a, b).

    >>> w = nn.init.uniform_(lucid.zeros(100), -1, 1)
    >>> bool((w >= -1).all() & (w < 1).all())
    True
    """
    tensor._assign(uniform(shape=tensor.shape, low=a, high=b, dtype=tensor.dtype)._data)
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fills a tensor from the normal distribution.

    >>> nn.init.normal_(lucid.zeros(2, 3), std=0.02).shape
    (2, 3)
    """
    tensor._assign(gaussian(shape=tensor.shape, mean=mean, std=std, dtype=tensor.dtype)._data)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills a tensor with one value.

    >>> nn.init.constant_(lucid.zeros(2), 0.3)
    tensor([0.3, 0.3])
    """
    tensor._assign(np.asarray(val, tensor.dtype))
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fills a tensor with zeros.

    >>> nn.init.zeros_(lucid.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fills a tensor with ones.

    >>> nn.init.ones_(lucid.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with ones on the diagonal and zeros elsewhere.

    >>> nn.init.eye_(lucid.zeros(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: expected a matrix; got shape {tensor.shape}")
    tensor._assign(np.eye(*tensor.shape, dtype=tensor.dtype))
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Returns the gain that approximately preserves the variance through a nonlinearity.

    Args:
        nonlinearity: "linear", "conv1d", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the slope of "leaky_relu" below 0; 0.01 if not given.

    Raises:
        ValueError: the nonlinearity is none of these.

    >>> nn.init.calculate_gain("leaky_relu", 2.0)
    0.6324555320336759
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {', '.join([*_GAINS, 'leaky_relu'])}; got {nonlinearity!r}"
        )
    return _GAINS[nonlinearity]


_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Returns the number of inputs per output of a weight (O, I, ...), and of outputs per input."""
    if tensor.ndim < 2:
        raise ShapeError(f"{name}: expected a weight with two axes or more; got shape {tensor.shape}")
    positions = math.prod(tensor.shape[2:])
    return tensor.shape[1] * positions, tensor.shape[0] * positions


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills a tensor from U(-a, a), ``a = gain * √(6 / (fan_in + fan_out))``.

    Source: X. Glorot and Y. Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".

    >>> w = nn.init.xavier_uniform_(lucid.zeros(2, 4))
    >>> bool((abs(w) <= 1).all())
    True
    """
    bound = gain * math.sqrt(6.0 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills a tensor from the normal distribution of standard deviation ``gain * √(2 / (fan_in + fan_out))``.

    Source: X. Glorot and Y. Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".

    >>> nn.init.xavier_normal_(lucid.zeros(2, 4)).shape
    (2, 4)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans("xavier_normal_", tensor))))


def _kaiming(name: str, tensor: Tensor, a: float, mode: Mode, nonlinearity: str) -> float:
    """Returns the standard deviation that preserves variances, forward ("fan_in") or backward."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out'; got {mode!r}")
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: Mode = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fills a tensor from U(-b, b), ``b = gain * √(3 / fan)``.

    Args:
        tensor: a weight.
        a: the slope of "leaky_relu" below 0.
        mode: "fan_in" to preserve variances forward, "fan_out" backward.
        nonlinearity: the nonlinearity that follows; it determines the gain.

    Source: K. He et al. (2015), "Delving deep into rectifiers".

    >>> w = nn.init.kaiming_uniform_(lucid.zeros(2, 6))
    >>> bool((abs(w) <= 1).all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: Mode = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fills a tensor from the normal distribution of standard deviation ``gain / √fan``; see `kaiming_uniform_`.

    Source: K. He et al. (2015), "Delving deep into rectifiers".

    >>> nn.init.kaiming_normal_(lucid.zeros(2, 6), nonlinearity="relu").shape
    (2, 6)
    """
    return normal_(tensor, 0.0, _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fills a matrix so that its rows, or columns if there are fewer, are orthogonal and of length `gain`.

    Axes after the first are treated as one.

    Source: A. Saxe et al. (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear networks".

    >>> w = nn.init.orthogonal_(lucid.zeros(2, 3, dtype="float64"))
    >>> np.allclose((w @ w.T).numpy(), np.eye(2))
    True
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: expected a tensor with two axes or more; got shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    if not rows * columns:
        return tensor
    # QR gives as many orthogonal columns as the matrix has.
    drawn = gaussian(shape=(max(rows, columns), min(rows, columns)), mean=0.0, std=1.0, dtype=np.dtype(np.float64))
    q, r = np.linalg.qr(drawn._data)
    # With the signs of r's diagonal, all orthogonal matrices are equally likely.
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    q = q.T if rows < columns else q
    tensor._assign((gain * q).reshape(tensor.shape).astype(tensor.dtype))
    return tensor


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fills a tensor from the normal distribution truncated to [a, b].

    Raises:
        ValueError: `a` is not less than `b`, or `std` is not positive.

    >>> w = nn.init.trunc_normal_(lucid.zeros(100), std=3.0)
    >>> bool((abs(w) <= 2).all())
    True
    """
    if not a < b or not std > 0:
        raise ValueError(f"trunc_normal_: a must be less than b, and std positive; got a={a}, b={b}, std={std}")
    low, high = (a - mean) / std, (b - mean) / std
    inside = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    nearest = min(max(0.0, low), high)
    double = np.dtype(np.float64)
    values = np.empty(math.prod(tensor.shape))
    left = np.arange(values.size)
    while left.size:
        shape = (left.size,)
        if inside > 0.2:
            drawn = gaussian(shape=shape, mean=0.0, std=1.0, dtype=double)._data
            kept = (drawn >= low) & (drawn <= high)
        else:
            # Far in a tail, or between narrow bounds, most would be rejected: draw uniformly, accept by density.
            drawn = uniform(shape=shape, low=low, high=high, dtype=double)._data
            chance = uniform(shape=shape, low=0.0, high=1.0, dtype=double)._data
            kept = chance < np.exp((nearest**2 - drawn**2) / 2)
        values[left[kept]] = drawn[kept]
        left = left[~kept]
    tensor._assign(np.clip(values * std + mean, a, b).reshape(tensor.shape).astype(tensor.dtype))
    return tensor


# Type checkers would assume that every name exists.
if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
