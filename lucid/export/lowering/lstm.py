"""Lowerings of LSTM layers. Letters: T time, N batch, I input, H hidden.

PyTorch's gate order is i f g o; ONNX's is i o f c, where c is g; that of the op's own loop is o i f g.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .guard import bounded_states, either, own_weights
from .recurrence import (
    Layer,
    Layers,
    at_last,
    blocks,
    collected,
    counting,
    exchanged,
    gates_of,
    in_directions,
    joined,
    layer_shape,
    operator,
    previous,
    projected,
    results_of,
    scan,
    start,
    steps_of,
    summed,
    transposed,
    zeroed,
)
from .registry import lowers

__all__ = ["lstm_operator"]

_ONNX = (0, 3, 1, 2)
_OWN = (3, 0, 1, 2)

_PARTS = ("o", "i", "f", "g", "written", "kept", "t")
"""The values that the gradient needs: the gates, i g, f c and tanh(c)."""

_KEPT = ("o", "i", "f", "g", "kept", "t")
"""The same without i g, a product of two of them."""


class _Columns(dict[str, ir.Value]):
    """The values that the gradient needs, with sequences as columns: each (T, H, N)."""


@lowers("lstm")
def _(b: Builder, x: ir.Value, h0: ir.Value | None, c0: ir.Value | None, *operands: Any) -> Any:
    layer = Layer(x, h0, *operands)._replace(c0=c0)
    strategy = b.strategy_of(b.node)
    if strategy == "rnn":
        results = lstm_operator(b, [layer])
        if not b.is_read(3, 4):
            return *results, None, None
    layer = _ordered(b, layer, _ONNX if strategy == "rnn" else _OWN)
    if strategy == "columns":
        return _columns(b, layer)
    if strategy == "rnn":
        made = _again(b, results[0], layer)
    else:
        loop = _unrolled if strategy == "unrolled" else _scan
        made, *last = loop(b, layer)
        results = made["h"], *last
    if layer.lengths is not None:
        counts = counting(b, layer.lengths)
        if strategy != "rnn":
            results = results_of(b, layer, counts, made["h"], made["c"])
        made = {name: zeroed(b, value, counts) for name, value in made.items()}
    gates = joined(b, made, "oifg")
    if strategy != "unrolled":
        b.parts[gates] = made
    return *results, gates, made["c"]


def lstm_operator(b: Builder, layers: Layers) -> Any:
    """Emits one LSTM operator, guarded."""
    whole = [_with_biases(b, layer) for layer in layers]
    layers = [_ordered(b, layer, _ONNX) for layer in layers]

    def anew(inner: Builder) -> Any:
        return in_directions(inner, own_weights(b, inner, layers), lambda layer: _anew(inner, layer))

    # onnxruntime's kernel limits pre-activations, which makes plausible numbers of NaN.
    return either(b, bounded_states(b, layers), operator(b, "LSTM", whole, range(4)), anew)


def _ordered(b: Builder, layer: Layer, order: Sequence[int]) -> Layer:
    """Returns the layer with its gates in that order, and with one bias."""
    bias = summed(b, [part for part in (layer.bias_ih, layer.bias_hh) if part is not None])
    return layer._replace(
        weight_ih=blocks(b, layer.weight_ih, order),
        weight_hh=blocks(b, layer.weight_hh, order),
        bias_ih=bias and blocks(b, bias, order),
        bias_hh=None,
    )


def _with_biases(b: Builder, layer: Layer) -> Layer:
    """Returns the layer in ONNX's order with both biases, so that a reader of the file finds the layer's own.

    Biases that are not constants become one, which takes fewer nodes.
    """
    if any(part is None or b.array(part) is None for part in (layer.bias_ih, layer.bias_hh)):
        return _ordered(b, layer, _ONNX)
    return layer._replace(
        **{name: blocks(b, getattr(layer, name), _ONNX) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    )


def _anew(b: Builder, layer: Layer) -> Any:
    """Emits a Scan for what the operator computes, with the gates in ONNX's order."""
    made, *last = _scan(b, layer, "iof")
    if layer.lengths is None:
        return made["h"], *last
    return results_of(b, layer, counting(b, layer.lengths), made["h"], made["c"])


