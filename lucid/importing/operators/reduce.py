"""Imports of reductions and searches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from ...tensor import Tensor
from ..registry import Operation, imports
from ..values import Sizes, as_tensor, boxed, constant, integers, scalar

__all__ = ["axes_of"]

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def axes_of(node: Operation, axes: Any) -> list[int] | None:
    """Returns the axes that an input or an attribute names; None if neither does."""
    return node.get("axes") if axes is None else integers(axes)


def _prod(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = ops.prod(x, axis, keep)
    return x


def _extreme(function: Reduction, x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Reduces by a maximum or a minimum; that of nothing is the number that every other one beats."""
    if not any(type(x.shape[axis]) is int and x.shape[axis] == 0 for axis in axes):
        return function(x, axes, keep)
    worst = _WORST[x.dtype.kind](x.dtype)[0 if function is ops.amax else 1]
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape) if keep or axis not in axes]
    return ops.full(tuple(shape), worst, dtype=x.dtype)


_WORST: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "b": lambda dtype: (False, True),
    "f": lambda dtype: (-math.inf, math.inf),
    "i": lambda dtype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)),
    "u": lambda dtype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)),
}


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceL1": lambda x, axes, keep: ops.sum(ops.abs(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: ops.sqrt(ops.sum(ops.square(x), axes, keep)),
    "ReduceLogSum": lambda x, axes, keep: ops.log(ops.sum(x, axes, keep)),
    "ReduceLogSumExp": lambda x, axes, keep: ops.logsumexp(x, axes, keep),
    "ReduceMax": lambda x, axes, keep: _extreme(ops.amax, x, axes, keep),
    "ReduceMean": lambda x, axes, keep: ops.mean(x, axes, keep),
    "ReduceMin": lambda x, axes, keep: _extreme(ops.amin, x, axes, keep),
    "ReduceProd": _prod,
    "ReduceSum": lambda x, axes, keep: ops.sum(x, axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: ops.sum(ops.square(x), axes, keep),
}

_OF_SIZES: dict[str, Callable[[list[Any]], Any]] = {
    "ReduceMax": max,
    "ReduceMin": min,
    "ReduceProd": math.prod,
    "ReduceSum": sum,
}


def _reduced(node: Operation, x: Any, axes: Any = None) -> Any:
    found = axes_of(node, axes)
    keep = bool(node.get("keepdims", 1))
    if isinstance(x, Sizes) and node.op_type in _OF_SIZES and x.items.ndim == 1 and found in (None, [], [0], [-1]):
        result = _OF_SIZES[node.op_type](list(x.items))
        return Sizes(boxed([result] if keep else result), x.dtype)
    tensor = as_tensor(x)
    if not found and node.get("noop_with_empty_axes", 0):
        # Each element by itself: what the operator does to one, without a sum.
        result = _REDUCTIONS[node.op_type](ops.unsqueeze(tensor, 0), (0,), False)
    else:
        over = tuple([axis % tensor.ndim for axis in found]) if found else tuple(range(tensor.ndim))
        if over:
            result = _REDUCTIONS[node.op_type](tensor, over, keep)
        else:
            result = _REDUCTIONS[node.op_type](ops.unsqueeze(tensor, 0), (0,), False)
    if result.dtype != tensor.dtype:
        result = result.to(tensor.dtype)
    return np.asarray(result._data) if constant(x) else result


imports(*_REDUCTIONS, plain=True)(_reduced)


@imports("ArgMax", "ArgMin")
def _(node: Operation, x: Tensor) -> Tensor:
    search = ops.argmax if node.op_type == "ArgMax" else ops.argmin
    axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
    if node.get("select_last_index", 0):
        return x.shape[axis] - 1 - search(ops.flip(x, axis), axis, keep)
    return search(x, axis, keep)


@imports("TopK", plain=True)
def _(node: Operation, x: Any, k: Any) -> Any:
    (count,) = integers(k)
    x = as_tensor(x)
    return tuple(ops.topk(x, count, node.get("axis", -1), bool(node.get("largest", 1)), bool(node.get("sorted", 1))))


@imports("CumSum", "CumProd", plain=True)
def _(node: Operation, x: Any, axis: Any) -> Tensor:
    at = int(scalar(axis))
    x = as_tensor(x)
    x = ops.flip(x, at) if node.get("reverse", 0) else x
    total = (ops.cumsum if node.op_type == "CumSum" else ops.cumprod)(x, at)
    if node.get("exclusive", 0):
        one = [1 if axis == at % x.ndim else n for axis, n in enumerate(x.shape)]
        first = ops.full(tuple(one), 0 if node.op_type == "CumSum" else 1, dtype=x.dtype)
        total = ops.narrow(ops.cat([first, total], at), at, 0, x.shape[at])
    total = total.to(x.dtype)
    return ops.flip(total, at) if node.get("reverse", 0) else total


@imports("NonZero")
def _(node: Operation, x: Tensor) -> Tensor:
    return ops.transpose(ops.nonzero(x), 0, 1)


@imports("Unique")
def _(node: Operation, x: Tensor) -> Any:
    axis = node.get("axis")
    x, axis = (ops.reshape(x, (-1,)), 0) if axis is None else (x, axis % x.ndim)
    along = None if x.ndim == 1 else axis
    values, inverse, counts = ops.unique(x, return_inverse=True, return_counts=True, dim=along)
    # The first of equal elements stands where those of the distinct elements before it end.
    first = ops.argsort(inverse, 0, stable=True)[ops.cumsum(counts, 0) - counts]
    if not node.get("sorted", 1):
        order = ops.argsort(first, 0)
        values, first, counts = (
            ops.index_select(part, i, order) for part, i in ((values, axis), (first, 0), (counts, 0))
        )
        inverse = ops.argsort(order, 0)[inverse]
    return (values, first, inverse, counts)[: node.outputs]
