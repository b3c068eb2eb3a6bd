"""Bernoulli: 1 or 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops.activation import softplus
from ..ops.creation import arange
from ..ops.elementwise import astype, eq, ge, log, sigmoid, where
from ..ops.math import clamp, log1p
from ..ops.random import bernoulli
from ..ops.shape import expand, reshape
from ..tensor import Tensor, as_tensor
from ..tracer.mode import no_grad
from .distribution import Distribution, one_of, real, requires

__all__ = ["Bernoulli"]


class Bernoulli(Distribution):
    """The distribution of 1 with a probability, and else 0 (torch.distributions.Bernoulli).

    Args:
        probs: the probability of 1.
        logits: ``log(probs / (1 - probs))``, in place of `probs`.
        validate_args: whether parameters and values are checked; yes if None.

    Shape:
        probs, logits: (*); batch_shape: (*).

    Raises:
        ValueError: neither or both of them are given, or one is out of range.

    Example:
        >>> d = lucid.distributions.Bernoulli(lucid.tensor([0.25]))
        >>> d.log_prob(lucid.tensor([1.0])), d.mean, d.variance
        (tensor([-1.3863]), tensor([0.25]), tensor([0.1875]))
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Bernoulli", probs, logits)
        given = real(logits if probs is None else probs)
        super().__init__(given.shape, validate_args)
        if self._validate_args:
            array = given._data
            if probs is None:
                requires("Bernoulli", "logits must not be NaN", given, ~np.isnan(array))
            else:
                requires("Bernoulli", "probs must be from 0 to 1", given, (array >= 0) & (array <= 1))
        self._from_logits = probs is None
        self._parameter = given

    @property
    def probs(self) -> Tensor:
        """The probability of 1."""
        return sigmoid(self._parameter) if self._from_logits else self._parameter

    @property
    def logits(self) -> Tensor:
        """``log(probs / (1 - probs))``."""
        if self._from_logits:
            return self._parameter
        least = float(np.finfo(self._parameter.dtype).eps)
        p = clamp(self._parameter, least, 1 - least)
        return log(p) - log1p(-p)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return self.batch_shape

    @property
    def mean(self) -> Tensor:
        """The expected value, `probs`."""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.probs * (1 - self.probs)

    @property
    def mode(self) -> Tensor:
        """The more probable value; NaN if both are equally probable."""
        larger = astype(ge(self.probs, 0.5), self.probs.dtype)
        return where(eq(self.probs, 0.5), float("nan"), larger)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return bernoulli(expand(self.probs, self._shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        value = as_tensor(value)
        if self._validate_args:
            requires("Bernoulli", "a value must be 0 or 1", value, (value._data == 0) | (value._data == 1))
        return -_surprise(self.logits, value.to(self.logits.dtype))

    def entropy(self) -> Tensor:
        return _surprise(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Returns 0 and 1 along a new first axis, for each distribution if `expand`."""
        values = reshape(arange(2, dtype=self._parameter.dtype), (2, *[1] * len(self.batch_shape)))
        return values.expand(2, *self.batch_shape) if expand else values

    def _parameters(self) -> dict[str, Tensor]:
        return {"logits" if self._from_logits else "probs": self._parameter}


def _surprise(logits: Tensor, value: Tensor) -> Tensor:
    """Computes the binary cross entropy of ``sigmoid(logits)`` without underflow."""
    return (1 - value) * logits + softplus(-logits, 1.0, float("inf"))
