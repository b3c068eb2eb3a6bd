"""Imports of operators on quantized numbers: they compute with the integers that the file has."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import ModelImportError
from ..tensor import Tensor
from .elementwise import dtype_of
from .registry import Operation, imports

__all__: list[str] = []


def _along(node: Operation, x: Tensor, row: Tensor) -> Tensor:
    """Returns a scale or a zero point, one number or one a slice of an axis, in the axes of x."""
    if row.size == 1:
        return ops.reshape(row, ())
    if row.ndim != 1 or node.get("block_size", 0):
        raise ModelImportError(f"{node}: lucid has one scale a tensor or a slice; got shape {tuple(row.shape)}")
    axis = node.get("axis", 1) % x.ndim
    return ops.reshape(row, tuple([-1 if i == axis else 1 for i in range(x.ndim)]))


@imports("DequantizeLinear")
def _(node: Operation, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    numbers = x.to("int32")
    if zero is not None:
        numbers = numbers - _along(node, x, zero).to("int32")
    return numbers.to(scale.dtype) * _along(node, x, scale)


@imports("QuantizeLinear")
def _(node: Operation, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    if zero is None:
        dtype = dtype_of(node, node.get("output_dtype", 0) or 2)
        return _rounded(x / _along(node, x, scale), 0, dtype)
    return _rounded(x / _along(node, x, scale), _along(node, x, zero).to("int32"), zero.dtype)


def _rounded(x: Tensor, zero: Any, dtype: Any) -> Tensor:
    limits = np.iinfo(dtype)
    return ops.clamp(ops.round(x).to("float32") + zero, limits.min, limits.max).to(dtype)


@imports("DynamicQuantizeLinear")
def _(node: Operation, x: Tensor) -> Any:
    low, high = ops.minimum(ops.amin(x), 0.0), ops.maximum(ops.amax(x), 0.0)
    scale = (high - low) / 255.0
    scale = ops.where(scale == 0, 1.0, scale).to(x.dtype)
    zero = ops.clamp(ops.round(-low / scale), 0, 255)
    return ops.clamp(ops.round(x / scale) + zero, 0, 255).to("uint8"), scale, zero.to("uint8")


@imports("MatMulInteger")
def _(node: Operation, x: Tensor, y: Tensor, x_zero: Tensor | None = None, y_zero: Tensor | None = None) -> Tensor:
    x, y = x.to("int32"), y.to("int32")
    if x_zero is not None:
        x = x - (ops.unsqueeze(x_zero, -1) if x_zero.ndim and x_zero.size > 1 else ops.reshape(x_zero, ())).to("int32")
    if y_zero is not None:
        y = y - (y_zero if y_zero.size > 1 else ops.reshape(y_zero, ())).to("int32")
    # float64 holds each sum exactly, and its product is a library's.
    return ops.matmul(x.to("float64"), y.to("float64")).to("int32")


@imports("QLinearMatMul")
def _(
    node: Operation, x: Tensor, x_scale: Tensor, x_zero: Tensor, y: Tensor, y_scale: Tensor, y_zero: Tensor,
    scale: Tensor, zero: Tensor,
) -> Tensor:  # fmt: skip
    if max(row.size for row in (x_scale, y_scale, x_zero, y_zero, scale, zero)) > 1:
        raise ModelImportError(f"{node}: lucid multiplies quantized matrices with one scale each")
    one = (x.to("float64") - ops.reshape(x_zero, ()).to("float64")) * ops.reshape(x_scale, ()).to("float64")
    two = (y.to("float64") - ops.reshape(y_zero, ()).to("float64")) * ops.reshape(y_scale, ()).to("float64")
    product = ops.matmul(one, two) / ops.reshape(scale, ()).to("float64")
    return _rounded(product, ops.reshape(zero, ()).to("int32"), zero.dtype)
