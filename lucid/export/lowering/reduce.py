"""Lowerings of reductions, cumulative sums and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.size import Size
from .builder import Builder
from .operands import call, in_shape, out_dtype, scalar
from .registry import lowers
from .sizes import measured, product

Dims = Any


def axes_of(dim: Dims, rank: int) -> list[int] | None:
    """Returns the axes that `dim` names, counted from the front; None for all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and not len(dim)):
        return None
    return sorted(d % rank if rank else 0 for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))


def reduced(b: Builder, op_type: str, x: Any, axes: list[int] | None, keepdim: bool) -> Any:
    """Emits a reduction. ReduceSum takes its axes as an input from opset 13, the others from 18."""
    rank = len(in_shape(b))
    if not rank:
        return x
    if axes is not None and len(axes) == rank:
        axes = None
    if axes is None:
        return b.op(op_type, x, keepdims=int(keepdim))
    if op_type == "ReduceSum" or b.opset >= 18:
        return b.op(op_type, x, np.array(axes, np.int64), keepdims=int(keepdim))
    attributes: dict[str, Any] = {"axes": axes, "keepdims": int(keepdim)}
    return b.op(op_type, x, **attributes)


def _lower_reduction(b: Builder, op_type: str, x: Any, dim: Dims, keepdim: bool) -> Any:
    dtype = out_dtype(b)
    # The closest dtype that onnxruntime can reduce.
    kernel = dtype if dtype.kind == "f" or dtype.name in ("int32", "int64") else np.int64
    result = reduced(b, op_type, b.cast(x, kernel), axes_of(dim, len(in_shape(b))), keepdim)
    return b.cast(result, dtype)


@lowers("sum")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool, dtype: Any) -> Any:
    rank = len(in_shape(b))
    if rank > 2 and not keepdim and axes_of(dim, rank) == list(range(rank - 1)) and out_dtype(b).kind == "f":
        # A sum over all rows, as in the gradient of a bias: onnxruntime's MatMul with ones is faster than ReduceSum.
        rows = b.op("Flatten", b.cast(x, out_dtype(b)), axis=rank - 1)
        count = b.op("Slice", b.op("Shape", rows, dtype=np.int64), np.array([0]), np.array([1]))
        one = ir.tensor(np.ones(1, out_dtype(b)))
        return b.op("MatMul", b.op("ConstantOfShape", count, dtype=out_dtype(b), value=one), rows)
    if out_dtype(b).kind == "f":
        return _lower_reduction(b, "ReduceSum", x, dim, keepdim)
    return b.cast(_sum_of_integers(b, x, axes_of(dim, rank), keepdim), out_dtype(b))


def _sum_of_integers(b: Builder, x: Any, axes: list[int] | None, keepdim: bool) -> Any:
    """Sums integers modulo 2**64, as NumPy does; onnxruntime's ReduceSum adds in float64, and stops at the greatest."""
    whole = b.cast(x, np.int64)
    if b.dtype(x).itemsize < 8:
        return reduced(b, "ReduceSum", whole, axes, keepdim)
    # Sums of halves fit in a float64.
    low = b.cast(b.cast(whole, np.int32), np.int64)
    high = b.op("Div", b.op("Sub", whole, low), np.array(2**32))
    low, high = (reduced(b, "ReduceSum", half, axes, keepdim) for half in (low, high))
    return b.op("Add", b.op("Mul", high, np.array(2**32)), low)


@lowers("mean")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool, dtype: Any) -> Any:
    result = _lower_reduction(b, "ReduceMean", x, dim, keepdim)
    shape = in_shape(b)
    axes = axes_of(dim, len(shape)) if shape else []
    if not any(b.may_be_empty(shape[axis]) for axis in (range(len(shape)) if axes is None else axes)):
        return result
    # onnxruntime's mean of no elements is 0.
    none = b.op("Equal", b.op("Size", x, dtype=np.int64), np.array(0), dtype=np.bool_)
    return b.op("Where", none, np.full((), np.nan, out_dtype(b)), result, dtype=out_dtype(b))


