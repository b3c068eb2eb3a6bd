"""Lowerings of logical and bitwise ops, tests for NaN and infinity, and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ExportError
from .builder import Builder
from .operands import call, common, out_dtype
from .registry import lowers


def _logical(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x, y: call(b, op_type, x, y, dtype=np.bool_))


def _bitwise(name: str, on_bools: str, on_integers: str) -> None:
    @lowers(name)
    def _(b: Builder, x: Any, y: Any) -> Any:
        if out_dtype(b) == np.bool_:
            return call(b, on_bools, x, y)
        _check_opset(b, name)
        return call(b, on_integers, x, y)


def _check_opset(b: Builder, name: str) -> None:
    if b.opset < 18:
        raise ExportError(f"{name} of integers needs opset 18 or newer; got opset {b.opset}")


for _name, _op_type in {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}.items():
    _logical(_name, _op_type)
for _name, _bools, _integers in (
    ("bitwise_and", "And", "BitwiseAnd"),
    ("bitwise_or", "Or", "BitwiseOr"),
    ("bitwise_xor", "Xor", "BitwiseXor"),
):
    _bitwise(_name, _bools, _integers)


@lowers("logical_not")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Not", x, dtype=np.bool_)


@lowers("bitwise_not")
def _(b: Builder, x: Any) -> Any:
    if out_dtype(b) == np.bool_:
        return b.op("Not", x)
    _check_opset(b, "bitwise_not")
    return b.op("BitwiseNot", x)


# Comparisons suffice for these: only NaN differs from itself, and only finite numbers have a magnitude below infinity.


@lowers("isnan")
def _(b: Builder, x: Any) -> Any:
    return b.op("Not", b.op("Equal", x, x, dtype=np.bool_))


@lowers("isinf")
def _(b: Builder, x: Any) -> Any:
    if b.dtype(x).kind != "f":
        return b.op("Not", b.op("Equal", x, x, dtype=np.bool_))
    return call(b, "Equal", b.op("Abs", x), float("inf"), dtype=b.dtype(x), result=np.bool_)


@lowers("isfinite")
def _(b: Builder, x: Any) -> Any:
    if b.dtype(x).kind != "f":
        return b.op("Equal", x, x, dtype=np.bool_)
    return call(b, "Less", b.op("Abs", x), float("inf"), dtype=b.dtype(x), result=np.bool_)


# --- comparisons


def _comparison(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x, y: compared(b, op_type, x, y))


def compared(b: Builder, op_type: str, x: Any, y: Any) -> Any:
    """Compares in the dtype that NumPy compares in."""
    return call(b, op_type, x, y, dtype=_dtype(b, x, y), result=np.bool_)


def _dtype(b: Builder, x: Any, y: Any) -> np.dtype[Any]:
    """Returns the dtype of a comparison: NumPy accepts a Python int that is out of range of the tensor's dtype."""
    dtype = common(b, x, y)
    for operand in (x, y):
        if type(operand) is int and dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if not limits.min <= operand <= limits.max:
                return np.dtype(np.int64)
    return dtype


for _name, _op_type in {
    "eq": "Equal",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
}.items():
    _comparison(_name, _op_type)


@lowers("is_class")
def _(b: Builder, x: Any, classes: Any, n: Any) -> Any:
    return compared(b, "Equal", x, classes)


@lowers("ne")
def _(b: Builder, x: Any, y: Any) -> Any:
    return b.op("Not", compared(b, "Equal", x, y))
