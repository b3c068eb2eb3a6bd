"""Recurrent cells: one op computes one step, with its own gradient.

Each gradient is one formula of ops. Where nothing records it, as in most training, it runs on arrays: see
`lucid.tracer.pull`.

Letters: N batch, I input, H hidden. An input (I,) is one without a batch.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array
from .elementwise import gt, tanh
from .linalg import matmul, weight_gradient
from .recurrent import quiet, zeros_of
from .reduce import sum_to
from .shape import concat, split_to

__all__ = ["gru_cell", "lstm_cell", "rnn_cell"]


@op
@quiet
def rnn_cell(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    /,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
) -> Array:
    """Computes one step of a simple recurrent layer.

    h' = f(W_ih x + b_ih + W_hh h + b_hh)

    Shape:
        x: (N, I); h: (N, H); weight_ih: (H, I); weight_hh: (H, H); bias_ih, bias_hh: (H,) or None; the result: (N, H).
    """
    total = _product(x, weight_ih, bias_ih)
    total += _product(h, weight_hh, bias_hh)
    return np.tanh(total, total) if nonlinearity == "tanh" else np.maximum(total, 0, out=total)


@rnn_cell.vjp
def _(
    g: Tensor,
    x: Tensor,
    h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    out: Tensor,
    needs: tuple[bool, ...],
    nonlinearity: str,
) -> Any:
    dz = g * (1 - out * out) if nonlinearity == "tanh" else g * gt(out, 0)
    return _gradients(dz, dz, None, x, h, weight_ih, weight_hh, needs)


@op
@quiet
def lstm_cell(
    x: Array, h: Array, c: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array, /
) -> Array:
    """Computes one step of an LSTM layer.

    i, f, g, o = W_ih x + b_ih + W_hh h + b_hh
    c' = σ(f) c + σ(i) tanh(g)
    h' = σ(o) tanh(c')

    Shape:
        x: (N, I); h: (N, H), or (N, P) if h' is projected; c: (N, H); weight_ih: (4H, I); weight_hh: (4H, H) or
        (4H, P); bias_ih, bias_hh: (4H,) or None.
        The result: h' and c', (N, H); and, for the gradient, σ(i), σ(f), tanh(g), σ(o), (N, 4H).
    """
    gates = _product(x, weight_ih, bias_ih)
    gates += _product(h, weight_hh, bias_hh)
    hidden = c.shape[-1]
    i, f, g, o = (gates[..., start : start + hidden] for start in range(0, 4 * hidden, hidden))
    # At small sizes calls dominate: i and f are one array.
    _sigmoid(gates[..., : 2 * hidden])
    _sigmoid(o)
    np.tanh(g, g)
    c_next = f * c
    c_next += i * g
    h_next = np.tanh(c_next)
    h_next *= o
    return h_next, c_next, gates


@lstm_cell.vjp
def _(
    g: Any,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    out: Any,
    needs: tuple[bool, ...],
) -> Any:
    dh, dc, d_gates = g
    _, c_next, gates = out
    sizes = (c.shape[-1],) * 4
    i, forget, candidate, o = split_to(gates, sizes=sizes, dim=-1)
    t = tanh(c_next)
    if dh is None:
        dh = zeros_of(t)
    through = dh * o * (1 - t * t)
    dc = through if dc is None else dc + through
    parts = [dc * candidate, dc * c, dc * i, dh * t]
    if d_gates is not None:
        parts = [part + d for part, d in zip(parts, split_to(d_gates, sizes=sizes, dim=-1), strict=True)]
    d_i, d_f, d_g, d_o = parts
    da = concat(
        d_i * (i * (1 - i)),
        d_f * (forget * (1 - forget)),
        d_g * (1 - candidate * candidate),
        d_o * (o * (1 - o)),
        dim=-1,
    )
    gx, gh, *rest = _gradients(da, da, None, x, h, weight_ih, weight_hh, (*needs[:2], *needs[3:]))
    return gx, gh, dc * forget if needs[2] else None, *rest


@op
@quiet
def gru_cell(x: Array, h: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array, /) -> Array:
    """Computes one step of a GRU layer.

    r = σ(W_ir x + b_ir + W_hr h + b_hr)
    z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r q)  with  q = W_hn h + b_hn
    h' = (1 - z) n + z h

    Shape:
        x: (N, I); h: (N, H); weight_ih: (3H, I); weight_hh: (3H, H); bias_ih, bias_hh: (3H,) or None.
        The result: h', (N, H); and, for the gradient, r, z, n, (N, 3H), and q, (N, H).
    """
    gates, inner = _product(x, weight_ih, bias_ih), _product(h, weight_hh, bias_hh)
    hidden = h.shape[-1]
    sigmoids, n, q = gates[..., : 2 * hidden], gates[..., 2 * hidden :], inner[..., 2 * hidden :]
    sigmoids += inner[..., : 2 * hidden]
    _sigmoid(sigmoids)
    n += sigmoids[..., :hidden] * q
    np.tanh(n, n)
    h_next = h - n
    h_next *= sigmoids[..., hidden:]
    h_next += n
    return h_next, gates, q


@gru_cell.vjp
def _(g: Any, x: Tensor, h: Tensor, weight_ih: Tensor, weight_hh: Tensor, out: Any, needs: tuple[bool, ...]) -> Any:
    dh, d_gates, dq = g
    _, gates, q = out
    sizes = (h.shape[-1],) * 3
    r, z, n = split_to(gates, sizes=sizes, dim=-1)
    if dh is None:
        dh = zeros_of(q)
    d_r, d_z, d_n = (None,) * 3 if d_gates is None else split_to(d_gates, sizes=sizes, dim=-1)
    dn = _plus(dh * (1 - z), d_n) * (1 - n * n)
    dz = _plus(dh * (h - n), d_z) * (z * (1 - z))
    dr = _plus(dn * q, d_r) * (r * (1 - r))
    da, inner = concat(dr, dz, dn, dim=-1), concat(dr, dz, _plus(dn * r, dq), dim=-1)
    return _gradients(da, inner, dh * z, x, h, weight_ih, weight_hh, needs)


# --- both


def _product(x: Array, weight: Array, bias: Array | None) -> Array:
    """Computes W x plus a bias. `dot` takes a third of the time of `matmul` at small sizes."""
    result: Array = x.dot(weight.T)
    if bias is not None:
        result += bias
    return result


def _sigmoid(x: Array) -> None:
    """Computes σ in place."""
    np.negative(x, x)
    np.exp(x, x)
    x += 1
    np.divide(1, x, x)


def _plus(x: Any, y: Any) -> Any:
    return x if y is None else x + y


def _gradients(
    da: Any, inner: Any, kept: Any, x: Any, h: Any, weight_ih: Any, weight_hh: Any, needs: Any
) -> tuple[Any, ...]:
    """Computes the gradients of x, h, weights and biases, of which `needs` says what is needed.

    Args:
        da: the gradient of W_ih x + b_ih.
        inner: that of W_hh h + b_hh; it may be the same.
        kept: the gradient that reaches h past the weights; None for zero.
        x, h, weight_ih, weight_hh: the operands.
        needs: for each operand and bias, whether its gradient is needed.
    """
    rows = da.shape[-1:]
    g_bias = sum_to(da, shape=rows) if needs[4] or (needs[5] and inner is da) else None
    return (
        matmul(da, weight_ih) if needs[0] else None,
        _plus(matmul(inner, weight_hh), kept) if needs[1] else None,
        weight_gradient(da, x) if needs[2] else None,
        weight_gradient(inner, h) if needs[3] else None,
        g_bias,
        g_bias if inner is da or not needs[5] else sum_to(inner, shape=rows),
    )
