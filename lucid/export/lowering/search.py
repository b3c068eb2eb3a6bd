"""Lowerings of searches, counts and running values. ONNX has no operators for them, so they compare all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ExportError
from .builder import Builder
from .operands import in_shape, out_dtype, values
from .registry import lowers


def _pair(b: Builder, x: Any, y: Any) -> list[Any]:
    """Returns two operands of one dtype that onnxruntime can compare."""
    given = [b.dtype(z) if hasattr(z, "dtype") else z for z in (x, y)]
    dtype = np.result_type(*given)
    return values(b, [x, y], np.int64 if dtype.kind in "biu" else dtype)


@lowers("isin")
def _(b: Builder, elements: Any, test_elements: Any, assume_unique: bool, invert: bool) -> Any:
    x, y = _pair(b, elements, test_elements)
    column = b.op("Unsqueeze", x, np.array([-1]))
    same = b.op("Equal", column, b.op("Reshape", y, np.array([-1])), dtype=np.bool_)
    count = _summed(b, b.cast(same, np.int64), -1)
    found = b.op("Greater", count, np.array(0), dtype=np.bool_)
    return b.op("Not", found) if invert else found


def _summed(b: Builder, x: Any, axis: int) -> Any:
    return b.op("ReduceSum", x, np.array([axis]), keepdims=0)


@lowers("places_in_order")
def _(b: Builder, ordered: Any, values: Any, right: bool) -> Any:
    x, y = _pair(b, ordered, values)
    column, row = b.op("Unsqueeze", y, np.array([-1])), b.op("Unsqueeze", x, np.array([-2]))
    # Not Less: a NaN belongs behind all numbers.
    after = b.op("Greater" if right else "GreaterOrEqual", row, column, dtype=np.bool_)
    count = _summed(b, b.cast(b.op("Not", after), np.int64), -1)
    return count if len(in_shape(b, 0)) > 1 or in_shape(b, 1) else b.op("Squeeze", count, np.array([0]))


def _range(b: Builder, stop: Any) -> Any:
    return b.op("Range", np.array(0), stop, np.array(1), dtype=np.int64)


def _length(b: Builder, x: Any) -> Any:
    return b.op("Squeeze", b.op("Shape", x, dtype=np.int64), np.array([0]))


@lowers("repeated_places")
def _(b: Builder, counts: Any) -> Any:
    counts = b.cast(counts, np.int64)
    places = _range(b, b.op("ReduceSum", counts, np.array([0]), keepdims=0))
    ends = b.op("CumSum", counts, np.array(0))
    passed = b.op("LessOrEqual", ends, b.op("Unsqueeze", places, np.array([1])), dtype=np.bool_)
    return _summed(b, b.cast(passed, np.int64), 1)


@lowers("bincount")
def _(b: Builder, x: Any, weights: Any, minlength: int) -> Any:
    if b.opset < 16:
        raise ExportError(f"bincount needs opset 16 or newer; got opset {b.opset}")
    x, dtype = b.cast(x, np.int64), out_dtype(b)
    # One more element, -1, so that there is a largest one.
    largest = b.op("ReduceMax", b.op("Concat", x, np.array([-1]), axis=0), keepdims=1)
    length = b.op("Max", b.op("Add", largest, np.array([1])), np.array([minlength]))
    zeros = b.op("Expand", np.zeros(1, dtype), length)
    if weights is None:
        weights = b.op("Expand", np.ones(1, dtype), b.op("Shape", x, dtype=np.int64))
    return b.op("ScatterElements", zeros, x, b.cast(weights, dtype), axis=0, reduction="add")


# --- running values: row i of a square holds the elements up to the i-th


def _square(b: Builder, x: Any, dim: int) -> tuple[Any, Any, int]:
    """Returns the elements with a new axis before `dim`, a mask of those up to each, and the axis to reduce."""
    rank = len(in_shape(b))
    axis = dim % rank
    count = b.op("Gather", b.op("Shape", x, dtype=np.int64), np.array(axis), axis=0)
    places = _range(b, count)
    mask = b.op("LessOrEqual", places, b.op("Unsqueeze", places, np.array([1])), dtype=np.bool_)
    if axis < rank - 1:
        mask = b.op("Unsqueeze", mask, np.arange(2, rank - axis + 1))
    return b.op("Unsqueeze", x, np.array([axis])), mask, axis + 1


def _reduced(b: Builder, op_type: str, x: Any, axis: int) -> Any:
    if b.opset >= 18:
        return b.op(op_type, x, np.array([axis]), keepdims=0)
    return b.op(op_type, x, axes=[axis], keepdims=0)


@lowers("cumprod")
def _(b: Builder, x: Any, dim: int, dtype: Any) -> Any:
    kernel = out_dtype(b) if out_dtype(b).kind == "f" or out_dtype(b).name == "int32" else np.dtype(np.int64)
    x = b.cast(x, kernel)
    if not in_shape(b):
        return b.cast(x, out_dtype(b))
    rows, mask, axis = _square(b, x, dim)
    factors = b.op("Where", mask, rows, np.ones((), kernel), dtype=kernel)
    return b.cast(_reduced(b, "ReduceProd", factors, axis), out_dtype(b))


@lowers("cummax_places")
def _(b: Builder, x: Any, dim: int) -> Any:
    if not in_shape(b):
        return np.zeros((), np.int64)
    floating = b.dtype(x).kind == "f"
    x = x if floating else b.cast(x, np.int64)
    kernel = b.dtype(x)
    least = np.asarray(-np.inf if floating else np.iinfo(np.int64).min, kernel)
    unknown = b.op("IsNaN", x, dtype=np.bool_) if floating else None
    plain = b.op("Where", unknown, least, x, dtype=kernel) if floating else x
    rows, mask, axis = _square(b, plain, dim)
    largest = _reduced(b, "ReduceMax", b.op("Where", mask, rows, least, dtype=kernel), axis)
    equal = b.op("Equal", rows, b.op("Unsqueeze", largest, np.array([axis])), dtype=np.bool_)
    found = _last(b, b.op("And", equal, mask, dtype=np.bool_), axis, len(in_shape(b)))
    if not floating:
        return found
    # From the first NaN on, the last NaN is the largest.
    strange = b.op("And", b.op("Unsqueeze", unknown, np.array([axis - 1])), mask, dtype=np.bool_)
    last = _last(b, strange, axis, len(in_shape(b)))
    return b.op("Where", b.op("Less", last, np.array(0), dtype=np.bool_), found, last, dtype=np.int64)


def _last(b: Builder, square: Any, axis: int, rank: int) -> Any:
    """Returns the last place along an axis where a mask is true; -1 if there is none."""
    count = b.op("Gather", b.op("Shape", square, dtype=np.int64), np.array(axis), axis=0)
    places = _range(b, count)
    if axis < rank:
        places = b.op("Unsqueeze", places, np.arange(1, rank - axis + 1))
    return _reduced(b, "ReduceMax", b.op("Where", square, places, np.array(-1), dtype=np.int64), axis)
