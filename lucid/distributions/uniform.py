"""Uniform: the uniform distribution between two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..ops.elementwise import ge, le, log, lt, where
from ..ops.math import clamp, square
from ..ops.random import rand
from ..ops.shape import expand
from ..tensor import Tensor, as_tensor
from ..tracer.extent import broadcast
from ..tracer.mode import no_grad
from .distribution import Distribution, real, requires

__all__ = ["Uniform"]


class Uniform(Distribution):
    """The uniform distribution between two numbers (torch.distributions.Uniform).

    Args:
        low: the least value.
        high: the bound that values stay below.
        validate_args: whether parameters and values are checked; yes if None.

    Shape:
        low, high: broadcast to batch_shape.

    Raises:
        RangeError: `low` is not less than `high`, or a value lies outside.

    Example:
        >>> d = lucid.distributions.Uniform(0.0, lucid.tensor([1.0, 2.0]))
        >>> d.log_prob(lucid.tensor([0.5, 0.5])), d.mean
        (tensor([ 0.    , -0.6931]), tensor([0.5, 1. ]))
        >>> d.sample((3,)).shape
        (3, 2)
    """

    has_rsample: ClassVar[bool] = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        low, high = real(low), real(high)
        shape = broadcast(low.shape, high.shape)
        super().__init__(shape, validate_args)
        self.low, self.high = expand(low, shape), expand(high, shape)
        if self._validate_args:
            requires("Uniform", "low must be less than high", high, np.less(low._data, high._data))

    @property
    def mean(self) -> Tensor:
        """The expected value, in the middle."""
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return square(self.high - self.low) / 12

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.low + (self.high - self.low) * rand(self._shape(sample_shape), dtype=self.low.dtype)

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        inside = ge(value, self.low) & lt(value, self.high)
        return where(inside, 0 - log(self.high - self.low), float("-inf"))

    def cdf(self, value: Any) -> Tensor:
        """Returns the probability of a draw of at most a value."""
        return clamp((self._checked(value) - self.low) / (self.high - self.low), 0, 1)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    def _checked(self, value: Any) -> Tensor:
        value = as_tensor(value)
        if self._validate_args:
            inside = ge(value, self.low) & le(value, self.high)
            requires("Uniform", "a value must lie between low and high", value, inside._data)
        return value

    def _parameters(self) -> dict[str, Tensor]:
        return {"low": self.low, "high": self.high}
