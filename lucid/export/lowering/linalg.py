"""Lowerings of matrix products."""

from __future__ import annotations

from typing import Any

from .builder import Builder
from .operands import call, in_shape, out_dtype, values
from .registry import lowers


@lowers("matmul")
def _(b: Builder, x: Any, y: Any) -> Any:
    # Gemm transposes a matrix while reading it. Such products are frequent in the gradients of weights, and onnxruntime
    # up to 1.23 fuses a float64 Transpose and MatMul into an operator that it supports only in float32.
    (left, turn_left), (right, turn_right) = _turned(x), _turned(y)
    ranks = [len(in_shape(b, i)) for i in range(2)]
    if (turn_left or turn_right) and ranks == [2, 2] and left.dtype == right.dtype and out_dtype(b).kind == "f":
        return b.op("Gemm", left, right, transA=int(turn_left), transB=int(turn_right))
    return call(b, "MatMul", x, y)


def _turned(x: Any) -> tuple[Any, bool]:
    """Returns the matrix that `x` is the transpose of, and True; otherwise `x` itself, and False."""
    maker = x.producer()
    if maker is not None and maker.op_type == "Transpose" and list(maker.attributes["perm"].as_ints()) == [1, 0]:
        return maker.inputs[0], True
    return x, False


@lowers("linear")
def linear(b: Builder, x: Any, weight: Any, bias: Any) -> Any:
    """Emits a product with a transposed weight, and the sum with a bias if it is not None."""
    dtype = out_dtype(b)
    x, weight = values(b, [x, weight], dtype)
    if bias is not None:
        bias = b.cast(bias, dtype)
    if len(in_shape(b)) == 2 and dtype.kind == "f":
        return b.op("Gemm", x, weight, bias, transB=1)
    array = b.array(weight)
    turned = b.op("Transpose", weight, perm=[1, 0]) if array is None else b.const(array.T, f"{b.label(weight)}.T")
    product = call(b, "MatMul", x, turned)
    return product if bias is None else call(b, "Add", product, bias)


@lowers("weight_gradient")
def _(b: Builder, dz: Any, x: Any) -> Any:
    rows = (b.op("Flatten", array, axis=len(in_shape(b, i)) - 1) for i, array in enumerate((dz, x)))
    return b.op("Gemm", *rows, transA=1)
