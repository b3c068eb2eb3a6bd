"""Lowerings of GRU layers. Letters: T time, N batch, I input, H hidden.

PyTorch's gates are r z n; ONNX's z r h, where h is n, with r applied to the product if linear_before_reset is 1.
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
    projected,
    scan,
    start,
    steps_of,
    transposed,
    unsqueezed,
    zeroed,
)

_ONNX = (1, 0, 2)


@lowers("gru")
def _(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    weight_ih: ir.Value,
    weight_hh: ir.Value,
    bias_ih: ir.Value | None,
    bias_hh: ir.Value | None,
    lengths: ir.Value | None,
) -> Any:
    strategy = b.strategy_of(b.node)
    if strategy == "rnn":
        return _operator(b, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths)
    inputs = projected(b, x, weight_ih, bias_ih)
    loop = _unrolled if strategy == "unrolled" else _scan
    output, h_n, gates, inner = loop(b, inputs, h0, transposed(b, weight_hh), bias_hh)
    if lengths is None:
        return output, h_n, gates, inner
    counts = counting(b, lengths)
    last = at_last(b, output, lengths)
    return zeroed(b, output, counts), last, zeroed(b, gates, counts, True), zeroed(b, inner, counts)


def _operator(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    weight_ih: ir.Value,
    weight_hh: ir.Value,
    bias_ih: ir.Value | None,
    bias_hh: ir.Value | None,
    lengths: ir.Value | None,
) -> Any:
    """One ONNX GRU. Its output has a direction axis, (T, 1, N, H), which is squeezed out."""
    dtype = b.dtype(x)
    y, h_n = b.op(
        "GRU",
        x,
        unsqueezed(b, blocks(b, weight_ih, _ONNX)),
        unsqueezed(b, blocks(b, weight_hh, _ONNX)),
        biases(b, _ONNX, dtype, bias_ih, bias_hh),
        None if lengths is None else b.cast(lengths, np.int32),
        h0,
        outputs=2,
        dtype=dtype,
        hidden_size=layer_shape(b)[2],
        linear_before_reset=1,
    )
    return b.op("Squeeze", y, np.array([1])), h_n, None, None


def _cell(
    b: Builder, inputs: Sequence[ir.Value], h: ir.Value, product: ir.Value, hidden: int, axis: int
) -> tuple[ir.Value, list[ir.Value], ir.Value]:
    """One step, from the products of the input (those of r and z, that of n) and of the state: h, the gates, and q."""
    gates, q = b.op("Split", product, np.array([2 * hidden, hidden]), outputs=2, axis=axis)
    sigmoids = b.op("Sigmoid", b.op("Add", inputs[0], gates))
    r, z = b.op("Split", sigmoids, np.full(2, hidden, np.int64), outputs=2, axis=axis)
    n = b.op("Tanh", b.op("Add", inputs[1], b.op("Mul", r, q)))
    return b.op("Add", n, b.op("Mul", z, b.op("Sub", h, n))), [r, z, n], q


def _joined(b: Builder, gates: Sequence[ir.Value], axis: int) -> ir.Value:
    return b.op("Concat", *[b.op("Unsqueeze", gate, np.array([axis])) for gate in gates], axis=axis)


def _parts(b: Builder, inputs: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The input's product for r and z, and that for n."""
    hidden = layer_shape(b)[2]
    return b.op("Split", inputs, np.array([2 * hidden, hidden]), outputs=2, axis=2)


def _unrolled(b: Builder, inputs: ir.Value, h0: ir.Value | None, recurrent: ir.Value, bias: ir.Value | None) -> Any:
    """MatMul, Add and the gates for each step. States stay (1, N, H), so nothing needs to be squeezed."""
    hidden = layer_shape(b)[2]
    h = b.op("Unsqueeze", start(b, None, b.dtype(inputs)), np.array([0])) if h0 is None else h0
    made: list[tuple[ir.Value, ...]] = []
    for step in zip(*(steps_of(b, part) for part in _parts(b, inputs)), strict=True):
        product = b.op("MatMul", h, recurrent)
        if bias is not None:
            product = b.op("Add", product, bias)
        h, gates, q = _cell(b, step, h, product, hidden, 2)
        made.append((h, q, *gates))
    output, inner, *all_gates = (
        values[0] if len(values) == 1 else b.op("Concat", *values, axis=0) for values in zip(*made, strict=True)
    )
    return output, h, _joined(b, all_gates, 1), inner


