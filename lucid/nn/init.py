"""Initial values of parameters, written in place (torch.nn.init)."""

from __future__ import annotations

from ..ops.random import normal, uniform
from ..tensor import Tensor

__all__ = ["constant_", "normal_", "ones_", "uniform_", "zeros_"]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw from the uniform distribution on [a, b).

    >>> w = nn.init.uniform_(lucid.zeros(100), -1, 1)
    >>> bool((w >= -1).all() & (w < 1).all())
    True
    """
    tensor._assign(uniform(shape=tensor.shape, low=a, high=b, dtype=tensor.dtype)._data)
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw from the normal distribution.

    >>> nn.init.normal_(lucid.zeros(2, 3), std=0.02).shape
    (2, 3)
    """
    tensor._assign(normal(shape=tensor.shape, mean=mean, std=std, dtype=tensor.dtype)._data)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> nn.init.constant_(lucid.zeros(2), 0.3)
    tensor([0.3, 0.3])
    """
    tensor._data.fill(val)
    tensor._touch()
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros.

    >>> nn.init.zeros_(lucid.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones.

    >>> nn.init.ones_(lucid.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)
