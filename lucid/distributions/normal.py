"""Normal: the normal, or Gaussian, distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..ops.elementwise import log
from ..ops.math import erf, square
from ..ops.random import randn
from ..ops.shape import expand
from ..tensor import Tensor, as_tensor
from ..tracer.extent import broadcast
from ..tracer.mode import no_grad
from .distribution import Distribution, real, requires

__all__ = ["Normal"]

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class Normal(Distribution):
    """The normal distribution (torch.distributions.Normal).

    Args:
        loc: the mean.
        scale: the standard deviation.
        validate_args: whether parameters and values are checked; yes if None.

    Shape:
        loc, scale: broadcast to batch_shape.

    Raises:
        ValueError: a standard deviation is not positive, or a parameter is NaN.

    Example:
        >>> d = lucid.distributions.Normal(0.0, lucid.tensor([1.0, 2.0]))
        >>> d.log_prob(lucid.tensor([0.0, 0.0])), d.variance
        (tensor([-0.9189, -1.6121]), tensor([1., 4.]))
        >>> d.rsample((3,)).shape
        (3, 2)
    """

    has_rsample: ClassVar[bool] = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        loc, scale = real(loc), real(scale)
        shape = broadcast(loc.shape, scale.shape)
        super().__init__(shape, validate_args)
        self.loc, self.scale = expand(loc, shape), expand(scale, shape)
        if self._validate_args:
            requires("Normal", "loc must not be NaN", loc, ~np.isnan(loc._data))
            requires("Normal", "scale must be positive", scale, scale._data > 0)

    @property
    def mean(self) -> Tensor:
        """The expected value, `loc`."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The value of the greatest density, `loc`."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """The standard deviation, `scale`."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return square(self.scale)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc + self.scale * randn(self._shape(sample_shape), dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        return -square(value - self.loc) / (2 * self.variance) - log(self.scale) - _HALF_LOG_2_PI

    def cdf(self, value: Any) -> Tensor:
        """Returns the probability of a draw of at most a value."""
        return 0.5 * (1 + erf((self._checked(value) - self.loc) / (self.scale * math.sqrt(2))))

    def entropy(self) -> Tensor:
        return log(self.scale) + (0.5 + _HALF_LOG_2_PI)

    def _checked(self, value: Any) -> Tensor:
        value = as_tensor(value)
        if self._validate_args:
            requires("Normal", "a value must not be NaN", value, ~np.isnan(value._data))
        return value

    def _parameters(self) -> dict[str, Tensor]:
        return {"loc": self.loc, "scale": self.scale}
