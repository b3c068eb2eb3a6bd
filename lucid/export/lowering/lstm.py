"""Lowerings of LSTM layers. Letters: T time, N batch, I input, H hidden.

PyTorch's gates are i f g o; ONNX's i o f c, where c is g; those of the op's own loop o i f g.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .recurrence import (
    at_last,
    biases,
    blocks,
    counting,
    exchanged,
    layer_shape,
    previous,
    projected,
    scan,
    start,
    steps_of,
    summed,
    transposed,
    unsqueezed,
    zeroed,
)
from .registry import lowers

_ONNX = (0, 3, 1, 2)
_OWN = (3, 0, 1, 2)

_PARTS = ("o", "i", "f", "g", "written", "kept", "t")
"""What the gradient is made of: the gates, i g, f c and tanh(c)."""

_KEPT = ("o", "i", "f", "g", "kept", "t")
"""The same without what takes a product of two of them."""


class _Columns(dict[str, ir.Value]):
    """What the gradient is made of, where sequences stand in columns: each (T, H, N)."""


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
    order = _ONNX if strategy == "rnn" else _OWN
    bias = summed(b, [part for part in (bias_ih, bias_hh) if part is not None])
    weight, recurrent = blocks(b, weight_ih, order), blocks(b, weight_hh, order)
    bias = bias and blocks(b, bias, order)
    if strategy == "columns":
        return _columns(b, x, h0, c0, weight, recurrent, bias, lengths)
    if strategy == "rnn":
        results = _operator(b, x, h0, c0, weight, recurrent, bias, lengths)
        if not b.is_read(3, 4):
            return *results, None, None
        made = _again(b, results[0], x, h0, c0, weight, recurrent, bias)
    else:
        loop = _unrolled if strategy == "unrolled" else _scan
        made, *last = loop(b, projected(b, x, weight, bias), h0, c0, transposed(b, recurrent))
        results = made["h"], *last
    if lengths is not None:
        counts = counting(b, lengths)
        if strategy != "rnn":
            results = zeroed(b, made["h"], counts), at_last(b, made["h"], lengths), at_last(b, made["c"], lengths)
        made = {name: zeroed(b, value, counts) for name, value in made.items()}
    gates = _joined(b, made)
    if strategy != "unrolled":
        b.parts[gates] = made
    return *results, gates, made["c"]


def _operator(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    c0: ir.Value | None,
    weight: ir.Value,
    recurrent: ir.Value,
    bias: ir.Value | None,
    lengths: ir.Value | None,
) -> Any:
    """One ONNX LSTM. Its output has a direction axis, (T, 1, N, H), which is squeezed out."""
    dtype = b.dtype(x)
    y, h_n, c_n = b.op(
        "LSTM",
        x,
        unsqueezed(b, weight),
        unsqueezed(b, recurrent),
        biases(b, range(4), dtype, bias, None),
        None if lengths is None else b.cast(lengths, np.int32),
        h0,
        c0,
        outputs=3,
        dtype=dtype,
        hidden_size=layer_shape(b)[2],
    )
    return b.op("Squeeze", y, np.array([1])), h_n, c_n


def _gates(b: Builder, total: ir.Value, hidden: int, axis: int, order: str = "oif") -> dict[str, ir.Value]:
    """The gates, and what is written to the cell, from the pre-activations: three gates in an order, then g."""
    sigmoids, candidate = b.op("Split", total, np.array([3 * hidden, hidden]), outputs=2, axis=axis)
    opened = b.op("Split", b.op("Sigmoid", sigmoids), np.full(3, hidden, np.int64), outputs=3, axis=axis)
    made = {**dict(zip(order, opened, strict=True)), "g": b.op("Tanh", candidate)}
    return {**made, "written": b.op("Mul", made["i"], made["g"])}


def _cell(b: Builder, total: ir.Value, c: ir.Value | None, hidden: int, axis: int) -> dict[str, ir.Value]:
    """One step, from the pre-activations: the next h and c, and what they are made of."""
    made = _gates(b, total, hidden, axis)
    if c is None:
        made["c"] = made["written"]
    else:
        made["kept"] = b.op("Mul", made["f"], c)
        made["c"] = b.op("Add", made["kept"], made["written"])
    made["t"] = b.op("Tanh", made["c"])
    made["h"] = b.op("Mul", made["o"], made["t"])
    return made


def _joined(b: Builder, made: Mapping[str, ir.Value]) -> ir.Value:
    """The gates as the op gives them, (T, 4, N, H)."""
    return b.op("Concat", *[b.op("Unsqueeze", made[gate], np.array([1])) for gate in "oifg"], axis=1)


def _unrolled(b: Builder, inputs: ir.Value, h0: ir.Value | None, c0: ir.Value | None, recurrent: ir.Value) -> Any:
    """MatMul, Add and the gates for each step. States stay (1, N, H), so nothing needs to be squeezed."""
    hidden = layer_shape(b)[2]
    h, c = h0, c0
    steps: list[dict[str, ir.Value]] = []
    for step in steps_of(b, inputs):
        total = step if h is None else b.op("Add", b.op("MatMul", h, recurrent), step)
        steps.append(_cell(b, total, c, hidden, 2))
        h, c = steps[-1]["h"], steps[-1]["c"]
    made = {
        name: steps[0][name] if len(steps) == 1 else b.op("Concat", *[step[name] for step in steps], axis=0)
        for name in "oifgch"
    }
    return made, h, c


def _scan(b: Builder, inputs: ir.Value, h0: ir.Value | None, c0: ir.Value | None, recurrent: ir.Value) -> Any:
    """One MatMul for the input projection of all steps, then a Scan over Gemm and the gates."""
    dtype, hidden = b.dtype(inputs), layer_shape(b)[2]

    def step(body: Builder, states: Any, read: Any) -> Any:
        made = _cell(body, body.op("Gemm", states[0], recurrent, read[0]), states[1], hidden, 1)
        return [made["h"], made["c"]], [made[name] for name in _PARTS]

    states = {"h": start(b, h0, dtype), "c": start(b, c0, dtype)}
    h_n, c_n, *collected = scan(b, states, {"x": inputs}, step, len(_PARTS))
    made = dict(zip(_PARTS, collected, strict=True))
    # Once more, of all steps at once: that is less than a node a step that copies a state to where it is collected.
    made["h"] = b.op("Mul", made["o"], made["t"])
    made["c"] = b.op("Add", made["kept"], made["written"])
    return made, b.op("Unsqueeze", h_n, np.array([0])), b.op("Unsqueeze", c_n, np.array([0]))


def _columns(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    c0: ir.Value | None,
    weight: ir.Value,
    recurrent: ir.Value,
    bias: ir.Value | None,
    lengths: ir.Value | None,
) -> Any:
    """A Scan in which each sequence is a column, and the weights stand on the left of both products.

    onnxruntime lays out the right factor of a product anew each time, if it is no constant. That is the state then, and
    not the weights, which have many more elements.
    """
    column = None if bias is None else b.op("Unsqueeze", bias, np.array([1]))
    dtype, hidden = b.dtype(x), layer_shape(b)[2]

    def step(body: Builder, states: Any, read: Any) -> Any:
        total = body.op("Gemm", recurrent, states[0], body.op("Gemm", weight, read[0], column, transB=1))
        made = _cell(body, total, states[1], hidden, 0)
        return [made["h"], made["c"]], [transposed(body, made["h"]), *(made[name] for name in _KEPT)]

    states = {"h": transposed(b, start(b, h0, dtype)), "c": transposed(b, start(b, c0, dtype))}
    h_n, c_n, output, *collected = scan(b, states, {"x": x}, step, len(_KEPT) + 1)
    made = _Columns(zip(_KEPT, collected, strict=True))
    cells = exchanged(b, b.op("Add", made["kept"], b.op("Mul", made["i"], made["g"])))
    h_n, c_n = (b.op("Unsqueeze", transposed(b, last), np.array([0])) for last in (h_n, c_n))
    if lengths is not None:
        counts = counting(b, lengths)
        h_n, c_n = at_last(b, output, lengths), at_last(b, cells, lengths)
        output, cells = zeroed(b, output, counts), zeroed(b, cells, counts)
        counts = exchanged(b, counts)
        made = _Columns((name, zeroed(b, value, counts)) for name, value in made.items())
    gates = _joined(b, {gate: exchanged(b, made[gate]) for gate in "oifg"})
    b.parts[gates] = made
    return output, h_n, c_n, gates, cells


def _again(
    b: Builder,
    output: ir.Value,
    x: ir.Value,
    h0: ir.Value | None,
    c0: ir.Value | None,
    weight: ir.Value,
    recurrent: ir.Value,
    bias: ir.Value | None,
) -> dict[str, ir.Value]:
    """What the operator does not give, from the states that it gave: the gates of all steps by one product, and the
    cells, which are a sum over time that needs none."""
    read = b.op("Concat", x, previous(b, h0, output), axis=2)
    made = _gates(b, projected(b, read, b.op("Concat", weight, recurrent, axis=1), bias), layer_shape(b)[2], 2, "iof")

    def step(body: Builder, states: Any, read: Any) -> Any:
        f, written = read
        kept = body.op("Mul", f, states[0])
        return [body.op("Add", kept, written)], [kept]

    _, kept = scan(b, {"c": start(b, c0, b.dtype(x))}, {"f": made["f"], "written": made["written"]}, step, 1)
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
    # What arrives at the step before is added by the product that gives the gradient there.
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
    """As `_columns`. The coefficients are computed step by step: those of all steps would go through memory twice.

    Args:
        last: what arrives at the last state, (N, H).
        arriving: what arrives at the state before each step, (T, N, H).
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
    """k, p and f of all steps, as in the op `lstm_backward`."""
    *k, p = _factors(b, made)
    return b.op("Concat", *k, axis=2), p, made["f"]


