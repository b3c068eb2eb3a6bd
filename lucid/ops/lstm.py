"""LSTM: one op runs one layer over a whole sequence, with a handwritten loop.

Letters: T time, N batch, I input, H hidden. The kept gates are in the order o i f g, so the three sigmoid gates are
adjacent, and so are the three that act on the cell. Weights and the gradients of pre-activations are in PyTorch's
order, i f g o, which is the same order rotated by one place. Each gate of a step, (N, H), is contiguous in memory:
besides the matrix products, this determines the time of the loops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array
from .elementwise import tanh, where
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

__all__ = ["lstm", "lstm_backward", "lstm_tangent"]


@op
@quiet
def lstm(
    x: Array,
    h0: Array,
    c0: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    lengths: Array,
    /,
) -> Array:
    """Runs an LSTM layer over a whole sequence (ONNX LSTM).

    i, f, g, o = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
    c_t = σ(f) c_(t-1) + σ(i) tanh(g)
    h_t = σ(o) tanh(c_t)

    Steps at and after a sequence's length are padding: the results are 0 there, and the last states are those of the
    last valid step. The content of the padding, even NaN, does not affect any result.

    Shape:
        x: (T, N, I); h0, c0: (1, N, H) or None for zeros; weight_ih: (4H, I); weight_hh: (4H, H); bias_ih, bias_hh:
        (4H,) or None; lengths: (N,) integers from 1 to T, or None where all are T.
        The result: the states of all steps (T, N, H), the last state (1, N, H), the last cell (1, N, H); and, for the
        gradient, the gates σ(o), σ(i), σ(f), tanh(g) of all steps (T, 4, N, H) and all cells (T, N, H).
    """
    steps, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    bias = bias_ih if bias_hh is None else bias_hh if bias_ih is None else bias_ih + bias_hh
    weight, recurrent, offset = (
        None if part is None else by_gate(np.concatenate((part[-hidden:], part[:-hidden])), hidden, 3)
        for part in (weight_ih, weight_hh, None if bias is None else bias[:, None])
    )
    # The input projection of all steps at once; the loop turns it into the gates, in place.
    gates = projected(x, weight, offset)
    output = np.empty((steps, batch, hidden), gates.dtype)
    cells = np.empty_like(output)
    h = np.zeros_like(output[0]) if h0 is None else h0[0]
    c = np.zeros_like(output[0]) if c0 is None else c0[0]
    # At small sizes the calls and views of a step dominate, so its arrays are allocated once.
    product, a = np.empty_like(gates[0]), np.empty_like(gates[0])
    buffer, one = np.empty_like(h), np.ones((), h.dtype)
    sigmoids, (o, i, f, g) = a[:3], a
    project, w, target = product_of_step(recurrent, product)
    add, divide, exp, multiply, tanh = np.add, np.divide, np.exp, np.multiply, np.tanh
    for y, c_t, h_t in zip(gates, cells, output, strict=True):
        project(h, w, target)
        add(y, product, a)
        exp(sigmoids, sigmoids)
        add(sigmoids, one, sigmoids)
        divide(one, sigmoids, sigmoids)
        tanh(g, g)
        y[...] = a
        multiply(i, g, c_t)
        multiply(f, c, buffer)
        add(c_t, buffer, c_t)
        tanh(c_t, buffer)
        multiply(o, buffer, h_t)
        h, c = h_t, c_t
    if lengths is None:
        return output, output[-1:].copy(), cells[-1:].copy(), gates, cells
    absent = padding(lengths, steps)
    for results in (output, cells, *gates.swapaxes(0, 1)):
        results[absent] = 0
    last = lengths - 1, np.arange(batch)
    return output, output[last][None], cells[last][None], gates, cells


@lstm.vjp
def _(
    g: Any,
    x: Tensor,
    h0: Any,
    c0: Any,
    weight_ih: Tensor,
    weight_hh: Tensor,
    lengths: Any,
    out: Any,
    needs: tuple[bool, ...],
) -> Any:
    g_output, g_h, g_c, g_gates, g_cells = g
    output, _, _, gates, cells = out
    steps = output.shape[0]
    g_states = gradient_of_states((g_output, g_h), output, lengths)
    if g_states is None:
        g_states = output * 0.0
    direct = None
    if g_gates is not None:
        o, i, f, candidate = (gates[:, gate] for gate in range(4))
        g_o, g_i, g_f, g_g = (g_gates[:, gate] for gate in range(4))
        direct = concat(
            g_i * i * (1 - i), g_f * f * (1 - f), g_g * (1 - candidate * candidate), g_o * o * (1 - o), dim=-1
        )
        if lengths is not None:
            direct = where(unsqueeze(padding_mask(lengths, steps), -1), 0.0, direct)
        g_states = g_states + matmul(shifted(direct, True), weight_hh)
    da, dc = lstm_backward(g_states, gradient_of_states((g_cells, g_c), cells, lengths), gates, cells, c0, weight_hh)
    if direct is not None:
        da = da + direct
    if lengths is not None:
        # The padding may hold anything, and 0 * NaN is NaN.
        x = where(unsqueeze(padding_mask(lengths, steps), -1), 0.0, x)
    gx = gh = gc = gw = gr = gb = None
    if needs[0]:
        gx = matmul(da, weight_ih)
    if needs[1]:
        gh = matmul(da[:1], weight_hh)
    if needs[2]:
        gc = dc[:1] * gates[:1, 2]
    if needs[3]:
        gw = weight_gradient(da, x)
    if needs[4]:
        gr = recurrent_weight_gradient(da, h0, output)
    if needs[5] or needs[6]:
        gb = sum_to(da, shape=da.shape[2:])
    return gx, gh, gc, gw, gr, gb, gb, None


@op
@quiet
def lstm_backward(g_states: Array, g_cells: Array, gates: Array, cells: Array, c0: Array, weight: Array, /) -> Array:
    """Runs the sequential part of an LSTM's gradient: a linear recurrence, backward in time.

    dh_t = g_states_t + da_(t+1) W
    dc_t = g_cells_t + p_t dh_t + f_(t+1) dc_(t+1)
    da_t = k_t (dc_t, dc_t, dc_t, dh_t)

    with k = (i(1-i) g, f(1-f) c_(t-1), (1-g²) i, o(1-o) tanh(c_t)) and p = o (1 - tanh²(c_t)). As a linear map, its
    adjoint is `lstm_tangent`. Each is the gradient of the other, so both are differentiable to any order.

    Shape:
        g_states: (T, N, H); g_cells: (T, N, H) or None for zeros; gates: (T, 4, N, H); cells: (T, N, H); c0: (1, N, H)
        or None; weight: W_hh (4H, H).
        The result: the gradients of the pre-activations, in PyTorch's order (T, N, 4H), and of the cells (T, N, H).
    """
    steps, batch, hidden = cells.shape
    da = np.empty((steps, batch, 4 * hidden), cells.dtype)
    dc = np.empty_like(cells)
    da_gates = da.reshape(steps, batch, 4, hidden).transpose(0, 2, 1, 3)
    size = block_size(cells, 5)
    k = np.empty((4, size, batch, hidden), cells.dtype)
    p = np.empty((size, batch, hidden), cells.dtype)
    dh, carry, product = np.empty_like(cells[0]), np.zeros_like(cells[0]), np.zeros_like(cells[0])
    add, multiply = np.add, np.multiply
    for start in range(0, steps, size)[::-1]:
        block = slice(start, start + size)
        count = min(size, steps - start)
        _coefficients(gates, cells, c0, start, start + count, k[:, :count], p[:count])
        arrays = (
            *(g_states[block], [None] * count if g_cells is None else g_cells[block], dc[block]),
            *(p[:count], k[0, :count], k[1:, :count].swapaxes(0, 1), gates[block, 2]),
            *(da[block], da_gates[block, 3], da_gates[block, :3]),
        )
        for g_h, g_c, dc_t, p_t, k_o, k_c, f, da_t, a_o, a_c in zip(*(array[::-1] for array in arrays), strict=True):
            add(g_h, product, dh)
            multiply(p_t, dh, dc_t)
            add(dc_t, carry, dc_t)
            if g_c is not None:
                add(dc_t, g_c, dc_t)
            multiply(k_o, dh, a_o)
            multiply(k_c, dc_t, a_c)
            multiply(f, dc_t, carry)
            da_t.dot(weight, product)
    return da, dc


@lstm_backward.vjp
def _(
    g: Any,
    g_states: Tensor,
    g_cells: Any,
    gates: Tensor,
    cells: Tensor,
    c0: Any,
    weight: Tensor,
    out: Any,
    needs: tuple[bool, ...],
) -> Any:
    da, dc = out
    u = da * 0.0 if g[0] is None else g[0]
    dotted = lstm_tangent(u, g[1], gates, cells, c0, weight)
    return (*dotted, *_second(u, dotted, g_states, da, dc, gates, cells, c0, weight, needs[2:]))


@op
@quiet
def lstm_tangent(u: Array, v: Array, gates: Array, cells: Array, c0: Array, weight: Array, /) -> Array:
    """Computes the tangents of an LSTM's states and cells: a linear recurrence, forward in time.

    α_t = u_t + λ_(t-1) W'
    μ_t = v_t + k_i α_i + k_f α_f + k_g α_g + f_t μ_(t-1)
    λ_t = k_o α_o + p_t μ_t

    with k and p as in `lstm_backward`, whose adjoint this is.

    Shape:
        u: (T, N, 4H); v: (T, N, H) or None for zeros; the others as in `lstm_backward`. The result: λ and μ, each
        (T, N, H).
    """
    steps, batch, hidden = cells.shape
    states = np.empty_like(cells)
    changes = np.empty_like(cells)
    size = block_size(cells, 5)
    k = np.empty((4, size, batch, hidden), cells.dtype)
    p = np.empty((size, batch, hidden), cells.dtype)
    a, buffer = np.empty_like(u[0]), np.empty_like(cells[0])
    by_gate = a.reshape(batch, 4, hidden).swapaxes(0, 1)
    a_c, a_o = by_gate[:3], by_gate[3]
    recurrent = np.ascontiguousarray(weight.T)
    state, change = np.zeros_like(cells[0]), np.zeros_like(cells[0])
    for start in range(0, steps, size):
        stop = min(steps, start + size)
        _coefficients(gates, cells, c0, start, stop, k[:, : stop - start], p[: stop - start])
        for t in range(start, stop):
            np.matmul(state, recurrent, out=a)
            a += u[t]
            a_c *= k[1:, t - start]
            a_o *= k[0, t - start]
            np.multiply(gates[t, 2], change, out=buffer)
            state, change = states[t], changes[t]
            np.sum(a_c, axis=0, out=change)
            change += buffer
            if v is not None:
                change += v[t]
            np.multiply(p[t - start], change, out=state)
            state += a_o
    return states, changes


@lstm_tangent.vjp
def _(
    g: Any,
    u: Tensor,
    v: Any,
    gates: Tensor,
    cells: Tensor,
    c0: Any,
    weight: Tensor,
    out: Any,
    needs: tuple[bool, ...],
) -> Any:
    g_states = out[0] * 0.0 if g[0] is None else g[0]
    da, dc = lstm_backward(g_states, g[1], gates, cells, c0, weight)
    return (da, dc, *_second(u, out, g_states, da, dc, gates, cells, c0, weight, needs[2:]))


def _coefficients(gates: Array, cells: Array, c0: Array, start: int, stop: int, k: Array, p: Array) -> None:
    """Computes the coefficients k (4, T, N, H) and p of the steps from `start` to `stop`, all at once, in place."""
    o, i, _, g = all_gates = gates[start:stop].swapaxes(0, 1)
    k_o, k_i, k_f, k_g = k
    np.subtract(1, all_gates[:3], out=k[:3])
    k[:3] *= all_gates[:3]
    np.tanh(cells[start:stop], out=p)
    k_o *= p
    p *= p
    np.subtract(1, p, out=p)
    p *= o
    k_i *= g
    if start:
        k_f *= cells[start - 1 : stop - 1]
    else:
        k_f[0] *= 0 if c0 is None else c0[0]
        k_f[1:] *= cells[: stop - 1]
    np.multiply(g, g, out=k_g)
    np.subtract(1, k_g, out=k_g)
    k_g *= i


def _second(
    u: Tensor,
    dotted: Any,
    g_states: Tensor,
    da: Tensor,
    dc: Tensor,
    gates: Tensor,
    cells: Tensor,
    c0: Any,
    weight: Tensor,
    needs: tuple[bool, ...],
) -> Any:
    """Computes the gradients of gates, cells, c0 and weight: the same for `lstm_backward` and its adjoint.

    Both are the same bilinear form, with (u, v) and their λ, μ on one side and (g_states, g_cells) and their da, dc on
    the other. In it, each coefficient multiplies one factor of each side.
    """
    states, changes = dotted
    hidden = cells.shape[2]
    g_gates = g_cells = g_c0 = g_weight = None
    earlier = shifted(states, False)
    if needs[3]:
        g_weight = weight_gradient(da, earlier)
    if needs[0] or needs[1] or needs[2]:
        o, i, f, g = unbind(gates, 1)
        a_i, a_f, a_g, a_o = split(u + matmul(earlier, transpose(weight, 0, 1)), hidden, -1)
        dh = g_states + matmul(shifted(da, True), weight)
        k_o, k_i, k_f, k_g, p = a_o * dh, a_i * dc, a_f * dc, a_g * dc, changes * dh
        t, previous = tanh(cells), before(c0, cells)
        g_gates = stack(
            [
                k_o * t * (1 - 2 * o) + p * (1 - t * t),
                k_i * g * (1 - 2 * i) + k_g * (1 - g * g),
                k_f * previous * (1 - 2 * f) + shifted(changes, False) * dc,
                k_i * i * (1 - i) - 2 * k_g * g * i,
            ],
            1,
        )
        g_previous = k_f * f * (1 - f)
        g_cells = (k_o * o * (1 - o) - 2 * p * o * t) * (1 - t * t) + shifted(g_previous, True)
        g_c0 = g_previous[:1]
    return g_gates, g_cells, g_c0, g_weight
