"""Categorical: one of several classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ops.creation import arange, full
from ..ops.elementwise import log
from ..ops.extremum import argmax
from ..ops.math import clamp
from ..ops.random import multinomial
from ..ops.reduce import logsumexp, softmax, sum
from ..ops.scatter import gather
from ..ops.shape import expand, permute, reshape, squeeze, unsqueeze
from ..tensor import Tensor, as_tensor
from ..tracer.dim import concrete
from ..tracer.extent import broadcast
from ..tracer.mode import no_grad
from .distribution import Distribution, one_of, real, requires

__all__ = ["Categorical"]


class Categorical(Distribution):
    """A distribution over the classes 0 to C - 1 (torch.distributions.Categorical).

    Args:
        probs: probabilities, or weights that are divided by their sum.
        logits: scores, in place of `probs`: logarithms of weights.
        validate_args: whether parameters and values are checked; yes if None.

    Shape:
        probs, logits: (*, C); batch_shape: (*).

    Raises:
        ValueError: neither or both of them are given, or one is out of range. ShapeError: there is no axis of classes.

    Example:
        >>> d = lucid.distributions.Categorical(logits=lucid.tensor([0.0, 0.0, -100.0]))
        >>> d.log_prob(lucid.tensor(1)), d.entropy()
        (tensor(-0.6931), tensor(0.6931))
        >>> d.sample((1000,)).max() < 2
        tensor(True)
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Categorical", probs, logits)
        given = real(logits if probs is None else probs)
        if not given.ndim:
            raise ShapeError("Categorical: the parameter must have an axis of classes; got a number")
        super().__init__(given.shape[:-1], validate_args)
        if self._validate_args:
            array = given._data
            if probs is None:
                requires("Categorical", "logits must not be NaN", given, ~np.isnan(array))
            else:
                holds = (array >= 0) & (array.sum(-1, keepdims=True) > 0)
                requires("Categorical", "probs must not be negative, nor all 0", given, holds)
        self._from_logits = probs is None
        self._parameter = given - logsumexp(given, -1, True) if probs is None else given / sum(given, -1, True)

    # Computed at each access: what a sample computes has no gradients, and what a trace computes is of the trace.

    @property
    def probs(self) -> Tensor:
        """The probabilities, (*, C)."""
        return softmax(self._parameter, -1) if self._from_logits else self._parameter

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities, (*, C)."""
        if self._from_logits:
            return self._parameter
        least = float(np.finfo(self._parameter.dtype).eps)
        return log(clamp(self._parameter, least, 1 - least))

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return self._parameter.shape

    @property
    def mean(self) -> Tensor:
        """NaN: classes have no mean."""
        return full(self.batch_shape, float("nan"), dtype=self._parameter.dtype)

    @property
    def variance(self) -> Tensor:
        """NaN: classes have no variance."""
        return self.mean

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        return argmax(self._parameter, -1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            count = math.prod(sample_shape)
            rows = reshape(self.probs, (-1, self.param_shape[-1]))
            drawn = permute(multinomial(rows, count, True), (1, 0))
            return reshape(drawn, self._shape(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        value = as_tensor(value)
        classes = self.param_shape[-1]
        if self._validate_args:
            array, count = value._data, concrete(classes)
            holds = (array >= 0) & (array < count) & (array == np.floor(array))
            requires("Categorical", f"a value must be a class from 0 to {count - 1}", value, holds)
        shape = broadcast(value.shape, self.batch_shape)
        index = unsqueeze(expand(value.to(np.int64), shape), -1)
        return squeeze(gather(expand(self.logits, (*shape, classes)), -1, index), -1)

    def entropy(self) -> Tensor:
        # 0 times minus infinity would be NaN.
        bounded = clamp(self.logits, float(np.finfo(self.logits.dtype).min))
        return -sum(bounded * self.probs, -1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Returns all classes along a new first axis, for each distribution if `expand`."""
        classes = self.param_shape[-1]
        values = reshape(arange(classes), (-1, *[1] * len(self.batch_shape)))
        return values.expand(classes, *self.batch_shape) if expand else values

    def _parameters(self) -> dict[str, Tensor]:
        return {"logits" if self._from_logits else "probs": self._parameter}
