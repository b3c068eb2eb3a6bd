"""GRU: one op runs one layer over a whole sequence, with a handwritten loop.

Letters: T time, N batch, I input, H hidden. The gates are in PyTorch's order, r z n. Each gate of a step, (N, H), is
contiguous in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array
from .elementwise import where
from .linalg import matmul, weight_gradient
from .recurrent import (
    before,
    block_size,
    by_gate,
    gradient_of_states,
    padding,
    padding_mask,
    product_of_step,
    projected,
    quiet,
    recurrent_weight_gradient,
    shifted,
)
from .reduce import sum_to
from .shape import concat, split, stack, transpose, unbind, unsqueeze

__all__ = ["gru", "gru_backward", "gru_tangent"]


@op
@quiet
def gru(
    x: Array,
    h0: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    lengths: Array,
    /,
) -> Array:
    """Runs a GRU layer over a whole sequence (ONNX GRU with linear_before_reset=1).

    r = σ(W_ir x_t + b_ir + W_hr h_(t-1) + b_hr)
    z = σ(W_iz x_t + b_iz + W_hz h_(t-1) + b_hz)
    n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn))
    h_t = (1 - z) n + z h_(t-1)

    Steps at and after a sequence's length are padding: the results are 0 there, and the last state is that of the last
    valid step. The content of the padding, even NaN, does not affect any result.

    Shape:
        x: (T, N, I); h0: (1, N, H) or None for zeros; weight_ih: (3H, I); weight_hh: (3H, H); bias_ih, bias_hh: (3H,)
        or None; lengths: (N,) integers from 1 to T, or None where all are T.
        The result: the states of all steps (T, N, H) and the last state (1, N, H); and, for the gradient, the gates
        r, z, n of all steps (T, 3, N, H), and the term that r multiplies (T, N, H).
    """
    steps, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    weight, recurrent = by_gate(weight_ih, hidden, 2), by_gate(weight_hh, hidden, 2)
    offset = None if bias_ih is None else by_gate(bias_ih[:, None], hidden, 2)
    inner_offset = np.zeros((batch, hidden), x.dtype)
    if bias_hh is not None:
        # The biases of r and z can be added beforehand; that of n cannot, since r multiplies it.
        parts = by_gate(bias_hh[:, None], hidden, 2)
        inner_offset += parts[2]
        parts[2] = 0
        offset = parts if offset is None else offset + parts
    # The input projection of all steps at once; the loop turns it into the gates, in place.
    gates = projected(x, weight, offset)
    inner = np.empty((steps, batch, hidden), gates.dtype)
    output = np.empty_like(inner)
    h = np.zeros_like(output[0]) if h0 is None else h0[0]
    # At small sizes the calls and views of a step dominate, so its arrays are allocated once.
    product, rz = np.empty_like(gates[0]), np.empty_like(gates[0, :2])
    buffer, one = np.empty_like(h), np.ones((), h.dtype)
    (r, z), sigmoids, last = rz, product[:2], product[2]
    project, w, target = product_of_step(recurrent, product)
    add, divide, exp, multiply, subtract, tanh = np.add, np.divide, np.exp, np.multiply, np.subtract, np.tanh
    for y, n, q, h_t in zip(gates[:, :2], gates[:, 2], inner, output, strict=True):
        project(h, w, target)
        add(y, sigmoids, rz)
        exp(rz, rz)
        add(rz, one, rz)
        divide(one, rz, rz)
        y[...] = rz
        add(last, inner_offset, q)
        multiply(r, q, buffer)
        add(n, buffer, n)
        tanh(n, n)
        subtract(h, n, h_t)
        multiply(h_t, z, h_t)
        add(h_t, n, h_t)
        h = h_t
    if lengths is None:
        return output, output[-1:].copy(), gates, inner
    absent = padding(lengths, steps)
    for results in (output, inner, *gates.swapaxes(0, 1)):
        results[absent] = 0
    return output, output[lengths - 1, np.arange(batch)][None], gates, inner


@gru.vjp
def _(
    g: Any,
    x: Tensor,
    h0: Any,
    weight_ih: Tensor,
    weight_hh: Tensor,
    lengths: Any,
    out: Any,
    needs: tuple[bool, ...],
) -> Any:
    g_output, g_h, g_gates, g_inner = g
    output, _, gates, inner = out
    steps, _, hidden = output.shape
    g_states = gradient_of_states((g_output, g_h), output, lengths)
    if g_states is None:
        g_states = output * 0.0
    previous = before(h0, output)
    direct = None
    if g_gates is not None or g_inner is not None:
        direct = _direct(g_gates, g_inner, gates, inner, lengths)
        g_states = g_states + matmul(shifted(direct[0], True), weight_hh)
    da, dn, dh = gru_backward(g_states, gates, inner, previous, weight_hh)
    gh = dh[:1] * gates[:1, 1] + matmul(da[:1], weight_hh) if needs[1] else None
    if direct is not None:
        da, dn = da + direct[0], dn + direct[1]
        gh = gh + matmul(direct[0][:1], weight_hh) if needs[1] else None
    d_rz = da[:, :, : 2 * hidden]
    if lengths is not None:
        # The padding may hold anything, and 0 * NaN is NaN.
        x = where(unsqueeze(padding_mask(lengths, steps), -1), 0.0, x)
    gx = gw = gr = g_bias_ih = g_bias_hh = None
    if needs[0]:
        gx = matmul(d_rz, weight_ih[: 2 * hidden]) + matmul(dn, weight_ih[2 * hidden :])
    if needs[2]:
        gw = concat(weight_gradient(d_rz, x), weight_gradient(dn, x))
    if needs[3]:
        gr = recurrent_weight_gradient(da, h0, output)
    if needs[4] or needs[5]:
        g_bias_hh = sum_to(da, shape=da.shape[2:])
        g_bias_ih = concat(g_bias_hh[: 2 * hidden], sum_to(dn, shape=dn.shape[2:]))
    return gx, gh, gw, gr, g_bias_ih, g_bias_hh, None


def _direct(g_gates: Any, g_inner: Any, gates: Tensor, inner: Tensor, lengths: Any) -> tuple[Tensor, Tensor]:
    """Converts the gradients of gates and inner themselves into contributions to da and dn of `gru_backward`."""
    r, z, n = (gates[:, gate] for gate in range(3))
    none = inner * 0.0
    g_r, g_z, g_n = (none, none, none) if g_gates is None else (g_gates[:, gate] for gate in range(3))
    dn = g_n * (1 - n * n)
    dr = (g_r + dn * inner) * r * (1 - r)
    dq = dn * r if g_inner is None else dn * r + g_inner
    da = concat(dr, g_z * z * (1 - z), dq, dim=-1)
    if lengths is None:
        return da, dn
    absent = unsqueeze(padding_mask(lengths, inner.shape[0]), -1)
    return where(absent, 0.0, da), where(absent, 0.0, dn)


@op
@quiet
def gru_backward(g_states: Array, gates: Array, inner: Array, previous: Array, weight: Array, /) -> Array:
    """Runs the sequential part of a GRU's gradient: a linear recurrence, backward in time.

    dh_t = g_states_t + z_(t+1) dh_(t+1) + da_(t+1) W
    da_t = k_t dh_t
    dn_t = (1-z)(1-n²) dh_t

    with k = (k_q q (1-r), (h_(t-1) - n) z (1-z), k_q) and k_q = (1-z)(1-n²) r, where q is the term that r multiplies.
    As a linear map from g_states to dh, its adjoint is `gru_tangent`, so both are differentiable to any order.

    Shape:
        g_states: (T, N, H); gates: (T, 3, N, H); inner: q, (T, N, H); previous: the state before each step (T, N, H);
        weight: W_hh, (3H, H).
        The result: the gradients da of r's and z's pre-activations and of q (T, N, 3H), dn of n's pre-activation
        (T, N, H), and dh of the states (T, N, H).
    """
    steps, batch, hidden = inner.shape
    da = np.empty((steps, batch, 3 * hidden), inner.dtype)
    dn = np.empty_like(inner)
    dh = np.empty_like(inner)
    da_gates = da.reshape(steps, batch, 3, hidden).transpose(0, 2, 1, 3)
    size = block_size(inner, 4)
    k = np.empty((3, size, batch, hidden), inner.dtype)
    carry, product = np.zeros_like(inner[0]), np.zeros_like(inner[0])
    add, multiply = np.add, np.multiply
    for start in range(0, steps, size)[::-1]:
        block = slice(start, start + size)
        count = min(size, steps - start)
        _coefficients(gates, inner, previous, start, start + count, k[:, :count], dn[block])
        arrays = g_states[block], dh[block], k[:, :count].swapaxes(0, 1), gates[block, 1], da[block], da_gates[block]
        for g, dh_t, k_t, z, da_t, a in zip(*(array[::-1] for array in arrays), strict=True):
            add(g, product, dh_t)
            add(dh_t, carry, dh_t)
            multiply(k_t, dh_t, a)
            multiply(z, dh_t, carry)
            da_t.dot(weight, product)
        dn[block] *= dh[block]
    return da, dn, dh


@gru_backward.vjp
def _(
    g: Any,
    g_states: Tensor,
    gates: Tensor,
    inner: Tensor,
    previous: Tensor,
    weight: Tensor,
    out: Any,
    needs: tuple[bool, ...],
) -> Any:
    g_a, g_n, g_h = g
    da, _, dh = out
    u = dh * 0.0 if g_h is None else g_h
    if g_a is not None or g_n is not None:
        k_r, k_z, k_q, k_n = _coefficient_tensors(gates, inner, previous)
        if g_n is not None:
            u = u + g_n * k_n
        if g_a is not None:
            a_r, a_z, a_q = split(g_a, inner.shape[2], -1)
            u = u + a_r * k_r + a_z * k_z + a_q * k_q
    states = gru_tangent(u, gates, inner, previous, weight)
    return states, *_second(states, g_a, g_n, da, dh, gates, inner, previous, weight, needs[1:])


@op
@quiet
def gru_tangent(u: Array, gates: Array, inner: Array, previous: Array, weight: Array, /) -> Array:
    """Computes the tangents of a GRU's states: a linear recurrence, forward in time.

    λ_t = u_t + z_t λ_(t-1) + k_r α_r + k_z α_z + k_q α_q  with  α = λ_(t-1) W'

    with k as in `gru_backward`, whose adjoint this is.

    Shape:
        u: (T, N, H); the others as in `gru_backward`. The result: (T, N, H).
    """
    steps, batch, hidden = inner.shape
    states = np.empty_like(inner)
    size = block_size(inner, 4)
    k = np.empty((3, size, batch, hidden), inner.dtype)
    unused = np.empty((size, batch, hidden), inner.dtype)
    a = np.empty((batch, 3 * hidden), inner.dtype)
    by_gate = a.reshape(batch, 3, hidden).swapaxes(0, 1)
    buffer, state = np.empty_like(inner[0]), np.zeros_like(inner[0])
    recurrent = np.ascontiguousarray(weight.T)
    for start in range(0, steps, size):
        stop = min(steps, start + size)
        _coefficients(gates, inner, previous, start, stop, k[:, : stop - start], unused[: stop - start])
        for t in range(start, stop):
            np.matmul(state, recurrent, out=a)
            by_gate *= k[:, t - start]
            np.multiply(gates[t, 1], state, out=buffer)
            state = states[t]
            np.sum(by_gate, axis=0, out=state)
            state += buffer
            state += u[t]
    return states


@gru_tangent.vjp
def _(
    g: Tensor,
    gates: Tensor,
    inner: Tensor,
    previous: Tensor,
    weight: Tensor,
    out: Tensor,
    needs: tuple[bool, ...],
) -> Any:
    da, _, dh = gru_backward(g, gates, inner, previous, weight)
    return dh, *_second(out, None, None, da, dh, gates, inner, previous, weight, needs[1:])


def _coefficients(gates: Array, inner: Array, previous: Array, start: int, stop: int, k: Array, k_n: Array) -> None:
    """Computes the coefficients k (3, T, N, H) and k_n of the steps from `start` to `stop`, all at once, in place."""
    r, z, n = all_gates = gates[start:stop].swapaxes(0, 1)
    k_r, k_z, k_q = k
    # k_q first holds h_(t-1) - n, for k_z.
    np.subtract(previous[start:stop], n, out=k_q)
    np.subtract(1, all_gates[:2], out=k[:2])
    np.multiply(n, n, out=k_n)
    np.subtract(1, k_n, out=k_n)
    k_n *= k_z
    k_z *= z
    k_z *= k_q
    np.multiply(k_n, r, out=k_q)
    k_r *= k_q
    k_r *= inner[start:stop]


def _coefficient_tensors(gates: Tensor, inner: Tensor, previous: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes the coefficients of r, z, q and n with ops."""
    r, z, n = unbind(gates, 1)
    k_n = (1 - z) * (1 - n * n)
    k_q = k_n * r
    return k_q * inner * (1 - r), (previous - n) * z * (1 - z), k_q, k_n


