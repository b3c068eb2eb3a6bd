"""Lowerings of RNN layers. Letters: T time, N batch, I input, H hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .guard import either, magnitude, own_weights, total_of_weights
from .recurrence import (
    Layer,
    Layers,
    counting,
    in_directions,
    initial,
    operator,
    previous,
    projected,
    results_of,
    scan,
    start,
    steps_of,
    transposed,
)
from .registry import lowers

__all__ = ["rnn_operator"]

_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}


@lowers("rnn")
def _(b: Builder, *operands: Any, nonlinearity: str) -> Any:
    layer, activation = Layer(*operands), _ACTIVATIONS[nonlinearity]
    strategy = b.strategy_of(b.node)
    if strategy == "rnn":
        return rnn_operator(b, [layer], nonlinearity)
    if layer.bias_ih is not None and layer.bias_hh is not None:
        # onnxruntime adds constants when it loads the file, which has both biases.
        layer = layer._replace(bias_ih=b.op("Add", layer.bias_ih, layer.bias_hh), bias_hh=None)
    return _composed(b, layer, activation, _unrolled if strategy == "unrolled" else _scan)


def rnn_operator(b: Builder, layers: Layers, nonlinearity: str) -> Any:
    """Emits one RNN operator, guarded where it needs it."""
    # onnxruntime accepts activation names only in this spelling, though the checker accepts any case.
    activations = [_ACTIVATIONS[nonlinearity]] * len(layers)
    results = operator(b, "RNN", layers, [0], activations=activations)
    return _unless_nan(b, results, layers) if nonlinearity == "relu" else results


def _composed(b: Builder, layer: Layer, activation: str, loop: Callable[..., Any]) -> Any:
    """Emits products, sums and the activation, by `_unrolled` or `_scan`."""
    inputs = projected(b, 1, layer.x, layer.weight_ih, layer.bias_ih, layer.bias_hh)
    output, last = loop(b, inputs, layer.h0, transposed(b, layer.weight_hh), activation)
    if layer.lengths is None:
        return output, last
    return results_of(b, layer, counting(b, layer.lengths), output)


def _unless_nan(b: Builder, results: tuple[ir.Value, ir.Value], layers: Layers) -> Any:
    """Guards the operator with Relu, which turns NaN into 0: if there may be a NaN, a Scan computes the results.

    The sum of the magnitudes of everything that a step multiplies, times that of all weights, bounds every sum in the
    layer. If the bound is finite, so are all sums. Doubling it leaves room for rounding.
    """
    dtype = b.dtype(layers[0].x)
    given = (layers[0].x, results[0], initial(b, layers, "h0"))
    read = [magnitude(b, value) for value in given if value is not None]
    most = b.op("Mul", b.op("Sum", *read, np.ones((), dtype)), total_of_weights(b, layers))
    finite = b.op("Less", most, np.full((), np.inf, dtype), dtype=np.bool_)

    def anew(inner: Builder) -> Any:
        return in_directions(inner, own_weights(b, inner, layers), lambda layer: _composed(inner, layer, "Relu", _scan))

    return either(b, finite, results, anew)


def _unrolled(b: Builder, inputs: ir.Value, h0: ir.Value | None, recurrent: ir.Value, activation: str) -> Any:
    """Emits MatMul, Add and the activation for each step. States stay (1, N, H), so no Squeeze is needed."""
    state = h0
    states = []
    for step in steps_of(b, inputs):
        total = step if state is None else b.op("Add", b.op("MatMul", state, recurrent), step)
        state = b.op(activation, total)
        states.append(state)
    return states[0] if len(states) == 1 else b.op("Concat", *states, axis=0), state


def _scan(b: Builder, inputs: ir.Value, h0: ir.Value | None, recurrent: ir.Value, activation: str) -> Any:
    """Emits one MatMul for the input projection of all steps, then a Scan over Gemm and the activation."""

    def step(body: Builder, states: Any, read: Any) -> Any:
        h = body.op(activation, body.op("Gemm", states[0], recurrent, read[0]))
        return [h], [h]

    last, output = scan(b, {"h": start(b, h0, b.dtype(inputs))}, {"x": inputs}, step, 1)
    return output, b.op("Unsqueeze", last, np.array([0]))


@lowers("rnn_backward")
def _(b: Builder, incoming: ir.Value, states: ir.Value, weight: ir.Value, nonlinearity: str, reverse: bool) -> Any:
    dtype = b.dtype(incoming)
    if nonlinearity == "tanh":
        slope = b.op("Sub", np.ones((), dtype), b.op("Mul", states, states))
    else:
        slope = b.cast(b.op("Greater", states, np.zeros((), dtype), dtype=np.bool_), dtype)

    def step(body: Builder, states: Any, read: Any) -> Any:
        total = body.op("Gemm", states[0], weight, read[0])
        return [body.op("Mul", total, read[1])], [total]

    first = start(b, None, dtype)
    _, totals = scan(b, {"z": first}, {"g": incoming, "slope": slope}, step, 1, reverse=reverse)
    # Recomputed for all steps at once: that is cheaper than a node in each step that copies a state to be collected.
    return b.op("Mul", totals, slope)


@lowers("recurrent_weight_gradient")
def _(b: Builder, dz: ir.Value, first: ir.Value | None, states: ir.Value) -> Any:
    rows = (b.op("Flatten", array, axis=2) for array in (dz, previous(b, first, states)))
    return b.op("Gemm", *rows, transA=1)
