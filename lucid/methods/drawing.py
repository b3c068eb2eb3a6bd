"""The methods that overwrite a tensor with random elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import DtypeError, RangeError
from ..tracer.overwriting import assign
from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Drawing"]


class Drawing:
    """Mixin: draws all elements anew. The tensor keeps its shape and dtype, and is returned."""

    __slots__ = ()

    def uniform_(self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Tensor:
        """Draws all elements from the uniform distribution between two numbers.

        >>> x = lucid.zeros(2, 3).uniform_(-1, 1)
        >>> bool((x.abs() <= 1).all())
        True
        """
        _require_floats(self, "uniform_")
        drawn = F["uniform"](shape=self.shape, low=from_, high=to, dtype=self.dtype, generator=generator)
        return assign(self, (...,), (), drawn)

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
        """Draws all elements from a normal distribution.

        >>> lucid.zeros(2).normal_(5.0, std=0.0)
        tensor([5., 5.])
        """
        _require_floats(self, "normal_")
        if std < 0:
            raise RangeError(f"normal_: std must not be negative; got {std}")
        drawn = F["gaussian"](shape=self.shape, mean=mean, std=std, dtype=self.dtype, generator=generator)
        return assign(self, (...,), (), drawn)

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        """Stores ones with a probability, or with one of each element, and zeros elsewhere.

        >>> lucid.zeros(2).bernoulli_(lucid.tensor([0.0, 1.0]))
        tensor([0., 1.])
        """
        chances = p if hasattr(p, "shape") else F["new_full"](self, self.shape, p, dtype="float32")
        return assign(self, (...,), (), F["bernoulli"](chances, generator=generator))

    def random_(self: Any, from_: int = 0, to: int | None = None, *, generator: Any = None) -> Tensor:
        """Draws all elements from the integers of a range: ``x.random_(9)`` from those below 9.

        >>> x = lucid.zeros(5).random_(2, 4)
        >>> bool(((x == 2) | (x == 3)).all())
        True
        """
        low, high = (0, from_) if to is None else (from_, to)
        if high <= low:
            raise RangeError(f"random_: expected a range of integers; got {low} to {high}")
        drawn = F["integers"](shape=self.shape, low=low, high=high, dtype="int64", generator=generator)
        return assign(self, (...,), (), drawn)

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
        """Draws all elements from the exponential distribution with a rate.

        >>> bool((lucid.zeros(5).exponential_() >= 0).all())
        True
        """
        _require_floats(self, "exponential_")
        if lambd <= 0:
            raise RangeError(f"exponential_: lambd must be positive; got {lambd}")
        drawn = F["uniform"](shape=self.shape, low=0.0, high=1.0, dtype=self.dtype, generator=generator)
        return assign(self, (...,), (), F["log1p"](-drawn) * (-1 / lambd))


def _require_floats(x: Any, name: str) -> None:
    if x.dtype.kind != "f":
        raise DtypeError(f"{name}: expected a floating-point tensor; got {x.dtype}")
