"""Lowerings of arithmetic, the most common elementwise functions, and `where`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .builder import Builder
from .operands import call, out_dtype, values
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
# The dtype that Where computes in, for the dtypes without a kernel in onnxruntime.
_CHOSEN = {
    "bool": np.uint8,
    **dict.fromkeys(("int8", "int16", "uint16"), np.int32),
    **dict.fromkeys(("uint32", "uint64"), np.int64),
}
_BINARY = {"div": "Div", "maximum": "Max", "minimum": "Min", "sub": "Sub"}


def _unary(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x: call(b, op_type, x))


def _binary(name: str, op_type: str) -> None:
    lowers(name)(lambda b, x, y: call(b, op_type, x, y))


for _name, _op_type in _UNARY.items():
    _unary(_name, _op_type)
for _name, _op_type in _BINARY.items():
    _binary(_name, _op_type)


@lowers("add")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "Or" if out_dtype(b) == np.bool_ else "Add", x, y)


@lowers("mul")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "And" if out_dtype(b) == np.bool_ else "Mul", x, y)


@lowers("pow")
def _(b: Builder, x: Any, y: Any) -> Any:
    # As in NumPy, whose root of minus infinity is NaN.
    if isinstance(y, (int, float)) and y == 0.5 and out_dtype(b).kind == "f":
        return call(b, "Sqrt", x)
    return call(b, "Pow", x, y)


@lowers("relu")
def _(b: Builder, x: Any) -> Any:
    return call(b, "Relu", x) if out_dtype(b).kind == "f" else call(b, "Max", x, 0)


@lowers("where")
def _(b: Builder, condition: Any, x: Any, y: Any) -> Any:
    dtype = out_dtype(b)
    kernel = _CHOSEN.get(dtype.name, dtype)
    chosen = b.op("Where", *values(b, [condition], np.bool_), *values(b, [x, y], kernel), dtype=kernel)
    return b.cast(chosen, dtype)


@lowers("clone", "detach")
def _(b: Builder, x: Any) -> Any:
    return x


@lowers("astype")
def _(b: Builder, x: Any, dtype: Any) -> Any:
    return b.cast(x, out_dtype(b))