def _scan(b: Builder, inputs: ir.Value, h0: ir.Value | None, recurrent: ir.Value, bias: ir.Value | None) -> Any:
    """One MatMul for the input projection of all steps, then a Scan over Gemm and the gates."""
    dtype, hidden = b.dtype(inputs), layer_shape(b)[2]
    # The gradient alone reads these two.
    with_gates, with_inner = b.is_read(2), b.is_read(3)

    def step(body: Builder, states: Any, read: Any) -> Any:
        product = (
            body.op("Gemm", states[0], recurrent, bias) if bias is not None else body.op("MatMul", states[0], recurrent)
        )
        h, gates, q = _cell(body, read, states[0], product, hidden, 1)
        extra = ([_joined(body, gates, 0)] if with_gates else []) + [q] * with_inner
        return [h], [h, *extra]

    first, second = _parts(b, inputs)
    h_n, output, *extra = scan(
        b, {"h": start(b, h0, dtype)}, {"x_rz": first, "x_n": second}, step, 1 + with_gates + with_inner
    )
    gates = extra.pop(0) if with_gates else None
    inner = extra.pop(0) if with_inner else None
    return output, b.op("Unsqueeze", h_n, np.array([0])), gates, inner


@lowers("gru_backward")
def _(b: Builder, g_states: ir.Value, gates: ir.Value, inner: ir.Value, previous: ir.Value, weight: ir.Value) -> Any:
    k, k_n, z = _coefficients(b, gates, inner, previous)
    zeros = start(b, None, b.dtype(inner), 1)

    def step(body: Builder, states: Any, read: Any) -> Any:
        g, k, z = read
        dh = body.op("Add", g, states[0])
        da = body.op("Mul", body.op("Concat", dh, dh, dh, axis=1), k)
        return [body.op("Gemm", da, weight, body.op("Mul", z, dh))], [da, dh]

    _, da, dh = scan(b, {"dh": zeros}, {"g": g_states, "k": k, "z": z}, step, 2, reverse=True)
    return da, b.op("Mul", k_n, dh), dh


@lowers("gru_tangent")
def _(b: Builder, u: ir.Value, gates: ir.Value, inner: ir.Value, previous: ir.Value, weight: ir.Value) -> Any:
    k, _, z = _coefficients(b, gates, inner, previous)
    recurrent = transposed(b, weight)
    hidden = layer_shape(b)[2]

    def step(body: Builder, states: Any, read: Any) -> Any:
        u, k, z = read
        a = body.op("Mul", body.op("MatMul", states[0], recurrent), k)
        parts = body.op("Split", a, np.full(3, hidden, np.int64), outputs=3, axis=1)
        state = body.op("Sum", u, body.op("Mul", z, states[0]), *parts)
        return [state], [state]

    return scan(b, {"state": start(b, None, b.dtype(u))}, {"u": u, "k": k, "z": z}, step, 1)[1]


def _coefficients(
    b: Builder, gates: ir.Value, inner: ir.Value, previous: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """k of r, z and q, that of n, and z, of all steps, as in the op `gru_backward`."""
    one = np.ones((), b.dtype(inner))
    parts = b.op("Split", gates, np.ones(3, np.int64), outputs=3, axis=1)
    r, z, n = (b.op("Squeeze", part, np.array([1])) for part in parts)
    complement = b.op("Sub", one, z)
    k_n = b.op("Mul", complement, b.op("Sub", one, b.op("Mul", n, n)))
    k_q = b.op("Mul", k_n, r)
    k_r = b.op("Mul", b.op("Mul", k_q, inner), b.op("Sub", one, r))
    k_z = b.op("Mul", b.op("Sub", previous, n), b.op("Mul", z, complement))
    return b.op("Concat", k_r, k_z, k_q, axis=2), k_n, z
