"""Distribution: what all distributions have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import RangeError
from ..ops.elementwise import exp, sqrt
from ..tensor import Tensor, as_tensor

__all__ = ["Distribution", "one_of", "real", "requires"]

Shape = tuple[int, ...]


class Distribution:
    """The base class of all distributions (torch.distributions.Distribution).

    Args:
        batch_shape: the shape of the independent distributions that the parameters describe.
        validate_args: whether parameters and values are checked; yes if None.

    Attributes:
        batch_shape: as given. event_shape: the shape of one draw, which is () for all distributions here.
        has_rsample: whether `rsample` exists: a draw that is differentiable with respect to the parameters.
    """

    has_rsample: ClassVar[bool] = False
    event_shape: Shape = ()

    def __init__(self, batch_shape: Shape = (), validate_args: bool | None = None) -> None:
        self.batch_shape = tuple(batch_shape)
        self._validate_args = validate_args is None or validate_args

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws without gradients; the result has the shape ``sample_shape + batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__} does not define sample()")

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws, differentiably with respect to the parameters."""
        raise NotImplementedError(
            f"{type(self).__name__}: a draw is not differentiable; weight log_prob of a sample by its reward instead"
        )

    def log_prob(self, value: Any) -> Tensor:
        """Returns the logarithm of the probability, or of its density, at a value."""
        raise NotImplementedError(f"{type(self).__name__} does not define log_prob()")

    def entropy(self) -> Tensor:
        """Returns the entropy of each distribution, in nats."""
        raise NotImplementedError(f"{type(self).__name__} does not define entropy()")

    def perplexity(self) -> Tensor:
        """Returns the exponential of the entropy."""
        return exp(self.entropy())

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise NotImplementedError(f"{type(self).__name__} does not define mean")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError(f"{type(self).__name__} does not define variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return sqrt(self.variance)

    def _shape(self, sample_shape: Sequence[int]) -> Shape:
        """Returns the shape of a sample."""
        return (*sample_shape, *self.batch_shape)

    def _parameters(self) -> dict[str, Tensor]:
        """Returns the parameters that were given."""
        return {}

    def __repr__(self) -> str:
        shown = [f"{name}: {x if x.numel() == 1 else list(x.shape)}" for name, x in self._parameters().items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def one_of(name: str, probs: Any, logits: Any) -> None:
    """Raises ValueError unless one of two forms of a parameter is given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: give probs or logits, and not both")


def real(x: Any) -> Tensor:
    """Returns a parameter as a tensor of floating-point numbers."""
    tensor = as_tensor(x)
    return tensor if tensor.is_floating_point() else tensor.to(np.float32)


def requires(name: str, what: str, x: Tensor, holds: Any) -> None:
    """Raises RangeError unless a condition, of bools in NumPy, holds for all elements."""
    if not np.all(holds):
        raise RangeError(f"{name}: {what}; got {x._data if x.numel() < 10 else f'a tensor of shape {x.shape}'}")