def _factors(b: Builder, made: Mapping[str, ir.Value]) -> tuple[ir.Value, ...]:
    """k of i, f, g and o, and p: o(1-o) tanh(c) is h(1-o), and so on."""

    def open_part(gate: str, product: str) -> ir.Value:
        result: ir.Value = b.op("Mul", made[product], b.op("Sub", np.ones((), b.dtype(made[gate])), made[gate]))
        return result

    k_g = b.op("Sub", made["i"], b.op("Mul", made["written"], made["g"]))
    p = b.op("Sub", made["o"], b.op("Mul", made["h"], made["t"]))
    return open_part("i", "written"), open_part("f", "kept"), k_g, open_part("o", "h"), p


def _parts(b: Builder, gates: ir.Value, cells: ir.Value, c0: ir.Value | None) -> dict[str, ir.Value]:
    """What a layer's loop has at hand, computed from what it gave."""
    pieces = b.op("Split", gates, np.ones(4, np.int64), outputs=4, axis=1)
    o, i, f, g = (b.op("Squeeze", piece, np.array([1])) for piece in pieces)
    t = b.op("Tanh", cells)
    written, kept = b.op("Mul", i, g), b.op("Mul", f, previous(b, c0, cells))
    return {"o": o, "i": i, "f": f, "g": g, "t": t, "h": b.op("Mul", o, t), "written": written, "kept": kept}