def _gates(b: Builder, total: ir.Value, hidden: int, axis: int, order: str = "oif") -> dict[str, ir.Value]:
    """Computes the gates, and what is written to the cell, from pre-activations: those of `order`, then that of g."""
    sigmoids, candidate = b.op("Split", total, np.array([3 * hidden, hidden]), outputs=2, axis=axis)
    opened = b.op("Split", b.op("Sigmoid", sigmoids), np.full(3, hidden, np.int64), outputs=3, axis=axis)
    made = {**dict(zip(order, opened, strict=True)), "g": b.op("Tanh", candidate)}
    return {**made, "written": b.op("Mul", made["i"], made["g"])}


def _cell(
    b: Builder, total: ir.Value, c: ir.Value | None, hidden: int, axis: int, order: str = "oif"
) -> dict[str, ir.Value]:
    """Computes one step from the pre-activations; returns the next h and c, and their intermediate values."""
    made = _gates(b, total, hidden, axis, order)
    if c is None:
        made["c"] = made["written"]
    else:
        made["kept"] = b.op("Mul", made["f"], c)
        made["c"] = b.op("Add", made["kept"], made["written"])
    made["t"] = b.op("Tanh", made["c"])
    made["h"] = b.op("Mul", made["o"], made["t"])
    return made


def _unrolled(b: Builder, layer: Layer) -> Any:
    """Emits MatMul, Add and the gates for each step. States stay (1, N, H), so no Squeeze is needed."""
    hidden = layer_shape(b)[2]
    inputs, recurrent = projected(b, 4, layer.x, layer.weight_ih, layer.bias_ih), transposed(b, layer.weight_hh)
    h, c = layer.h0, layer.c0
    steps: list[dict[str, ir.Value]] = []
    for step in steps_of(b, inputs):
        total = step if h is None else b.op("Add", b.op("MatMul", h, recurrent), step)
        steps.append(_cell(b, total, c, hidden, 2))
        h, c = steps[-1]["h"], steps[-1]["c"]
    return collected(b, steps, "oifgch"), h, c


def _scan(b: Builder, layer: Layer, order: str = "oif") -> Any:
    """Emits one MatMul for the input projection of all steps, then a Scan over Gemm and the gates."""
    inputs, recurrent = projected(b, 4, layer.x, layer.weight_ih, layer.bias_ih), transposed(b, layer.weight_hh)
    dtype, hidden = b.dtype(inputs), layer_shape(b)[2]

    def step(body: Builder, states: Any, read: Any) -> Any:
        made = _cell(body, body.op("Gemm", states[0], recurrent, read[0]), states[1], hidden, 1, order)
        return [made["h"], made["c"]], [made[name] for name in _PARTS]

    states = {"h": start(b, layer.h0, dtype), "c": start(b, layer.c0, dtype)}
    h_n, c_n, *read = scan(b, states, {"x": inputs}, step, len(_PARTS))
    made = dict(zip(_PARTS, read, strict=True))
    # Recomputed for all steps at once: that is cheaper than a node in each step that copies a state to be collected.
    made["h"] = b.op("Mul", made["o"], made["t"])
    made["c"] = b.op("Add", made["kept"], made["written"])
    return made, b.op("Unsqueeze", h_n, np.array([0])), b.op("Unsqueeze", c_n, np.array([0]))