@lowers("prod")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool, dtype: Any) -> Any:
    rank = len(in_shape(b))
    if out_dtype(b).kind == "f" or not rank:
        return _lower_reduction(b, "ReduceProd", x, dim, keepdim)
    x, axes = b.cast(x, np.int64), axes_of(dim, rank)
    taken = list(range(rank)) if axes is None else axes
    for left, axis in zip(range(rank - 1, -1, -1), reversed(taken), strict=False):
        x = _product_of_integers(b, x, axis, left)
    if keepdim:
        x = b.op("Unsqueeze", x, np.array(taken))
    return b.cast(x, out_dtype(b))


def _product_of_integers(b: Builder, x: Any, axis: int, rank: int) -> Any:
    """Multiplies int64 along an axis, modulo 2**64, as NumPy does; onnxruntime's ReduceProd computes in float64.

    Args:
        b: the builder.
        x: what is multiplied.
        axis: the axis.
        rank: the rank of the result.
    """
    none = b.op("ReduceSum", b.op("Mul", x, np.array(0)), np.array([axis]), keepdims=0)
    count = b.op("Squeeze", measured(b, x, axis), np.array([0]))
    body = b.subgraph()
    step, going = body.argument("step", np.int64, 0), body.argument("going", np.bool_, 0)
    product = body.argument("product", np.int64, rank)
    made = body.op("Mul", product, body.op("Gather", x, step, axis=axis))
    return b.op(
        "Loop",
        count,
        None,
        b.op("Add", none, np.array(1)),
        dtype=np.int64,
        body=body.graph([step, going, product], [body.op("Identity", going), made]),
    )


@lowers("logsumexp")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _lower_reduction(b, "ReduceLogSumExp", x, dim, keepdim)


@lowers("norm2")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    if not in_shape(b):
        return call(b, "Abs", x)
    return _lower_reduction(b, "ReduceL2", x, dim, keepdim)


@lowers("amax")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _extremum(b, "ReduceMax", x, dim, keepdim)


@lowers("amin")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _extremum(b, "ReduceMin", x, dim, keepdim)


def _extremum(b: Builder, op_type: str, x: Any, dim: Dims, keepdim: bool) -> Any:
    """Emits ReduceMax or ReduceMin, and NaN where there is one: onnxruntime's kernels skip it, or not, by its place."""
    result = _lower_reduction(b, op_type, x, dim, keepdim)
    dtype, rank = out_dtype(b), len(in_shape(b))
    if dtype.kind != "f" or not rank:
        return result
    found = reduced(b, "ReduceMax", _marked(b, x), axes_of(dim, rank), keepdim)
    return b.op("Where", b.cast(found, np.bool_), np.full((), np.nan, dtype), result, dtype=dtype)


def _marked(b: Builder, x: Any) -> Any:
    """Returns 1 where an element is NaN, otherwise 0."""
    return b.cast(b.op("IsNaN", x, dtype=np.bool_), np.int32)


@lowers("sum_to")
def _(b: Builder, x: Any, shape: tuple[Any, ...]) -> Any:
    before = in_shape(b)
    extra = len(before) - len(shape)
    kept = [i + extra for i, n in enumerate(shape) if n == 1 and before[i + extra] != 1]
    leading = list(range(extra))
    if not leading and not kept:
        return x
    x = b.cast(x, out_dtype(b))
    if not kept:
        return reduced(b, "ReduceSum", x, leading, False)
    result = reduced(b, "ReduceSum", x, leading + kept, True)
    return b.op("Squeeze", result, np.array(leading)) if leading else result


@lowers("size")
def _(b: Builder, x: Any, dim: Dims) -> Any:
    shape = in_shape(b)
    axes = axes_of(dim, len(shape))
    taken = range(len(shape)) if axes is None or not shape else axes
    dtype = out_dtype(b)
    whole = product([shape[axis] for axis in taken])
    if whole is not None:
        return scalar(b, whole, dtype)
    parts: list[ir.Value] = []
    for axis in taken:
        n = shape[axis]
        if n is None:
            parts.append(b.cast(b.op("Squeeze", measured(b, x, axis), np.array([0])), dtype))
        else:
            parts.append(scalar(b, n, dtype))
    result = parts[0]
    for part in parts[1:]:
        result = b.op("Mul", result, part)
    return result


