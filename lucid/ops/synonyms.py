"""Other names of functions, and methods as functions, as PyTorch has them."""

from __future__ import annotations

from ..tensor import Tensor
from .elementwise import abs, div, ge, gt, le, lt, mul, ne, neg, sign, sub
from .math import trunc
from .shape import cat, movedim
from .trigonometry import acos, asin, atan, atan2

__all__ = [
    "absolute",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "concatenate",
    "divide",
    "fix",
    "greater",
    "greater_equal",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "less",
    "less_equal",
    "moveaxis",
    "multiply",
    "negative",
    "not_equal",
    "numel",
    "sgn",
    "subtract",
    "true_divide",
]

absolute = abs
arccos, arcsin, arctan, arctan2 = acos, asin, atan, atan2
concatenate = cat
divide = true_divide = div
fix = trunc
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
moveaxis = movedim
multiply, negative, subtract = mul, neg, sub
sgn = sign


def numel(x: Tensor) -> int:
    """Returns the number of elements (torch.numel).

    >>> lucid.numel(lucid.ones(2, 3))
    6
    """
    return x.numel()


def is_floating_point(x: Tensor) -> bool:
    """Returns whether the elements are floating-point numbers (torch.is_floating_point).

    >>> lucid.is_floating_point(lucid.ones(1)), lucid.is_floating_point(lucid.tensor([1]))
    (True, False)
    """
    return x.is_floating_point()


def is_complex(x: Tensor) -> bool:
    """Returns False: no tensor has complex numbers (torch.is_complex)."""
    return False


def is_nonzero(x: Tensor) -> bool:
    """Returns whether the only element is not 0 (torch.is_nonzero).

    >>> lucid.is_nonzero(lucid.tensor([0.5]))
    True
    """
    return bool(x != 0)
