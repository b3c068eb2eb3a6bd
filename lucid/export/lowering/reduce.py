"""Lowerings of the ops that reduce axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tracer.symbolic import Size
from ..builder import Builder
from .operands import call, in_shape, out_dtype, scalar
from .registry import lowers

Dims = Any


def axes_of(dim: Dims, rank: int) -> list[int] | None:
    """The axes that `dim` names, counted from the front; None for all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and not len(dim)):
        return None
    return sorted(d % rank if rank else 0 for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))


def reduced(b: Builder, op_type: str, x: Any, axes: list[int] | None, keepdim: bool) -> Any:
    """A reduction. ReduceSum takes its axes as an input from opset 13, the others from 18."""
    rank = len(in_shape(b))
    if not rank:
        return x
    if axes is not None and len(axes) == rank:
        axes = None
    if op_type == "ReduceSum" or b.opset >= 18:
        return b.op(op_type, x, None if axes is None else np.array(axes, np.int64), keepdims=int(keepdim))
    return b.op(op_type, x, **({} if axes is None else {"axes": axes}), keepdims=int(keepdim))


def _kernel(b: Builder, x: Any, dtype: Any) -> Any:
    """`x` in the nearest dtype that onnxruntime reduces."""
    dtype = np.dtype(dtype)
    return b.cast(x, dtype if dtype.kind == "f" or dtype.name in ("int32", "int64") else np.int64)


def _reduction(name: str, op_type: str) -> None:
    @lowers(name)
    def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
        dtype = out_dtype(b)
        result = reduced(b, op_type, _kernel(b, x, dtype), axes_of(dim, len(in_shape(b))), keepdim)
        return b.cast(result, dtype)


for name, op_type in {
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "logsumexp": "ReduceLogSumExp",
    "mean": "ReduceMean",
    "sum": "ReduceSum",
}.items():
    _reduction(name, op_type)


@lowers("sum_to")
def _(b: Builder, x: Any, shape: tuple[Any, ...]) -> Any:
    before = in_shape(b)
    extra = len(before) - len(shape)
    kept = [i + extra for i, n in enumerate(shape) if n == 1 and before[i + extra] != 1]
    leading = list(range(extra))
    if not leading and not kept:
        return x
    if not kept:
        return reduced(b, "ReduceSum", x, leading, False)
    result = reduced(b, "ReduceSum", x, leading + kept, True)
    return b.op("Squeeze", result, np.array(leading)) if leading else result


@lowers("size")
def _(b: Builder, x: Any, dim: Dims) -> Any:
    shape = in_shape(b)
    axes = axes_of(dim, len(shape))
    fixed, symbols, odd = 1, (), []
    for axis in range(len(shape)) if axes is None else axes:
        n = shape[axis]
        if isinstance(n, Size) and not n.offset:
            fixed, symbols = fixed * n.coefficient, symbols + n.symbols
        elif isinstance(n, Size):
            odd.append(n)
        elif n is None:
            odd.append(axis)
        else:
            fixed *= n
    dtype = out_dtype(b)
    parts = [scalar(b, Size(symbols, fixed) if symbols else fixed, dtype)]
    for n in odd:
        parts.append(scalar(b, n, dtype) if isinstance(n, Size) else b.cast(_measured(b, x, n), dtype))
    result = parts[0]
    for part in parts[1:]:
        result = b.op("Mul", result, part)
    return result


def _measured(b: Builder, x: Any, axis: int) -> Any:
    """The size of an axis that no formula gives."""
    return b.op("Gather", b.op("Shape", x, dtype=np.int64), np.array(axis), axis=0)


@lowers("argmax")
def _(b: Builder, x: Any, dim: int | None, keepdim: bool) -> Any:
    return _arg(b, "ArgMax", x, dim, keepdim)


def _arg(b: Builder, op_type: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    rank = len(in_shape(b))
    if b.dtype(x).kind in "bu" or b.dtype(x) == np.int16:
        x = b.cast(x, np.int64)
    if dim is not None and rank:
        return b.op(op_type, x, dtype=np.int64, axis=dim % rank, keepdims=int(keepdim))
    flat = b.op(op_type, b.op("Reshape", x, np.array([-1])), dtype=np.int64, axis=0, keepdims=0)
    return b.op("Reshape", flat, np.ones(rank, np.int64)) if keepdim and rank else flat


@lowers("any")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _counted(b, b.cast(x, np.bool_), dim, keepdim, "Greater")


@lowers("all")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _counted(b, b.op("Not", b.cast(x, np.bool_)), dim, keepdim, "Equal")


def _counted(b: Builder, x: Any, dim: Dims, keepdim: bool, op_type: str) -> Any:
    """Compare the number of true elements with 0; true for axes without elements as well, where a maximum is not."""
    count = reduced(b, "ReduceSum", b.cast(x, np.int32), axes_of(dim, len(in_shape(b))), keepdim)
    return b.op(op_type, count, np.array(0, np.int32), dtype=np.bool_)


@lowers("softmax")
def _(b: Builder, x: Any, dim: int) -> Any:
    return call(b, "Softmax", x, axis=dim)


@lowers("log_softmax")
def _(b: Builder, x: Any, dim: int) -> Any:
    return call(b, "LogSoftmax", x, axis=dim)
