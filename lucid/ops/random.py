"""Random tensors. All draws come from one generator, seeded by `manual_seed`, unless another is given; those of an
export's runs come from a copy of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import require_cpu
from ..errors import RangeError, ShapeError
from ..tensor import Tensor, op
from ..tracer.extent import broadcast
from ..tracer.op import Array, function
from .conversion import detach
from .creation import arange, ones
from .draw import UNHASHED, bernoulli, bernoulli_like, exponential_like, gaussian, integers, permutation, uniform
from .elementwise import astype, eq, log
from .extremum import argmax
from .generator import Generator, Kind, default_generator, numpy_generator
from .reduce import softmax
from .shape import reshape_to, sizes_of

__all__ = [
    "bernoulli",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "set_rng_state",
]


def manual_seed(seed: int, generator: Kind = "pcg64") -> Generator:
    """Seeds the random generator, and returns it (torch.manual_seed).

    Args:
        seed: the seed.
        generator: "pcg64", NumPy's, or "counter": each number is a hash of the seed, the number of the draw and the
            place of the element, and an exported file draws the same numbers; see `Generator`.

    Raises:
        ValueError: there is no such generator.

    >>> generator = lucid.manual_seed(0)
    >>> lucid.randint(0, 10, (3,))
    tensor([8, 6, 5])
    """
    return default_generator().manual_seed(seed, generator)


def initial_seed() -> int:
    """Returns the seed that the random generator was last given (torch.initial_seed).

    In a worker of a `DataLoader` it is the worker's own.

    >>> generator = lucid.manual_seed(7)
    >>> lucid.initial_seed()
    7
    """
    return default_generator().initial_seed()


def get_rng_state() -> dict[str, Any]:
    """Returns the state of the generator, which `set_rng_state` restores.

    >>> state = lucid.get_rng_state()
    >>> first = lucid.randn(2)
    >>> lucid.set_rng_state(state)
    >>> lucid.allclose(lucid.randn(2), first)
    True
    """
    return default_generator().get_state()


def set_rng_state(state: dict[str, Any]) -> None:
    """Restores a state of the generator that `get_rng_state` returned; see there."""
    default_generator().set_state(state)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, dtype: Any = None, device: Any = None, generator: Any = None
) -> Tensor:
    """Draws from normal distributions (torch.normal). The draws have no gradients.

    Args:
        mean: the mean, a number or a tensor of means.
        std: the standard deviation, a number or a tensor.
        size: the shape, if both are numbers.
        dtype: the dtype, if both are numbers.
        device: "cpu".
        generator: draws from this one instead of the shared one.

    >>> lucid.normal(0.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    require_cpu(device)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None:
            raise TypeError("normal: size must be given if mean and std are numbers")
        if std < 0:
            raise RangeError(f"normal: std must not be negative; got {std}")
        kind = np.dtype(dtype or np.float32)
        return gaussian(shape=sizes_of((size,)), mean=float(mean), std=float(std), dtype=kind, generator=generator)
    if not np.all(getattr(std, "_data", std) >= 0):
        raise RangeError(f"normal: std must not be negative; got {std}")
    middle, spread = (detach(x) if isinstance(x, Tensor) else x for x in (mean, std))
    shape = broadcast(*[x.shape if isinstance(x, Tensor) else () for x in (mean, std)])
    kind = (mean if isinstance(mean, Tensor) else std).dtype
    draws = gaussian(shape=shape, mean=0.0, std=1.0, dtype=kind, generator=generator)
    return draws * spread + middle


def randn(
    *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, generator: Any = None
) -> Tensor:
    """Draws from the standard normal distribution (torch.randn).

    >>> lucid.randn(2, 3).shape
    (2, 3)
    """
    require_cpu(device)
    kind = np.dtype(dtype or np.float32)
    made: Tensor = gaussian(shape=sizes_of(shape), mean=0.0, std=1.0, dtype=kind, generator=generator)
    return made.requires_grad_() if requires_grad else made


def rand(
    *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, generator: Any = None
) -> Tensor:
    """Draws from the uniform distribution on [0, 1) (torch.rand).

    >>> lucid.rand(2, 3).shape
    (2, 3)
    """
    require_cpu(device)
    kind = np.dtype(dtype or np.float32)
    made: Tensor = uniform(shape=sizes_of(shape), low=0.0, high=1.0, dtype=kind, generator=generator)
    return made.requires_grad_() if requires_grad else made


def randn_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Draws from the standard normal distribution, with the shape of another tensor, and its dtype unless given
    (torch.randn_like).

    >>> lucid.randn_like(lucid.zeros(2, 3)).shape
    (2, 3)
    """
    return randn(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


def rand_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Draws from the uniform distribution on [0, 1), with the shape of another tensor, and its dtype unless given
    (torch.rand_like).

    >>> lucid.rand_like(lucid.zeros(2, 3)).shape
    (2, 3)
    """
    return rand(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = None, device: Any = None, generator: Any = None
) -> Tensor:
    """Draws integers from `low` (0 if only `high` is given) up to, but excluding, `high` (torch.randint).

    >>> lucid.randint(5, (2, 3)).shape
    (2, 3)
    """
    require_cpu(device)
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise ShapeError(f"randint: high must be greater than low; got low={low}, high={high}")
    kind = np.dtype(dtype or np.int64)
    drawn = np.dtype(np.int64) if kind.kind == "f" else kind
    made: Tensor = integers(shape=sizes_of((size,)), low=low, high=high, dtype=drawn, generator=generator)
    return made if kind == drawn else astype(made, kind)


def randperm(n: int, *, dtype: Any = None, device: Any = None, generator: Any = None) -> Tensor:
    """Returns the integers below n in random order (torch.randperm).

    >>> sorted(lucid.randperm(3).tolist())
    [0, 1, 2]
    """
    require_cpu(device)
    made: Tensor = permutation(n=n, generator=generator)
    return made if dtype is None else astype(made, np.dtype(dtype))


@op(no_gradient="the result is an index", no_export=UNHASHED)
def multinomial(x: Array, /, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Array:
    """Draws indices with the probabilities, or weights, in each row (torch.multinomial).

    Shape:
        x: (C,) or (N, C); the result: (num_samples,) or (N, num_samples), int64.

    >>> lucid.multinomial(lucid.tensor([0.0, 1.0, 0.0]), 1)
    tensor([1])
    """
    if not 1 <= x.ndim <= 2:
        raise ValueError("the weights must be one row, or several")
    if x.dtype.kind != "f":
        raise TypeError(f"the weights must be floating-point numbers; got {x.dtype}")
    if num_samples < 1:
        raise ValueError(f"expected at least one draw; got {num_samples}")
    if not np.isfinite(x).all() or (x < 0).any() or (x.sum(-1) <= 0).any():
        raise ValueError("weights must be finite and not negative, and not all 0")
    if not replacement and num_samples > np.count_nonzero(x, axis=-1).min(initial=num_samples):
        raise ValueError(f"{num_samples} draws without replacement, but a row has fewer weights above 0")
    rows = np.atleast_2d(x).astype(np.float64)
    if replacement:
        ends = np.cumsum(rows, axis=1)
        draws = numpy_generator(generator).random((len(rows), num_samples)) * ends[:, -1:]
        # From the right, so that no weight of 0 is drawn.
        picked = np.stack([np.searchsorted(end, draw, side="right") for end, draw in zip(ends, draws, strict=True)])
    else:
        # The order of exponential waiting times: the one with the greatest weight comes first most often.
        with np.errstate(divide="ignore"):
            waits = numpy_generator(generator).standard_exponential(rows.shape) / rows
        picked = np.argsort(waits, axis=1, kind="stable")[:, :num_samples]
    return picked.reshape(*x.shape[:-1], num_samples).astype(np.int64, copy=False)


@function
def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability `p` in training, and scales the others by ``1 / (1 - p)``.

    Args:
        x: the tensor.
        p: the probability.
        training: whether anything is zeroed.
        inplace: accepted for ported code; the result is a new tensor.

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


@function
def dropout1d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes each channel with probability `p` in training, and scales the others by ``1 / (1 - p)``
    (torch.nn.functional.dropout1d).

    Shape:
        x: (N, C, L) or (C, L); the result: the same.

    Raises:
        ShapeError: the input has other axes. ValueError: `p` is not in [0, 1].

    Source: J. Tompson et al. (2015), "Efficient object localization using convolutional networks".

    >>> lucid.nn.functional.dropout1d(lucid.ones(1, 3), 0.5, training=False)
    tensor([[1., 1., 1.]])
    """
    if x.ndim not in (2, 3):
        raise ShapeError(f"dropout1d: expected an input (N, C, L) or (C, L); got shape {x.shape}")
    kept = dropout(ones(*x.shape[:-1], 1, dtype=x.dtype), p, training)
    return x * kept if training and p else x


@function
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """Draws from a relaxed categorical distribution (torch.nn.functional.gumbel_softmax).

    It is ``softmax((logits + noise) / tau)``, where the noise is of the Gumbel distribution.

    Args:
        logits: scores of the classes.
        tau: the temperature; the lower it is, the nearer the result is to one class.
        hard: return one class, in the form of 1 and 0; the gradient is still that of the relaxed result.
        eps: has no effect, as in PyTorch.
        dim: the axis of the classes.

    Source: E. Jang et al. (2017), "Categorical reparameterization with Gumbel-softmax".

    >>> lucid.nn.functional.gumbel_softmax(lucid.tensor([0.0, 100.0]), hard=True)
    tensor([0., 1.])
    """
    waits: Tensor = exponential_like(logits)
    soft = softmax((logits - log(waits)) / tau, dim)
    if not hard:
        return soft
    best = argmax(soft, dim, True)
    behind = [1] * (logits.ndim - 1 - dim % logits.ndim)
    places = reshape_to(arange(logits.shape[dim]), shape=(-1, *behind))
    # 1 and 0 exactly: what is subtracted from itself comes first.
    return (soft - soft.detach()) + astype(eq(best, places), soft.dtype)
