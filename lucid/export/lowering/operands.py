"""Prepares operands for lowerings: converts numbers to values, promotes dtypes, and works around missing kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.size import Real, Size
from .builder import Builder

__all__ = ["call", "common", "in_shape", "out_dtype", "out_shape", "scalar", "values"]

Dtype = np.dtype[Any]

# By operator, the dtypes that ONNX allows but onnxruntime 1.22 or 1.32 has no CPU kernel for.
_SMALL = "bool int8 int16 uint8 uint16"
_UNSIGNED = "uint32 uint64"
_LACKING: dict[str, str] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "MatMul"), _SMALL),
    **dict.fromkeys(("Max", "Min", "Clip"), _SMALL),
    **dict.fromkeys(("Pow", "CumSum", "ReduceProd", "Einsum"), f"{_SMALL} {_UNSIGNED}"),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ArgMax", "ArgMin"), f"bool int16 uint16 {_UNSIGNED}"),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Abs", "Sign", "Mod"), "bool"),
    "Neg": "bool uint8 uint16 uint32 uint64",
    "Pad": "int16 uint16",
    "Range": f"bool int8 uint8 uint16 {_UNSIGNED}",
}

_WIDER = {
    **dict.fromkeys(_SMALL.split(), np.dtype(np.int32)),
    **dict.fromkeys(_UNSIGNED.split(), np.dtype(np.int64)),
}


def in_shape(b: Builder, index: int = 0) -> tuple[Any, ...]:
    """Returns the shape of an input of the node being lowered; a size in it may be a `Size`."""
    assert b.node is not None
    return getattr(b.node.inputs[index], "shape", ())


def out_shape(b: Builder, index: int = 0) -> tuple[Any, ...]:
    """Returns the shape of an output of the node being lowered; a size in it may be a `Size`."""
    assert b.node is not None
    return b.node.outputs[index].shape


def out_dtype(b: Builder, index: int = 0) -> Dtype:
    """Returns the dtype of an output of the node being lowered."""
    assert b.node is not None
    return b.node.outputs[index].dtype


def scalar(b: Builder, x: Any, dtype: Any) -> ir.Value:
    """Converts a number or a `Size` to a value without axes."""
    if isinstance(x, (Size, Real)):
        return b.cast(b.op("Squeeze", b.number(x), np.array([0])), dtype)
    return b.const(np.asarray(x, dtype))


def common(b: Builder, *operands: Any) -> Dtype:
    """Returns the dtype that NumPy promotes these operands to, in which Python numbers are weak."""
    kinds = [
        b.dtype(x) if isinstance(x, ir.Value) else 0 if isinstance(x, Size) else 0.0 if isinstance(x, Real) else x
        for x in operands
    ]
    return np.result_type(*kinds)


def values(b: Builder, operands: Sequence[Any], dtype: Any) -> list[ir.Value]:
    """Converts values, numbers and `Size`s to values of one dtype."""
    return [b.cast(x, dtype) if isinstance(x, ir.Value) else scalar(b, x, dtype) for x in operands]


def call(
    b: Builder,
    op_type: str,
    *operands: Any,
    dtype: Any = None,
    result: Any = None,
    extra: Sequence[Any] = (),
    **attributes: Any,
) -> ir.Value:
    """Adds a node whose inputs all have one dtype, a wider one where onnxruntime has no kernel.

    Args:
        op_type: the name of the ONNX operator.
        operands: values, numbers and `Size`s.
        dtype: the dtype to compute in; by default that of the lucid op's result.
        result: the dtype of the result, if it differs.
        extra: inputs after the operands, passed unchanged.
        attributes: the node's attributes.
    """
    dtype = np.dtype(out_dtype(b) if dtype is None else dtype)
    kernel = _WIDER[dtype.name] if dtype.name in _LACKING.get(op_type, "").split() else dtype
    made: ir.Value = b.op(op_type, *values(b, operands, kernel), *extra, dtype=result or kernel, **attributes)
    return made if result is not None else b.cast(made, dtype)
