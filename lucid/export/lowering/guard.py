"""Guards of ONNX's recurrent operators: an If runs a Scan instead where onnxruntime's kernels are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .recurrence import Layers, initial, stacked, unsqueezed

__all__ = ["bounded_states", "either", "magnitude", "own_weights", "total_of_weights"]


def bounded_states(b: Builder, layers: Layers) -> Any:
    """Returns whether no sum in an LSTM or a GRU can overflow or be NaN, from its inputs and weights alone.

    States are between -1 and 1, or not beyond the initial ones. So the magnitudes of all that a step multiplies, times
    those of all weights, bound every sum in the layer. Half of the range is left for rounding.
    """
    dtype = b.dtype(layers[0].x)
    states = (initial(b, layers, name) for name in ("h0", "c0"))
    given = [layers[0].x, *(state for state in states if state is not None)]
    if b.precision == "float16":
        # The sums fit in float32, in which onnxruntime computes; that of many magnitudes would not fit in float16.
        zeros = [b.op("ReduceSum", b.op("Mul", value, np.zeros((), dtype)), keepdims=0) for value in given]
        none = zeros[0] if len(zeros) == 1 else b.op("Sum", *zeros)
        return b.op("Equal", none, np.zeros((), dtype), dtype=np.bool_)
    read = [b.op("ReduceL1", value, keepdims=0) for value in given]
    most = read[0] if len(read) == 1 else b.op("Sum", *read)
    weights = total_of_weights(b, layers)
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


def own_weights(b: Builder, inner: Builder, layers: Layers) -> Layers:
    """Returns the layers with the operator's own weights and states, not copies: the file stores each weight once."""
    wholes = {
        name: stacked(b, [unsqueezed(b, getattr(layer, name)) for layer in layers])
        for name in ("weight_ih", "weight_hh")
    }
    own = [
        layer._replace(**{name: inner.op("Gather", whole, np.array(i), axis=0) for name, whole in wholes.items()})
        for i, layer in enumerate(layers)
    ]
    if len(layers) == 1:
        return own
    states = {name: whole for name in ("h0", "c0") if (whole := initial(b, layers, name)) is not None}
    return [
        layer._replace(**{name: inner.op("Gather", whole, np.array([i]), axis=0) for name, whole in states.items()})
        for i, layer in enumerate(own)
    ]


def magnitude(b: Builder, x: ir.Value) -> Any:
    """Returns the sum of the magnitudes of all elements."""
    array = b.array(x)
    if array is None:
        return b.op("ReduceL1", x, keepdims=0)
    with np.errstate(over="ignore"):
        return np.asarray(np.abs(array).sum(dtype=np.float64), array.dtype)


def total_of_weights(b: Builder, layers: Layers) -> Any:
    """Returns twice the sum of the magnitudes of all weights."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [weight for layer in layers for name in names if (weight := getattr(layer, name)) is not None]
    magnitudes = [magnitude(b, weight) for weight in weights]
    if all(isinstance(magnitude, np.ndarray) for magnitude in magnitudes):
        with np.errstate(over="ignore"):
            return np.asarray(2 * sum(magnitudes), magnitudes[0].dtype)
    result = b.op("Sum", *magnitudes)
    return b.op("Add", result, result)
