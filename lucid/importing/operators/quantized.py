"""Imports of operators on quantized numbers: they compute with the integers that the file has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...errors import ModelImportError
from ...tensor import Tensor
from ..registry import Operation, imports
from ..values import as_tensor, constant, widened
from .convolution import convolved
from .elementwise import dtype_of

__all__: list[str] = []


def _is_one(row: Tensor) -> bool:
    return math.prod(row.shape) == 1


def _one(row: Tensor, dtype: str) -> Tensor:
    return ops.reshape(row, ()).to(dtype)


def _along(node: Operation, x: Tensor, row: Tensor) -> Tensor:
    """Returns a scale or a zero point, one number or one a slice or a block of an axis, in the axes of x."""
    if _is_one(row):
        return ops.reshape(row, ())
    axis = node.get("axis", 1) % x.ndim
    block = node.get("block_size", 0)
    if block:
        return ops.narrow(ops.repeat_interleave(row, block, axis), axis, 0, x.shape[axis])
    return ops.reshape(row, tuple([-1 if i == axis else 1 for i in range(x.ndim)]))


@imports("DequantizeLinear", plain=True)
def _(node: Operation, x: Any, scale: Any, zero: Any = None) -> Any:
    known = all(map(constant, (x, scale, zero)))
    # Constants of few bits, such as int4, fit into wider ones.
    x, zero = (as_tensor(widened(part)) for part in (x, zero))
    scale = as_tensor(scale)
    dtype = dtype_of(node, code) if (code := node.get("output_dtype", 0)) else scale.dtype
    wide = "float64" if x.dtype == np.int32 and scale.dtype == np.float64 else scale.dtype
    numbers = x if zero is None else x.to(_difference(x)) - _along(node, x, zero).to(_difference(x))
    y = (numbers.to(wide) * _along(node, x, scale)).to(dtype)
    return np.asarray(y._data) if known else y


def _difference(x: Tensor) -> str:
    """Returns the dtype in which a zero point is taken away."""
    return str(x.dtype) if x.dtype.kind == "f" else "int64" if x.dtype.itemsize > 2 else "int32"


@imports("QuantizeLinear")
def _(node: Operation, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    code = node.get("output_dtype", 0) or 2
    dtype = dtype_of(node, code) if zero is None else zero.dtype
    if node.get("precision", 0):
        precision = dtype_of(node, node.get("precision"))
        x, scale = x.to(precision), scale.to(precision)
    x = x if x.dtype.kind == "f" else x.to(scale.dtype)
    return _rounded(x / _along(node, x, scale), 0 if zero is None else _along(node, x, zero).to("int32"), dtype)


def _rounded(x: Tensor, zero: Any, dtype: Any) -> Tensor:
    limits = np.iinfo(dtype)
    wide = x.to("float32") if x.dtype == np.float16 else x
    return ops.clamp(ops.round(wide) + zero, limits.min, limits.max).to(dtype)


@imports("DynamicQuantizeLinear")
def _(node: Operation, x: Tensor) -> Any:
    low, high = ops.minimum(ops.amin(x), 0.0), ops.maximum(ops.amax(x), 0.0)
    scale = (high - low) / 255.0
    scale = ops.where(scale == 0, 1.0, scale).to(x.dtype)
    zero = ops.clamp(ops.round(-low / scale), 0, 255)
    return ops.clamp(ops.round(x / scale) + zero, 0, 255).to("uint8"), scale, zero.to("uint8")


@imports("MatMulInteger")
def _(node: Operation, x: Tensor, y: Tensor, x_zero: Tensor | None = None, y_zero: Tensor | None = None) -> Tensor:
    return ops.matmul(_by_row(x, x_zero), _by_column(y, y_zero)).to("int32")


def _by_row(x: Tensor, zero: Tensor | None) -> Tensor:
    """Returns what a matrix of integers stands for: float64 holds each sum exactly, and its product is a library's."""
    if zero is not None and not _is_one(zero) and zero.ndim == 1:
        zero = ops.unsqueeze(zero, -1)
    return _by_column(x, zero)


def _by_column(x: Tensor, zero: Tensor | None) -> Tensor:
    if zero is None:
        return x.to("float64")
    return x.to("float64") - (_one(zero, "float64") if _is_one(zero) else zero.to("float64"))


@imports("QLinearMatMul")
def _(
    node: Operation, x: Tensor, x_scale: Tensor, x_zero: Tensor, y: Tensor, y_scale: Tensor, y_zero: Tensor,
    scale: Tensor, zero: Tensor,
) -> Tensor:  # fmt: skip
    if not _is_one(scale) or not _is_one(zero):
        raise ModelImportError(f"{node}: lucid quantizes a product with one scale; got shape {tuple(scale.shape)}")
    factor = _by_row(x_scale, None) if _is_one(x_scale) or x_scale.ndim > 1 else ops.unsqueeze(x_scale, -1)
    factor = factor.to("float64") * y_scale.to("float64") / _one(scale, "float64")
    product = ops.matmul(_by_row(x, x_zero), _by_column(y, y_zero))
    return _rounded(product * factor, _one(zero, "int32"), zero.dtype)


def _whole(node: Operation, x: Tensor, x_zero: Any, weight: Tensor, zero: Any) -> Tensor:
    """Convolves integers, in float64, which holds each sum exactly."""
    x = _by_column(x, x_zero)
    if zero is not None and not _is_one(zero):
        zero = ops.reshape(zero, (-1,) + (1,) * (weight.ndim - 1))
    return convolved(node, x, _by_column(weight, zero), None)


@imports("ConvInteger")
def _(
    node: Operation, x: Tensor, weight: Tensor, x_zero: Tensor | None = None, zero: Tensor | None = None
) -> Tensor:  # fmt: skip
    return _whole(node, x, x_zero, weight, zero).to("int32")


@imports("QLinearConv")
def _(
    node: Operation, x: Tensor, x_scale: Tensor, x_zero: Tensor, weight: Tensor, w_scale: Tensor, w_zero: Tensor,
    scale: Tensor, zero: Tensor, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    y = _whole(node, x, x_zero, weight, w_zero)
    tail = (-1,) + (1,) * (weight.ndim - 2)
    y = y if bias is None else y + ops.reshape(bias, tail).to("float64")
    factor = ops.reshape(w_scale, () if _is_one(w_scale) else tail).to("float64") * _one(x_scale, "float64")
    return _rounded(y * (factor / _one(scale, "float64")), _one(zero, "int32"), zero.dtype)
