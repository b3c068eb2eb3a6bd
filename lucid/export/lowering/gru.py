"""Lowerings of GRU layers. Letters: T time, N batch, I input, H hidden.

PyTorch's gate order is r z n; ONNX's is z r h, where h is n. With linear_before_reset=1, r multiplies the product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .guard import bounded_states, either, own_weights
from .recurrence import (
    Layer,
    Layers,
    blocks,
    collected,
    counting,
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
    transposed,
    zeroed,
)
from .registry import lowers

__all__ = ["gru_operator"]

_ONNX = (1, 0, 2)

_PARTS = ("r", "z", "n", "q", "reset", "kept")
"""The values that the gradient needs: the gates, q, r q and z (h - n)."""


@lowers("gru")
def _(b: Builder, *operands: Any) -> Any:
    layer = Layer(*operands)
    strategy = b.strategy_of(b.node)
    if strategy == "rnn":
        results = gru_operator(b, [layer])
        if not b.is_read(2, 3):
            return *results, None, None
    recurrent = transposed(b, layer.weight_hh)
    if strategy == "rnn":
        made = _again(b, results[0], layer, recurrent)
    else:
        loop = _unrolled if strategy == "unrolled" else _scan
        made, last = loop(b, layer, recurrent)
        results = made["h"], last
    if layer.lengths is not None:
        counts = counting(b, layer.lengths)
        if strategy != "rnn":
            results = results_of(b, layer, counts, made["h"])
        made = {name: zeroed(b, value, counts) for name, value in made.items()}
    gates = joined(b, made, "rzn")
    if strategy != "unrolled":
        b.parts[gates] = made
    return *results, gates, made["q"]


def gru_operator(b: Builder, layers: Layers) -> Any:
    """Emits one GRU operator, guarded."""
    layers = [_ordered(b, layer) for layer in layers]

    def anew(inner: Builder) -> Any:
        return in_directions(inner, own_weights(b, inner, layers), lambda layer: _anew(inner, layer))

    results = operator(b, "GRU", layers, range(3), linear_before_reset=1)
    # onnxruntime's kernel limits pre-activations, which makes plausible numbers of NaN.
    return either(b, bounded_states(b, layers), results, anew)


def _ordered(b: Builder, layer: Layer) -> Layer:
    """Returns the layer with its gates in ONNX's order."""
    ordered: dict[str, Any] = {
        name: None if (part := getattr(layer, name)) is None else blocks(b, part, _ONNX)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    return layer._replace(**ordered)


def _anew(b: Builder, layer: Layer) -> Any:
    """Emits a Scan for what the operator computes, with the gates in ONNX's order."""
    made, last = _scan(b, layer, transposed(b, layer.weight_hh), "zr")
    if layer.lengths is None:
        return made["h"], last
    return results_of(b, layer, counting(b, layer.lengths), made["h"])


def _cell(
    b: Builder, sigmoids: ir.Value, x: ir.Value, q: ir.Value, h: ir.Value, axis: int, order: str = "rz"
) -> dict[str, ir.Value]:
    """Computes one step from the pre-activations of r and z, and the input's and the state's part of n; returns the
    next h and its intermediate values."""
    hidden = layer_shape(b)[2]
    opened = b.op("Split", b.op("Sigmoid", sigmoids), np.full(2, hidden, np.int64), outputs=2, axis=axis)
    r, z = opened if order == "rz" else opened[::-1]
    reset = b.op("Mul", r, q)
    n = b.op("Tanh", b.op("Add", x, reset))
    kept = b.op("Mul", z, b.op("Sub", h, n))
    return {"r": r, "z": z, "n": n, "q": q, "reset": reset, "kept": kept, "h": b.op("Add", n, kept)}


def _unrolled(b: Builder, layer: Layer, recurrent: ir.Value) -> Any:
    """Emits MatMul, Add and the gates for each step. States stay (1, N, H), so no Squeeze is needed."""
    hidden = layer_shape(b)[2]
    sizes = np.array([2 * hidden, hidden])
    h = layer.h0
    if h is None:
        h = b.op("Unsqueeze", start(b, None, b.dtype(layer.x)), np.array([0]))
    made: list[dict[str, ir.Value]] = []
    parts = b.op("Split", projected(b, 3, layer.x, layer.weight_ih, layer.bias_ih), sizes, outputs=2, axis=2)
    for x_rz, x_n in zip(*(steps_of(b, part) for part in parts), strict=True):
        product = b.op("MatMul", h, recurrent)
        if layer.bias_hh is not None:
            product = b.op("Add", product, layer.bias_hh)
        h_rz, q = b.op("Split", product, sizes, outputs=2, axis=2)
        made.append(_cell(b, b.op("Add", x_rz, h_rz), x_n, q, h, 2))
        h = made[-1]["h"]
    return collected(b, made, "rznqh"), h


def _scan(b: Builder, layer: Layer, recurrent: ir.Value, order: str = "rz") -> Any:
    """Emits MatMuls for the input projection of all steps, then a Scan over two Gemms and the gates."""
    x_rz, x_n, r_rz, r_n, bias = _projected(b, layer, recurrent)

    def step(body: Builder, states: Any, read: Any) -> Any:
        (h,), (x_rz, x_n) = states, read
        q = body.op("MatMul", h, r_n) if bias is None else body.op("Gemm", h, r_n, bias)
        made = _cell(body, body.op("Gemm", h, r_rz, x_rz), x_n, q, h, 1, order)
        return [made["h"]], [made[name] for name in _PARTS]

    first = {"h": start(b, layer.h0, b.dtype(layer.x))}
    h_n, *read = scan(b, first, {"x_rz": x_rz, "x_n": x_n}, step, len(_PARTS))
    made = dict(zip(_PARTS, read, strict=True))
    # Recomputed for all steps at once: that is cheaper than a node in each step that copies a state to be collected.
    made["h"] = b.op("Add", made["n"], made["kept"])
    return made, b.op("Unsqueeze", h_n, np.array([0]))


def _again(b: Builder, output: ir.Value, layer: Layer, recurrent: ir.Value) -> dict[str, ir.Value]:
    """Recomputes what the operator does not return, from its states: the gates of all steps at once."""
    x_rz, x_n, r_rz, r_n, bias = _projected(b, layer, recurrent)
    h = previous(b, layer.h0, output)
    q = b.op("MatMul", h, r_n)
    if bias is not None:
        q = b.op("Add", q, bias)
    return {**_cell(b, b.op("Add", b.op("MatMul", h, r_rz), x_rz), x_n, q, h, 2), "h": output}


def _projected(
    b: Builder, layer: Layer, recurrent: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value, ir.Value | None]:
    """Returns the input's part of r and z and that of n, the recurrent weight of each, and the state's bias in n; all
    other biases are already added."""
    (w_rz, w_n), (r_rz, r_n) = _parted(b, layer.weight_ih, 0), _parted(b, recurrent, 1)
    (b_rz, b_n), (c_rz, c_n) = (
        (None, None) if bias is None else _parted(b, bias, 0) for bias in (layer.bias_ih, layer.bias_hh)
    )
    return projected(b, 2, layer.x, w_rz, b_rz, c_rz), projected(b, 1, layer.x, w_n, b_n), r_rz, r_n, c_n


def _parted(b: Builder, weight: ir.Value, axis: int) -> tuple[ir.Value, ir.Value]:
    """Splits a weight or bias into the part for r and z and the part for n."""
    hidden = layer_shape(b)[2]
    if (array := b.array(weight)) is not None:
        return tuple(b.const(part, b.label(weight)) for part in np.split(array, [2 * hidden], axis))  # type: ignore[return-value]
    return b.op("Split", weight, np.array([2 * hidden, hidden]), outputs=2, axis=axis)


@lowers("gru_backward")
def _(b: Builder, g_states: ir.Value, gates: ir.Value, inner: ir.Value, earlier: ir.Value, weight: ir.Value) -> Any:
    k, k_n, z = _coefficients(b, gates, inner, earlier)
    zeros = start(b, None, b.dtype(gates), 1)

    def step(body: Builder, states: Any, read: Any) -> Any:
        g, k, z = read
        dh = body.op("Add", g, states[0])
        da = body.op("Mul", body.op("Concat", dh, dh, dh, axis=1), k)
        return [body.op("Gemm", da, weight, body.op("Mul", z, dh))], [da, dh]

    _, da, dh = scan(b, {"dh": zeros}, {"g": g_states, "k": k, "z": z}, step, 2, reverse=True)
    return da, b.op("Mul", k_n, dh), dh


@lowers("gru_tangent")
def _(b: Builder, u: ir.Value, gates: ir.Value, inner: ir.Value, earlier: ir.Value, weight: ir.Value) -> Any:
    k, _, z = _coefficients(b, gates, inner, earlier)
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
    b: Builder, gates: ir.Value, inner: ir.Value, earlier: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Returns k of r, z and q, k of n, and z for all steps, as in the op `gru_backward`."""
    made = b.parts.get(gates) or _parts(b, gates, inner, earlier)
    one = np.ones((), b.dtype(gates))
    complement = b.op("Sub", one, made["z"])
    k_n = b.op("Mul", complement, b.op("Sub", one, b.op("Mul", made["n"], made["n"])))
    k_q = b.op("Mul", k_n, made["r"])
    k_r = b.op("Mul", b.op("Mul", k_n, made["reset"]), b.op("Sub", one, made["r"]))
    k_z = b.op("Mul", made["kept"], complement)
    return b.op("Concat", k_r, k_z, k_q, axis=2), k_n, made["z"]


def _parts(b: Builder, gates: ir.Value, inner: ir.Value, earlier: ir.Value) -> dict[str, ir.Value]:
    """Recomputes the intermediate values of a layer's loop from its outputs."""
    r, z, n = gates_of(b, gates, 3)
    kept = b.op("Mul", z, b.op("Sub", earlier, n))
    return {"r": r, "z": z, "n": n, "reset": b.op("Mul", r, inner), "kept": kept}
