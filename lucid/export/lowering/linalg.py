"""Lowerings of the matrix products."""

from __future__ import annotations

from typing import Any

from ..builder import Builder
from .operands import call, in_shape, out_dtype, values
from .registry import lowers


@lowers("matmul")
def _(b: Builder, x: Any, y: Any) -> Any:
    return call(b, "MatMul", x, y)


@lowers("linear")
def _(b: Builder, x: Any, weight: Any, bias: Any) -> Any:
    dtype = out_dtype(b)
    x, weight = values(b, [x, weight], dtype)
    if bias is not None:
        bias = b.cast(bias, dtype)
    if len(in_shape(b)) == 2 and dtype.kind == "f":
        return b.op("Gemm", x, weight, bias, transB=1)
    array = b.array(weight)
    turned = b.op("Transpose", weight, perm=[1, 0]) if array is None else b.const(array.T, f"{weight.name}.T")
    product = call(b, "MatMul", x, turned)
    return product if bias is None else call(b, "Add", product, bias)
