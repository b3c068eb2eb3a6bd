"""Promotion: the dtype that the inputs of an op are converted to before it runs. The rules are PyTorch's.

A dtype is of a kind: bool, integer or floating-point. Tensors with axes come first, then those without, then numbers.
What comes later changes the dtype only if its kind is higher; a number then gives int64 or float32. So whatever a
program in float32 computes with, it stays in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DtypeError
from .described import described
from .dim import Dim

if TYPE_CHECKING:
    from .op import Op

__all__ = ["SETTLED", "SETTLED_FLOATS", "number", "promote_types", "promoted", "refuse_unlike", "result_type"]

Dtype = np.dtype[Any]

_NUMBERS: dict[type, Dtype] = {bool: np.dtype(np.bool_), int: np.dtype(np.int64), float: np.dtype(np.float32)}
"""The dtype that a number gives where its kind is the highest."""

_RANKS = dict(zip("buif", (0, 1, 1, 2), strict=True))
_COMMON = [np.dtype(code) for code in ("?", "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8")]


def promote_types(x: Any, y: Any) -> Dtype:
    """Returns the dtype that two promote to: of a floating-point one and another, it is the floating-point one
    (torch.promote_types).

    >>> lucid.promote_types("int64", "float16")
    dtype('float16')
    """
    x, y = np.dtype(x), np.dtype(y)
    if (x.kind == "f") is (y.kind == "f"):
        return np.promote_types(x, y)
    return x if x.kind == "f" else y


def result_type(*inputs: Any) -> Dtype:
    """Returns the dtype that tensors and numbers promote to (torch.result_type).

    >>> lucid.result_type(lucid.tensor([1, 2]), 0.5)
    dtype('float32')
    """
    groups: tuple[list[Dtype], list[Dtype], list[Dtype]] = ([], [], [])
    for x in inputs:
        array = getattr(x, "_data", x)
        if isinstance(array, np.ndarray):
            groups[0 if array.ndim else 1].append(array.dtype)
        else:
            groups[2].append(_NUMBERS[_type(x)])
    found = [reduce(promote_types, group) for group in groups if group]
    if not found:
        raise DtypeError("result_type: expected at least one tensor or number")
    result = found.pop()
    for dtype in reversed(found):
        result = promote_types(dtype, result) if _RANKS[dtype.kind] < _RANKS[result.kind] else dtype
    return result


def _settled() -> Iterator[tuple[Any, Any]]:
    """Yields the pairs of a dtype and another, or a type of number, that NumPy promotes to the first at any shapes."""
    for dtype in _COMMON:
        yield dtype, type(None)
        for number_type, own in _NUMBERS.items():
            if _RANKS[own.kind] <= _RANKS[dtype.kind]:
                yield dtype, number_type
        for other in _COMMON:
            if _RANKS[other.kind] < _RANKS[dtype.kind] and np.promote_types(dtype, other) == dtype:
                yield dtype, other


_PAIRS = frozenset(_settled())

SETTLED = _PAIRS | {(y, x) for x, y in _PAIRS} | {(type(None), type(None))}
"""The pairs of dtypes, or types of numbers, that need no conversion, besides equal ones. A call looks them up."""

_FLOATS = frozenset(dtype for dtype in _COMMON if dtype.kind == "f")

SETTLED_FLOATS = frozenset(pair for pair in SETTLED if _FLOATS & set(pair)) | {(d, d) for d in _FLOATS} | _FLOATS
"""The same, and dtypes of single inputs, for the ops that give floats for integers."""


def _type(x: Any) -> type:
    kind = type(x.n if type(x) is Dim else number(x))
    if kind not in _NUMBERS:
        raise DtypeError(f"expected Tensors, arrays or numbers; got {described(x)}")
    return kind


def number(x: Any) -> Any:
    """Returns a NumPy scalar as a Python number; like one, it does not change a dtype of its kind."""
    return x.item() if isinstance(x, np.generic) else x


def promoted(op: Op[Any, Any], inputs: Sequence[Any]) -> tuple[Any, ...] | None:
    """Returns the inputs of a call, converted to one dtype by ops that the graph records; None if none needs it.

    Raises:
        DtypeError: an input is neither a tensor nor an array or a number.
    """
    takes_part = range(len(inputs)) if op.variadic and op.promoted else op.promoted
    places = [i for i in takes_part if inputs[i] is not None]
    converted = [number(x) for x in inputs]
    given = [converted[i] for i in places]
    try:
        settled = not given or _settles(op, [_kind(x) for x in given])
    except DtypeError as error:
        raise DtypeError(f"{op.name}: {error}") from None
    if not settled:
        wanted = result_type(*given)
        if op.gives_floats and wanted.kind != "f":
            wanted = _NUMBERS[float]
        for i, x in zip(places, given, strict=True):
            if isinstance(x, (op.tensor, np.ndarray)) and x.dtype != wanted:
                converted[i] = x.astype(wanted)
    return None if all(x is y for x, y in zip(converted, inputs, strict=True)) else tuple(converted)


def _kind(x: Any) -> Any:
    """Returns the dtype of an input, or its type if it is a number."""
    array = getattr(x, "_data", x)
    return array.dtype if isinstance(array, np.ndarray) else _type(x)


def _settles(op: Op[Any, Any], kinds: list[Any]) -> bool:
    """Returns whether an op takes inputs of these kinds as they are; a call decides the same."""
    if op.variadic:
        return np.result_type(*kinds) == kinds[0]
    pairs = combinations(kinds, 2)
    if op.gives_floats:
        return all(key in SETTLED_FLOATS for key in (kinds if len(kinds) == 1 else pairs))
    return all(x is y or (x, y) in SETTLED for x, y in pairs)


def refuse_unlike(op: Op[Any, Any], inputs: Sequence[Any]) -> None:
    """Raises an error if inputs that need one dtype have several; such ops convert none, as in PyTorch."""
    arrays = [(op.inputs[i], getattr(inputs[i], "_data", inputs[i])) for i in op.alike]
    (first, dtype), *others = [(name, x.dtype) for name, x in arrays if isinstance(x, np.ndarray)] or [("", None)]
    for other, found in others:
        if found != dtype:
            both = ((first, dtype, found), (other, found, dtype))
            ways = [f"{name}.to('{to}')" for name, own, to in both if own.kind != "f" or to.kind == "f"]
            raise DtypeError(
                f"{op.name}: {first} has dtype {dtype}, but {other} has {found}; convert one of them, as with "
                f"{' or '.join(ways)}"
            )