def _columns(b: Builder, layer: Layer) -> Any:
    """Emits a Scan in which each sequence is a column, and the weights are the left operands of both products.

    onnxruntime repacks the right operand of a product on every call, unless it is a constant. Here that is the state,
    not the weights, which have many more elements.
    """
    column = None if layer.bias_ih is None else b.op("Unsqueeze", layer.bias_ih, np.array([1]))
    dtype, hidden = b.dtype(layer.x), layer_shape(b)[2]

    def step(body: Builder, states: Any, read: Any) -> Any:
        total = body.op("Gemm", layer.weight_hh, states[0], body.op("Gemm", layer.weight_ih, read[0], column, transB=1))
        made = _cell(body, total, states[1], hidden, 0)
        return [made["h"], made["c"]], [transposed(body, made["h"]), *(made[name] for name in _KEPT)]

    states = {"h": transposed(b, start(b, layer.h0, dtype)), "c": transposed(b, start(b, layer.c0, dtype))}
    h_n, c_n, output, *read = scan(b, states, {"x": layer.x}, step, len(_KEPT) + 1)
    made = _Columns(zip(_KEPT, read, strict=True))
    cells = exchanged(b, b.op("Add", made["kept"], b.op("Mul", made["i"], made["g"])))
    h_n, c_n = (b.op("Unsqueeze", transposed(b, last), np.array([0])) for last in (h_n, c_n))
    if layer.lengths is not None:
        counts = counting(b, layer.lengths)
        h_n, c_n = at_last(b, output, layer.lengths), at_last(b, cells, layer.lengths)
        output, cells = zeroed(b, output, counts), zeroed(b, cells, counts)
        counts = exchanged(b, counts)
        made = _Columns((name, zeroed(b, value, counts)) for name, value in made.items())
    gates = joined(b, {gate: exchanged(b, made[gate]) for gate in "oifg"}, "oifg")
    b.parts[gates] = made
    return output, h_n, c_n, gates, cells


def _again(b: Builder, output: ir.Value, layer: Layer) -> dict[str, ir.Value]:
    """Recomputes what the operator does not return, from its states: the gates of all steps by one product, and the
    cells by a Scan without products."""
    read = b.op("Concat", layer.x, previous(b, layer.h0, output), axis=2)
    weight = b.op("Concat", layer.weight_ih, layer.weight_hh, axis=1)
    made = _gates(b, projected(b, 4, read, weight, layer.bias_ih), layer_shape(b)[2], 2, "iof")

    def step(body: Builder, states: Any, read: Any) -> Any:
        f, written = read
        kept = body.op("Mul", f, states[0])
        return [body.op("Add", kept, written)], [kept]

    _, kept = scan(
        b, {"c": start(b, layer.c0, b.dtype(layer.x))}, {"f": made["f"], "written": made["written"]}, step, 1
    )
    c = b.op("Add", kept, made["written"])
    return {**made, "h": output, "kept": kept, "c": c, "t": b.op("Tanh", c)}


@lowers("lstm_backward")
def _(
    b: Builder,
    g_states: ir.Value,
    g_cells: ir.Value | None,
    gates: ir.Value,
    cells: ir.Value,
    c0: ir.Value | None,
    weight: ir.Value,
) -> Any:
    made = b.parts.get(gates)
    last = b.op("Gather", g_states, np.array(-1), axis=0)
    # The Gemm that computes the gradient at the previous step also adds the incoming gradient there.
    arriving = previous(b, None, g_states)
    zeros = start(b, None, b.dtype(gates), 1)
    if isinstance(made, _Columns):
        return _backward_columns(b, last, arriving, g_cells, made, zeros, transposed(b, weight))
    k, p, f = _coefficients(b, made or _parts(b, gates, cells, c0))
    inputs = {"g": arriving, "k": k, "p": p, "f": f}
    if g_cells is not None:
        inputs["g_c"] = g_cells

    def step(body: Builder, states: Any, read: Any) -> Any:
        dh, carried = states
        g, k, p, f, *g_c = read
        dc = body.op("Add", body.op("Mul", p, dh), carried)
        if g_c:
            dc = body.op("Add", dc, g_c[0])
        da = body.op("Mul", body.op("Concat", dc, dc, dc, dh, axis=1), k)
        return [body.op("Gemm", da, weight, g), body.op("Mul", f, dc)], [da, dc]

    return scan(b, {"dh": last, "dc": zeros}, inputs, step, 2, reverse=True)[2:]


