"""Guards of ONNX's recurrent operators: an If runs a Scan instead where onnxruntime's kernels are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .recurrence import Layer, unsqueezed

__all__ = ["bounded_states", "either", "magnitude", "own_weights", "total"]


def bounded_states(b: Builder, layer: Layer) -> Any:
    """Returns whether no sum in an LSTM or a GRU can overflow or be NaN, from its inputs and weights alone.

    States are between -1 and 1, or not beyond the initial ones. So the magnitudes of all that a step multiplies, times
    those of all weights, bound every sum in the layer. Half of the range is left for rounding.
    """
    dtype = b.dtype(layer.x)
    given = [value for value in (layer.x, layer.h0, layer.c0) if value is not None]
    if b.narrow:
        # The sums fit in float32, in which onnxruntime computes; that of many magnitudes would not fit in float16.
        zeros = [b.op("ReduceSum", b.op("Mul", value, np.zeros((), dtype)), keepdims=0) for value in given]
        none = zeros[0] if len(zeros) == 1 else b.op("Sum", *zeros)
        return b.op("Equal", none, np.zeros((), dtype), dtype=np.bool_)
    read = [b.op("ReduceL1", value, keepdims=0) for value in given]
    most = read[0] if len(read) == 1 else b.op("Sum", *read)
    weights = total(b, [magnitude(b, weight) for weight in _weights(layer)])
    if isinstance(weights, np.ndarray):
        # One operator less: each costs half a microsecond, which is much of one step.
        greatest = float(np.finfo(dtype).max) / 4
        with np.errstate(all="ignore"):
            limit = np.asarray(greatest / np.maximum(np.float64(weights), 1), dtype)
        return b.op("Less", most, limit, dtype=np.bool_)
    product = b.op("Mul", b.op("Add", most, np.ones((), dtype)), weights)
    return b.op("Less", product, np.full((), np.inf, dtype), dtype=np.bool_)


def either(
    b: Builder, condition: ir.Value, results: Sequence[ir.Value], anew: Callable[[Builder], Sequence[ir.Value]]
) -> Any:
    """Returns the results of an operator if the condition holds, otherwise those that `anew` emits."""
    kept, other = b.subgraph(), b.subgraph(apart=True)
    return b.op(
        "If",
        condition,
        outputs=len(results),
        dtype=b.dtype(results[0]),
        then_branch=kept.graph([], [kept.op("Identity", result) for result in results]),
        else_branch=other.graph([], anew(other)),
    )


def own_weights(b: Builder, inner: Builder, layer: Layer) -> Layer:
    """Returns the layer with the operator's own weights, not copies of them: the file stores each weight once."""
    own = {
        name: inner.op("Squeeze", unsqueezed(b, getattr(layer, name)), np.array([0]))
        for name in ("weight_ih", "weight_hh")
    }
    return layer._replace(**own)


def magnitude(b: Builder, x: ir.Value) -> Any:
    """Returns the sum of the magnitudes of all elements."""
    array = b.array(x)
    if array is None:
        return b.op("ReduceL1", x, keepdims=0)
    with np.errstate(over="ignore"):
        return np.asarray(np.abs(array).sum(dtype=np.float64), array.dtype)


def total(b: Builder, magnitudes: Sequence[Any]) -> Any:
    """Returns twice the sum of these."""
    if all(isinstance(magnitude, np.ndarray) for magnitude in magnitudes):
        with np.errstate(over="ignore"):
            return np.asarray(2 * sum(magnitudes), magnitudes[0].dtype)
    result = b.op("Sum", *magnitudes)
    return b.op("Add", result, result)


def _weights(layer: Layer) -> list[ir.Value]:
    return [w for w in (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh) if w is not None]