def _second(
    states: Tensor,
    g_a: Any,
    g_n: Any,
    da: Tensor,
    dh: Tensor,
    gates: Tensor,
    inner: Tensor,
    previous: Tensor,
    weight: Tensor,
    needs: tuple[bool, ...],
) -> Any:
    """Computes the gradients of gates, inner, previous and weight: the same for `gru_backward` and its adjoint.

    Both are the same bilinear form, with u and its λ on one side and g_states and its dh on the other. In it, each
    coefficient multiplies one factor of each side.
    """
    hidden = inner.shape[2]
    earlier = shifted(states, False)
    g_gates = g_inner = g_previous = g_weight = None
    if needs[3]:
        g_weight = weight_gradient(da, earlier)
    if needs[0] or needs[1] or needs[2]:
        r, z, n = unbind(gates, 1)
        a = matmul(earlier, transpose(weight, 0, 1))
        a_r, a_z, a_q = split(a if g_a is None else a + g_a, hidden, -1)
        c_r, c_z, c_q = a_r * dh, a_z * dh, a_q * dh
        slope = 1 - n * n
        # The coefficients of r and q contain that of n as a factor.
        c_n = c_r * inner * r * (1 - r) + c_q * r
        if g_n is not None:
            c_n = c_n + g_n * dh
        k_n = (1 - z) * slope
        change = c_z * z * (1 - z)
        g_gates = stack(
            [
                c_r * k_n * inner * (1 - 2 * r) + c_q * k_n,
                c_z * (previous - n) * (1 - 2 * z) - c_n * slope + earlier * dh,
                -2 * c_n * (1 - z) * n - change,
            ],
            1,
        )
        g_inner = c_r * k_n * r * (1 - r)
        g_previous = change
    return g_gates, g_inner, g_previous, g_weight