@lowers("prod_of_others")
def _(b: Builder, x: Any) -> Any:
    # A square of copies of the row, with ones on the diagonal, multiplied along each row.
    n = in_shape(b)[-1]
    if isinstance(n, int):
        diagonal: Any = np.eye(n, dtype=np.bool_)
    else:
        count = scalar(b, n, np.int64) if isinstance(n, Size) else b.op("Squeeze", measured(b, x, -1), np.array([0]))
        places = b.op("Range", np.array(0), count, np.array(1), dtype=np.int64)
        diagonal = b.op("Equal", b.op("Unsqueeze", places, np.array([1])), places, dtype=np.bool_)
    dtype = out_dtype(b)
    kernel = dtype if dtype.kind == "f" or dtype.name in ("int32", "int64") else np.dtype(np.int64)
    rows = b.op("Unsqueeze", b.cast(x, kernel), np.array([-2]))
    square = b.op("Where", diagonal, np.ones((), kernel), rows, dtype=kernel)
    last = len(in_shape(b))
    if b.opset >= 18:
        return b.cast(b.op("ReduceProd", square, np.array([last]), keepdims=0), dtype)
    return b.cast(b.op("ReduceProd", square, axes=[last], keepdims=0), dtype)


@lowers("argmax")
def _(b: Builder, x: Any, dim: int | None, keepdim: bool) -> Any:
    return _place(b, "ArgMax", x, dim, keepdim)


@lowers("argmin")
def _(b: Builder, x: Any, dim: int | None, keepdim: bool) -> Any:
    return _place(b, "ArgMin", x, dim, keepdim)


def _place(b: Builder, op_type: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    rank = len(in_shape(b))
    if not rank:
        return b.const(np.zeros((), np.int64))
    if b.dtype(x).kind != "f" and b.dtype(x).name not in ("int32", "int64"):
        x = b.cast(x, np.int64)
    if dim is not None:
        return _first(b, op_type, x, dim % rank, keepdim)
    flat = _first(b, op_type, b.op("Reshape", x, np.array([-1])), 0, False)
    return b.op("Reshape", flat, np.ones(rank, np.int64)) if keepdim else flat


def _first(b: Builder, op_type: str, x: Any, axis: int, keepdim: bool) -> Any:
    """Emits ArgMax or ArgMin along an axis; the first NaN counts as the greatest and the smallest, unlike in ONNX."""
    place = b.op(op_type, x, dtype=np.int64, axis=axis, keepdims=int(keepdim))
    if b.dtype(x).kind != "f":
        return place
    marked = _marked(b, x)
    found = b.cast(reduced(b, "ReduceMax", marked, [axis], keepdim), np.bool_)
    first = b.op("ArgMax", marked, dtype=np.int64, axis=axis, keepdims=int(keepdim))
    return b.op("Where", found, first, place, dtype=np.int64)


@lowers("any")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _counted(b, b.cast(x, np.bool_), dim, keepdim, "Greater")


@lowers("all")
def _(b: Builder, x: Any, dim: Dims, keepdim: bool) -> Any:
    return _counted(b, b.op("Not", b.cast(x, np.bool_)), dim, keepdim, "Equal")


def _counted(b: Builder, x: Any, dim: Dims, keepdim: bool, op_type: str) -> Any:
    """Compares the number of true elements with 0; unlike a maximum, this is correct for empty axes, too."""
    count = reduced(b, "ReduceSum", b.cast(x, np.int32), axes_of(dim, len(in_shape(b))), keepdim)
    return b.op(op_type, count, np.array(0, np.int32), dtype=np.bool_)


@lowers("cumsum")
def _(b: Builder, x: Any, dim: int, dtype: Any) -> Any:
    if not in_shape(b):
        return x
    return call(b, "CumSum", x, extra=[np.array(dim % len(in_shape(b)), np.int64)])


@lowers("softmax")
def _(b: Builder, x: Any, dim: int, dtype: Any) -> Any:
    return _along(b, "Softmax", x, dim)


@lowers("log_softmax")
def _(b: Builder, x: Any, dim: int, dtype: Any) -> Any:
    return _along(b, "LogSoftmax", x, dim)


def _along(b: Builder, op_type: str, x: Any, dim: int) -> Any:
    """Emits an operator that needs an axis; a value without axes gets one for it."""
    if in_shape(b):
        return call(b, op_type, x, axis=dim)
    row = call(b, op_type, b.op("Unsqueeze", x, np.array([0])), axis=0)
    return b.op("Squeeze", row, np.array([0]))
