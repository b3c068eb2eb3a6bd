"""The Kullback–Leibler divergence of two distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops.activation import softplus
from ..ops.elementwise import eq, log, where
from ..ops.math import square
from ..ops.reduce import sum
from ..tensor import Tensor
from .bernoulli import Bernoulli
from .categorical import Categorical
from .distribution import Distribution
from .normal import Normal

__all__ = ["kl_divergence"]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Returns the Kullback–Leibler divergence of two distributions of the same kind
    (torch.distributions.kl_divergence).

    Args:
        p: the distribution that the expectation is of.
        q: the distribution that it is compared with.

    Raises:
        NotImplementedError: they are of different kinds.

    Example:
        >>> standard, wide = lucid.distributions.Normal(0.0, 1.0), lucid.distributions.Normal(1.0, 1.0)
        >>> lucid.distributions.kl_divergence(standard, wide)
        tensor(0.5)
    """
    divergence = _DIVERGENCES.get(type(p))
    if divergence is None or type(p) is not type(q):
        raise NotImplementedError(
            f"kl_divergence: no formula for {type(p).__name__} and {type(q).__name__}; estimate it by the mean of "
            "p.log_prob(x) - q.log_prob(x) over samples x of p"
        )
    return divergence(p, q)


def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = square(p.scale / q.scale)
    return 0.5 * (ratio + square((p.loc - q.loc) / q.scale) - 1 - log(ratio))


def _categorical(p: Categorical, q: Categorical) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = where(eq(q.probs, 0), float("inf"), terms)
    return sum(where(eq(p.probs, 0), 0.0, terms), -1)


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    ones = p.probs * (softplus(-q.logits, 1.0, float("inf")) - softplus(-p.logits, 1.0, float("inf")))
    zeros = (1 - p.probs) * (softplus(q.logits, 1.0, float("inf")) - softplus(p.logits, 1.0, float("inf")))
    return ones + zeros


_DIVERGENCES: dict[type[Distribution], Callable[[Any, Any], Tensor]] = {
    Normal: _normal,
    Categorical: _categorical,
    Bernoulli: _bernoulli,
}
