"""Draws from distributions, by PCG64 or, if the generator is counter-based, by ops that an exported file has, too."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array, function
from .conversion import detach
from .counter import BITS, keyed_uniform
from .elementwise import astype, log, lt, maximum, neg, sqrt
from .generator import Counter, counter_of, numpy_generator
from .math import cos

__all__ = [
    "UNHASHED",
    "bernoulli",
    "bernoulli_like",
    "exponential_like",
    "gaussian",
    "integers",
    "permutation",
    "uniform",
]

_UNKEYED = (
    "it draws random numbers whose generator a file does not have; after lucid.manual_seed(seed, generator='counter') "
    "the file draws the same numbers, from an input named seed"
)
UNHASHED = "it draws random numbers, and no file does so in this way; draw outside of the model, and pass what it drew"
_CONSTANT = "it has no inputs"
_NO_FUNCTION = "it is random, not a function of its input"


@op(no_gradient=_CONSTANT, no_export=_UNKEYED)
def pcg_uniform(*, shape: tuple[int, ...], low: float, high: float, dtype: Any, generator: Any = None) -> Array:
    """Draws from the uniform distribution on [low, high), by PCG64."""
    draws = numpy_generator(generator).random(shape, dtype=dtype if dtype in (np.float32, np.float64) else np.float64)
    return (draws * (high - low) + low).astype(dtype, copy=False)


@op(no_gradient=_CONSTANT, no_export=_UNKEYED)
def pcg_gaussian(*, shape: tuple[int, ...], mean: float, std: float, dtype: Any, generator: Any = None) -> Array:
    """Draws from the normal distribution, by PCG64."""
    draws = numpy_generator(generator).standard_normal(
        shape, dtype=dtype if dtype in (np.float32, np.float64) else np.float64
    )
    return (draws * std + mean).astype(dtype, copy=False)


@op(no_gradient=_CONSTANT, no_export=UNHASHED)
def integers(*, shape: tuple[int, ...], low: int, high: int, dtype: Any, generator: Any = None) -> Array:
    """Draws integers from `low` up to, but excluding, `high`."""
    return numpy_generator(generator).integers(low, high, shape, dtype=dtype)


@op(no_gradient=_CONSTANT, no_export=UNHASHED)
def permutation(*, n: int, generator: Any = None) -> Array:
    """Returns the integers below n in random order."""
    return numpy_generator(generator).permutation(n)


@op(no_gradient=_NO_FUNCTION, no_export=_UNKEYED)
def pcg_bernoulli_like(x: Array, /, p: float) -> Array:
    """Returns 1 with probability `p`, else 0, in the shape and dtype of `x`, by PCG64."""
    draws = numpy_generator(None).random(x.shape, dtype=np.float32)
    return (draws < p).astype(x.dtype)


@op(no_gradient=_NO_FUNCTION, no_export=_UNKEYED)
def pcg_exponential_like(x: Array, /) -> Array:
    """Draws from the exponential distribution, above 0, in the shape and dtype of `x`, by PCG64."""
    dtype = np.float32 if x.dtype == np.float32 else np.float64
    draws = numpy_generator(None).standard_exponential(x.shape, dtype=dtype)
    return np.maximum(draws, np.finfo(x.dtype).tiny).astype(x.dtype, copy=False)


@op(no_gradient=_NO_FUNCTION, no_export=_UNKEYED)
def pcg_bernoulli(x: Array, /, *, generator: Any = None) -> Array:
    """Returns 1 with the probability that each element gives, else 0, by PCG64."""
    return (numpy_generator(generator).random(x.shape) < x).astype(x.dtype)


def _keyed(counter: Counter, shape: Any, dtype: Any, words: int = 1) -> list[Tensor]:
    """Returns uniform numbers on [0, 1), one or several for each element of one draw."""
    draw = counter.take()
    return [keyed_uniform(counter.key, shape=shape, draw=draw, word=word, dtype=dtype) for word in range(words)]


def _computed(dtype: Any) -> np.dtype[Any]:
    """Returns the dtype in which a function of uniform numbers is computed."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


@function
def uniform(*, shape: Any, low: float, high: float, dtype: Any, generator: Any = None) -> Tensor:
    """Draws from the uniform distribution on [low, high)."""
    counter = counter_of(generator)
    if counter is None:
        return pcg_uniform(shape=shape, low=low, high=high, dtype=dtype, generator=generator)
    dtype = np.dtype(dtype)
    drawn = _keyed(counter, shape, dtype if dtype.name in BITS else np.dtype(np.float32))[0]
    if (low, high) != (0, 1):
        drawn = drawn * (high - low) + low
    return drawn if drawn.dtype == dtype else astype(drawn, dtype)


@function
def gaussian(*, shape: Any, mean: float, std: float, dtype: Any, generator: Any = None) -> Tensor:
    """Draws from the normal distribution.

    Source: G. E. P. Box and M. E. Muller (1958), "A note on the generation of random normal deviates".
    """
    counter = counter_of(generator)
    if counter is None:
        return pcg_gaussian(shape=shape, mean=mean, std=std, dtype=dtype, generator=generator)
    distance, turn = _keyed(counter, shape, _computed(dtype), 2)
    # Neither logarithm nor cosine gets an argument at which libraries lose digits: (0, 1] and [-π, π).
    drawn = sqrt(log(1 - distance) * -2.0) * cos((turn - 0.5) * (2 * np.pi))
    if (mean, std) != (0, 1):
        drawn = drawn * std + mean
    return drawn if drawn.dtype == dtype else astype(drawn, np.dtype(dtype))


@function
def bernoulli_like(x: Tensor, p: float) -> Tensor:
    """Returns 1 with probability `p`, else 0, in the shape and dtype of `x`."""
    counter = counter_of(None)
    if counter is None:
        return pcg_bernoulli_like(x, p=p)
    drawn = _keyed(counter, x.shape, np.dtype(np.float32))[0]
    return astype(lt(drawn, float(np.float32(p)) if isinstance(p, float) else p), x.dtype)


@function
def exponential_like(x: Tensor) -> Tensor:
    """Draws from the exponential distribution, above 0, in the shape and dtype of `x`."""
    counter = counter_of(None)
    if counter is None:
        return pcg_exponential_like(x)
    drawn = neg(log(1 - _keyed(counter, x.shape, _computed(x.dtype))[0]))
    return astype(maximum(drawn, float(np.finfo(x.dtype).tiny)), x.dtype)


@function
def bernoulli(x: Tensor, *, generator: Any = None) -> Tensor:
    """Returns 1 with the probability that each element gives, else 0 (torch.bernoulli).

    >>> lucid.bernoulli(lucid.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    counter = counter_of(generator)
    if counter is None:
        return pcg_bernoulli(x, generator=generator)
    x = detach(as_tensor(x))
    kind = x.dtype if x.dtype.name in BITS else np.dtype(np.float32)
    return astype(lt(_keyed(counter, x.shape, kind)[0], x), x.dtype)
