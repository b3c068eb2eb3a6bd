"""Lowerings of the ops that act on each element by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..builder import Builder
from .operands import call, common, out_dtype, values
from .registry import lowers

_UNARY = {
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "neg": "Neg",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
}
_BINARY = {"div": "Div", "maximum": "Max", "minimum": "Min", "pow": "Pow", "sub": "Sub"}
_COMPARISONS = {"eq": "Equal", "ge": "GreaterOrEqual", "gt": "Greater", "le": "LessOrEqual", "lt": "Less"}


def _unary(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x: call(b, op_type, x))


def _binary(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x, y: call(b, op_type, x, y))


def _comparison(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x, y: _compared(b, op_type, x, y))


def _compared(b: Builder, op_type: str, x: Any, y: Any) -> Any:
    return call(b, op_type, x, y, dtype=common(b, x, y), result=np.bool_)


for name, op_type in _UNARY.items():
    _unary(name, op_type)
for name, op_type in _BINARY.items():
    _binary(name, op_type)
for name, op_type in _COMPARISONS.items():
    _comparison(name, op_type)


@lowers("add")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "Or" if out_dtype(b) == np.bool_ else "Add", x, y)


@lowers("mul")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "And" if out_dtype(b) == np.bool_ else "Mul", x, y)


@lowers("relu")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Relu", x) if out_dtype(b).kind == "f" else call(b, "Max", x, 0)


@lowers("where")
def _(b: Builder, condition: Any, x: Any, y: Any) -> Any:
    dtype = out_dtype(b)
    # onnxruntime has no Where for bool.
    kernel = {"bool": np.uint8, "int16": np.int32, "uint16": np.int32, "uint64": np.int64}.get(dtype.name, dtype)
    chosen = b.op("Where", *values(b, [condition], np.bool_), *values(b, [x, y], kernel), dtype=kernel)
    return b.cast(chosen, dtype)


@lowers("clone", "detach")
def _(b: Builder, x: Any) -> Any:
    return x


@lowers("astype")
def _(b: Builder, x: Any, dtype: Any) -> Any:
    return b.cast(x, out_dtype(b))


# --- comparisons and logic


@lowers("ne")
def _(b: Builder, x: Any, y: Any) -> Any:
    return b.op("Not", _compared(b, "Equal", x, y))


@lowers("logical_and")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "And", x, y)


@lowers("logical_or")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "Or", x, y)


@lowers("logical_not")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Not", x)
