"""Random tensors. All draws come from one `numpy.random.Generator`, seeded by `manual_seed`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .shape import _sizes

__all__ = [
    "bernoulli_like",
    "dropout",
    "get_rng_state",
    "manual_seed",
    "rand",
    "randint",
    "randn",
    "randperm",
    "set_rng_state",
]

_generator = np.random.Generator(np.random.PCG64())

_RANDOM = "it draws random numbers, so an exported model would not agree with the eager one"
_CONSTANT = "it has no inputs"


def manual_seed(seed: int) -> None:
    """Start the sequence of random numbers anew, from a seed (torch.manual_seed).

    >>> lucid.manual_seed(0)
    >>> lucid.randint(0, 10, (3,))
    tensor([8, 6, 5])
    """
    _generator.bit_generator.state = np.random.PCG64(seed).state


def get_rng_state() -> dict[str, Any]:
    """The state of the generator, to return to with `set_rng_state`."""
    return dict(_generator.bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Return the generator to a state that `get_rng_state` gave."""
    _generator.bit_generator.state = state


@op(no_gradient=_CONSTANT, no_export=_RANDOM)
def uniform(*, shape: tuple[int, ...], low: float, high: float, dtype: Any) -> Array:
    """Draws from the uniform distribution on [low, high)."""
    draws = _generator.random(shape, dtype=dtype if dtype in (np.float32, np.float64) else np.float64)
    return (draws * (high - low) + low).astype(dtype, copy=False)


@op(no_gradient=_CONSTANT, no_export=_RANDOM)
def normal(*, shape: tuple[int, ...], mean: float, std: float, dtype: Any) -> Array:
    """Draws from the normal distribution."""
    draws = _generator.standard_normal(shape, dtype=dtype if dtype in (np.float32, np.float64) else np.float64)
    return (draws * std + mean).astype(dtype, copy=False)


@op(no_gradient=_CONSTANT, no_export=_RANDOM)
def integers(*, shape: tuple[int, ...], low: int, high: int, dtype: Any) -> Array:
    """Integers from `low` up to, and without, `high`."""
    return _generator.integers(low, high, shape, dtype=dtype)


@op(no_gradient=_CONSTANT, no_export=_RANDOM)
def permutation(*, n: int) -> Array:
    """The integers below n in random order."""
    return _generator.permutation(n)


@op(no_gradient="it is random, not a function of its input", no_export=_RANDOM)
def bernoulli_like(x: Array, /, p: float) -> Array:
    """1 with probability `p`, else 0, in the shape and dtype of `x`."""
    draws = _generator.random(x.shape, dtype=np.float32)
    return (draws < p).astype(x.dtype)


def randn(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Draws from the standard normal distribution (torch.randn).

    >>> lucid.randn(2, 3).shape
    (2, 3)
    """
    made: Tensor = normal(shape=_sizes(shape), mean=0.0, std=1.0, dtype=np.dtype(dtype or np.float32))
    return made.requires_grad_() if requires_grad else made


def rand(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Draws from the uniform distribution on [0, 1) (torch.rand).

    >>> lucid.rand(2, 3).shape
    (2, 3)
    """
    made: Tensor = uniform(shape=_sizes(shape), low=0.0, high=1.0, dtype=np.dtype(dtype or np.float32))
    return made.requires_grad_() if requires_grad else made


def randint(low: int, high: Any = None, size: Any = None, *, dtype: Any = None) -> Tensor:
    """Integers from `low` (0 if only `high` is given) up to, and without, `high` (torch.randint).

    >>> lucid.randint(5, (2, 3)).shape
    (2, 3)
    """
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise ShapeError(f"randint: high must be greater than low; got low={low}, high={high}")
    made: Tensor = integers(shape=_sizes((size,)), low=low, high=high, dtype=np.dtype(dtype or np.int64))
    return made


def randperm(n: int) -> Tensor:
    """The integers below n in random order (torch.randperm).

    >>> sorted(lucid.randperm(3).tolist())
    [0, 1, 2]
    """
    made: Tensor = permutation(n=n)
    return made


@function
def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """In training, each element is zeroed with probability `p`, and the others are scaled by ``1 / (1 - p)``.

    Raises:
        ValueError: `p` is not in [0, 1].

    Source: N. Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting".

    >>> lucid.nn.functional.dropout(lucid.ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be in [0, 1]; got {p}")
    if not training or p == 0:
        return x
    kept: Tensor = bernoulli_like(x, p=1 - p)
    return x * kept if p == 1 else x * (kept * (1 / (1 - p)))
