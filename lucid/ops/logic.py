"""Logical and bitwise ops, and tests for NaN and infinity."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError, RangeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array, function
from .elementwise import abs, eq, where

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "equal",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
]

_BOOLEAN = "the result is bool"
_INTEGER = "it acts on integers and bools"


@op(no_gradient=_BOOLEAN)
def logical_and(x: Array, y: Array, /) -> Array:
    """Returns True where both elements are true.

    >>> lucid.logical_and(lucid.tensor([1.0, 0.0]), True)
    tensor([ True, False])
    """
    return np.logical_and(x, y)


@op(no_gradient=_BOOLEAN)
def logical_or(x: Array, y: Array, /) -> Array:
    """Returns True where at least one element is true.

    >>> lucid.logical_or(lucid.tensor([1.0, 0.0]), False)
    tensor([ True, False])
    """
    return np.logical_or(x, y)


@op(no_gradient=_BOOLEAN)
def logical_xor(x: Array, y: Array, /) -> Array:
    """Returns True where exactly one element is true.

    >>> lucid.logical_xor(lucid.tensor([1.0, 0.0]), True)
    tensor([False,  True])
    """
    return np.logical_xor(x, y)


@op(no_gradient=_BOOLEAN)
def logical_not(x: Array, /) -> Array:
    """Returns True where `x` is false.

    >>> lucid.logical_not(lucid.tensor([1.0, 0.0]))
    tensor([False,  True])
    """
    return np.logical_not(x)


@op(no_gradient=_INTEGER)
def bitwise_and(x: Array, y: Array, /) -> Array:
    """Computes the bitwise AND, the operator ``&``; for bools, the logical AND.

    >>> lucid.tensor([6, 1]) & 3
    tensor([2, 1])
    """
    return np.bitwise_and(x, y)


@op(no_gradient=_INTEGER)
def bitwise_or(x: Array, y: Array, /) -> Array:
    """Computes the bitwise OR, the operator ``|``; for bools, the logical OR.

    >>> lucid.tensor([6, 1]) | 3
    tensor([7, 3])
    """
    return np.bitwise_or(x, y)


@op(no_gradient=_INTEGER)
def bitwise_xor(x: Array, y: Array, /) -> Array:
    """Computes the bitwise XOR, the operator ``^``; for bools, the logical XOR.

    >>> lucid.tensor([6, 1]) ^ 3
    tensor([5, 2])
    """
    return np.bitwise_xor(x, y)


@op(no_gradient=_INTEGER)
def bitwise_not(x: Array, /) -> Array:
    """Computes the bitwise NOT, the operator ``~``; for bools, the logical NOT.

    >>> ~lucid.tensor([6, 1])
    tensor([-7, -2])
    """
    return np.invert(x)


@function
def allclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Returns whether ``|x - y| <= atol + rtol * |y|`` for all elements, as a Python bool (torch.allclose).

    >>> lucid.allclose(lucid.tensor([1.0]), lucid.tensor([1.0 + 1e-6]))
    True
    """
    x, y = as_tensor(x).detach(), as_tensor(y).detach()
    return np.allclose(x.numpy(), y.numpy(), rtol, atol, equal_nan)


@function
def equal(x: Any, y: Any) -> bool:
    """Returns whether two tensors have the same shape and elements, as a Python bool (torch.equal).

    >>> lucid.equal(lucid.tensor([1, 2]), lucid.tensor([1, 2]))
    True
    """
    x, y = as_tensor(x).detach(), as_tensor(y).detach()
    if x.dtype != y.dtype:
        raise DtypeError(f"equal: expected tensors of one dtype; got {x.dtype} and {y.dtype}")
    return np.array_equal(x.numpy(), y.numpy())


@function
def isclose(x: Tensor, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Returns where ``|x - y| <= atol + rtol * |y|``; infinities must be equal (torch.isclose).

    >>> lucid.isclose(lucid.tensor([1.0, 2.0]), lucid.tensor([1.0 + 1e-6, 2.1]))
    tensor([ True, False])
    """
    y = as_tensor(y)
    if x.dtype != y.dtype:
        raise DtypeError(f"isclose: expected tensors of one dtype; got {x.dtype} and {y.dtype}")
    if rtol < 0 or atol < 0:
        raise RangeError(f"isclose: rtol and atol must not be negative; got {rtol} and {atol}")
    same = eq(x, y)
    if equal_nan and x.dtype.kind == "f":
        same = same | (isnan(x) & isnan(y))
    if x.dtype.kind == "b":
        return same
    # Equal infinities have no difference.
    distance = abs(where(same, False, x) - where(same, False, y))
    return same | ((distance <= atol + abs(y * rtol)) & isfinite(distance))


@op(no_gradient=_BOOLEAN)
def isnan(x: Array, /) -> Array:
    """Returns True where `x` is NaN.

    >>> lucid.isnan(lucid.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return np.isnan(x)


@op(no_gradient=_BOOLEAN)
def isinf(x: Array, /) -> Array:
    """Returns True where `x` is infinite.

    >>> lucid.isinf(lucid.tensor([1.0, float("-inf")]))
    tensor([False,  True])
    """
    return np.isinf(x)


@op(no_gradient=_BOOLEAN)
def isfinite(x: Array, /) -> Array:
    """Returns True where `x` is neither infinite nor NaN.

    >>> lucid.isfinite(lucid.tensor([1.0, float("inf")]))
    tensor([ True, False])
    """
    return np.isfinite(x)
