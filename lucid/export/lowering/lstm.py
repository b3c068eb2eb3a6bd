"""Lowerings of LSTM layers. Letters: T time, N batch, I input, H hidden.

PyTorch's gates are i f g o; ONNX's i o f c, where c is g; those of the op's own loop o i f g.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..builder import Builder
from .registry import lowers
from .sequence import (
    at_last,
    biases,
    blocks,
    counting,
    layer_shape,
    previous,
    projected,
    scan,
    start,
    steps_of,
    transposed,
    unsqueezed,
    zeroed,
)

_ONNX = (0, 3, 1, 2)
_OWN = (3, 0, 1, 2)


@lowers("lstm")
def _(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    c0: ir.Value | None,
    weight_ih: ir.Value,
    weight_hh: ir.Value,
    bias_ih: ir.Value | None,
    bias_hh: ir.Value | None,
    lengths: ir.Value | None,
) -> Any:
    strategy = b.strategy_of(b.node)
    if strategy == "rnn":
        return _operator(b, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths)
    own = [None if bias is None else blocks(b, bias, _OWN) for bias in (bias_ih, bias_hh)]
    inputs = projected(b, x, blocks(b, weight_ih, _OWN), *own)
    recurrent = transposed(b, blocks(b, weight_hh, _OWN))
    loop = _unrolled if strategy == "unrolled" else _scan
    output, h_n, c_n, gates, cells = loop(b, inputs, h0, c0, recurrent, lengths is not None)
    if lengths is None:
        return output, h_n, c_n, gates, cells
    counts = counting(b, lengths)
    last = at_last(b, output, lengths), at_last(b, cells, lengths)
    return zeroed(b, output, counts), *last, zeroed(b, gates, counts, True), zeroed(b, cells, counts)


def _operator(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    c0: ir.Value | None,
    weight_ih: ir.Value,
    weight_hh: ir.Value,
    bias_ih: ir.Value | None,
    bias_hh: ir.Value | None,
    lengths: ir.Value | None,
) -> Any:
    """One ONNX LSTM. Its output has a direction axis, (T, 1, N, H), which is squeezed out."""
    dtype = b.dtype(x)
    y, h_n, c_n = b.op(
        "LSTM",
        x,
        unsqueezed(b, blocks(b, weight_ih, _ONNX)),
        unsqueezed(b, blocks(b, weight_hh, _ONNX)),
        biases(b, _ONNX, dtype, bias_ih, bias_hh),
        None if lengths is None else b.cast(lengths, np.int32),
        h0,
        c0,
        outputs=3,
        dtype=dtype,
        hidden_size=layer_shape(b)[2],
    )
    return b.op("Squeeze", y, np.array([1])), h_n, c_n, None, None


def _cell(
    b: Builder, total: ir.Value, c: ir.Value | None, hidden: int, axis: int
) -> tuple[ir.Value, ir.Value, list[ir.Value]]:
    """One step, from the pre-activations: h, c and the gates."""
    sigmoids, candidate = b.op("Split", total, np.array([3 * hidden, hidden]), outputs=2, axis=axis)
    parts = b.op("Split", b.op("Sigmoid", sigmoids), np.full(3, hidden, np.int64), outputs=3, axis=axis)
    o, i, f = parts
    g = b.op("Tanh", candidate)
    new = b.op("Mul", i, g)
    cell = new if c is None else b.op("Add", b.op("Mul", f, c), new)
    return b.op("Mul", o, b.op("Tanh", cell)), cell, [o, i, f, g]


def _joined(b: Builder, gates: Sequence[ir.Value], axis: int) -> ir.Value:
    return b.op("Concat", *[b.op("Unsqueeze", gate, np.array([axis])) for gate in gates], axis=axis)


def _unrolled(
    b: Builder, inputs: ir.Value, h0: ir.Value | None, c0: ir.Value | None, recurrent: ir.Value, needs_cells: bool
) -> Any:
    """MatMul, Add and the gates for each step. States stay (1, N, H), so nothing needs to be squeezed."""
    hidden = layer_shape(b)[2]
    h, c = h0, c0
    made: list[tuple[ir.Value, ...]] = []
    for step in steps_of(b, inputs):
        total = step if h is None else b.op("Add", b.op("MatMul", h, recurrent), step)
        h, c, gates = _cell(b, total, c, hidden, 2)
        made.append((h, c, *gates))
    output, cells, *all_gates = (
        values[0] if len(values) == 1 else b.op("Concat", *values, axis=0) for values in zip(*made, strict=True)
    )
    return output, h, c, _joined(b, all_gates, 1), cells


def _scan(
    b: Builder, inputs: ir.Value, h0: ir.Value | None, c0: ir.Value | None, recurrent: ir.Value, needs_cells: bool
) -> Any:
    """One MatMul for the input projection of all steps, then a Scan over Gemm and the gates."""
    dtype, hidden = b.dtype(inputs), layer_shape(b)[2]
    # The gradient alone reads these two, and the end of a sequence the cells.
    with_gates, with_cells = b.is_read(3), b.is_read(4) or needs_cells

    def step(body: Builder, states: Any, read: Any) -> Any:
        h, c, gates = _cell(body, body.op("Gemm", states[0], recurrent, read[0]), states[1], hidden, 1)
        extra = [_joined(body, gates, 0)] * with_gates + [c] * with_cells
        return [h, c], [h, *extra]

    states = {"h": start(b, h0, dtype), "c": start(b, c0, dtype)}
    h_n, c_n, output, *extra = scan(b, states, {"x": inputs}, step, 1 + with_gates + with_cells)
    gates = extra.pop(0) if with_gates else None
    cells = extra.pop(0) if with_cells else None
    return output, b.op("Unsqueeze", h_n, np.array([0])), b.op("Unsqueeze", c_n, np.array([0])), gates, cells


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
    k, p, f = _coefficients(b, gates, cells, c0)
    zeros = start(b, None, b.dtype(cells), 1)
    inputs = {"g": g_states, "k": k, "p": p, "f": f}
    if g_cells is not None:
        inputs["g_c"] = g_cells

    def step(body: Builder, states: Any, read: Any) -> Any:
        carried_h, carried_c = states
        g, k, p, f, *g_c = read
        dh = body.op("Add", g, carried_h)
        dc = body.op("Add", body.op("Mul", p, dh), carried_c)
        if g_c:
            dc = body.op("Add", dc, g_c[0])
        da = body.op("Mul", body.op("Concat", dc, dc, dc, dh, axis=1), k)
        return [body.op("MatMul", da, weight), body.op("Mul", f, dc)], [da, dc]

    return scan(b, {"dh": zeros, "dc": zeros}, inputs, step, 2, reverse=True)[2:]


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
    k, p, f = _coefficients(b, gates, cells, c0)
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


def _coefficients(
    b: Builder, gates: ir.Value, cells: ir.Value, c0: ir.Value | None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """k, p and f of all steps, as in the op `lstm_backward`."""
    one = np.ones((), b.dtype(cells))
    parts = b.op("Split", gates, np.ones(4, np.int64), outputs=4, axis=1)
    o, i, f, g = (b.op("Squeeze", part, np.array([1])) for part in parts)
    t = b.op("Tanh", cells)
    slopes = [b.op("Mul", gate, b.op("Sub", one, gate)) for gate in (o, i, f)]
    factors = [t, g, previous(b, c0, cells, 1)]
    k_o, k_i, k_f = (b.op("Mul", slope, factor) for slope, factor in zip(slopes, factors, strict=True))
    k_g = b.op("Mul", i, b.op("Sub", one, b.op("Mul", g, g)))
    p = b.op("Mul", o, b.op("Sub", one, b.op("Mul", t, t)))
    return b.op("Concat", k_i, k_f, k_g, k_o, axis=2), p, f