def _backward_columns(
    b: Builder,
    last: ir.Value,
    arriving: ir.Value,
    g_cells: ir.Value | None,
    made: _Columns,
    zeros: ir.Value,
    weight: ir.Value,
) -> Any:
    """Emits the backward pass with sequences as columns, see `_columns`.

    The coefficients are computed step by step: those of all steps would pass through memory twice.

    Args:
        last: the incoming gradient of the last state, (N, H).
        arriving: the incoming gradient of the state before each step, (T, N, H).
        zeros: (N, H).
        weight: W_hh, transposed.
    """
    inputs: dict[str, ir.Value] = {"arriving": arriving, **made}
    if g_cells is not None:
        inputs["g_c"] = g_cells

    def step(body: Builder, states: Any, read: Any) -> Any:
        dh, carried = states
        own = dict(zip(inputs, read, strict=True))
        own["written"], own["h"] = body.op("Mul", own["i"], own["g"]), body.op("Mul", own["o"], own["t"])
        *k, k_o, p = _factors(body, own)
        dc = body.op("Add", body.op("Mul", p, dh), carried)
        if g_cells is not None:
            dc = body.op("Add", dc, transposed(body, own["g_c"]))
        da = body.op("Concat", *[body.op("Mul", factor, dc) for factor in k], body.op("Mul", k_o, dh), axis=0)
        following = body.op("Gemm", weight, da, transposed(body, own["arriving"]))
        return [following, body.op("Mul", own["f"], dc)], [transposed(body, da), transposed(body, dc)]

    states = {"dh": transposed(b, last), "dc": transposed(b, zeros)}
    return scan(b, states, inputs, step, 2, reverse=True)[2:]


@lowers("lstm_tangent")
def _(
    b: Builder,
    u: ir.Value,
    v: ir.Value | None,
    gates: ir.Value,
    cells: ir.Value,
    c0: ir.Value | None,
    weight: ir.Value,
) -> Any:
    k, p, f = _coefficients(b, _parts(b, gates, cells, c0))
    hidden = layer_shape(b, 1)[2]
    recurrent = transposed(b, weight)
    zeros = start(b, None, b.dtype(cells), 1)
    inputs = {"u": u, "k": k, "p": p, "f": f}
    if v is not None:
        inputs["v"] = v

    def step(body: Builder, states: Any, read: Any) -> Any:
        u, k, p, f, *v = read
        a = body.op("Mul", body.op("Gemm", states[0], recurrent, u), k)
        a_i, a_f, a_g, a_o = body.op("Split", a, np.full(4, hidden, np.int64), outputs=4, axis=1)
        change = body.op("Sum", a_i, a_f, a_g, body.op("Mul", f, states[1]), *v)
        state = body.op("Add", body.op("Mul", p, change), a_o)
        return [state, change], [state, change]

    return scan(b, {"state": zeros, "change": zeros}, inputs, step, 2)[2:]


def _coefficients(b: Builder, made: Mapping[str, ir.Value]) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Returns k, p and f for all steps, as in the op `lstm_backward`."""
    *k, p = _factors(b, made)
    return b.op("Concat", *k, axis=2), p, made["f"]


def _factors(b: Builder, made: Mapping[str, ir.Value]) -> tuple[ir.Value, ...]:
    """Returns k of i, f, g and o, and p: o(1-o) tanh(c) is h(1-o), and so on."""

    def open_part(gate: str, product: str) -> ir.Value:
        result: ir.Value = b.op("Mul", made[product], b.op("Sub", np.ones((), b.dtype(made[gate])), made[gate]))
        return result

    k_g = b.op("Sub", made["i"], b.op("Mul", made["written"], made["g"]))
    p = b.op("Sub", made["o"], b.op("Mul", made["h"], made["t"]))
    return open_part("i", "written"), open_part("f", "kept"), k_g, open_part("o", "h"), p


def _parts(b: Builder, gates: ir.Value, cells: ir.Value, c0: ir.Value | None) -> dict[str, ir.Value]:
    """Recomputes the intermediate values of a layer's loop from its outputs."""
    o, i, f, g = gates_of(b, gates, 4)
    t = b.op("Tanh", cells)
    written, kept = b.op("Mul", i, g), b.op("Mul", f, previous(b, c0, cells))
    return {"o": o, "i": i, "f": f, "g": g, "t": t, "h": b.op("Mul", o, t), "written": written, "kept": kept}
