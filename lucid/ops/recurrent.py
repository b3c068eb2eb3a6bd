"""The recurrent ops: one op runs one layer over a whole sequence, with a handwritten loop.

Letters: T time, N batch, I input, H hidden.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, op
from ..tracer.op import Array
from .creation import count, fill
from .elementwise import eq, ge, where
from .linalg import matmul, weight_gradient
from .reduce import sum_to
from .shape import concat, transpose, unsqueeze

__all__ = ["recurrent_weight_gradient", "reverse_sequence", "rnn", "rnn_backward"]

Nonlinearity = Literal["tanh", "relu"]

# The padding may hold anything, and results computed from it are discarded. Elsewhere, inf and nan are silent too.
quiet = np.errstate(all="ignore")


@op
@quiet
def rnn(
    x: Array,
    h0: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    lengths: Array,
    /,
    nonlinearity: Nonlinearity = "tanh",
) -> Array:
    """Runs a simple recurrent layer over a whole sequence (ONNX RNN).

    h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)

    Steps at and after a sequence's length are padding: the output is 0 there, and the last state is that of the last
    valid step. The content of the padding, even NaN, does not affect any result.

    Shape:
        x: (T, N, I); h0: (1, N, H) or None for zeros; weight_ih: (H, I); weight_hh: (H, H); bias_ih, bias_hh: (H,) or
        None; lengths: (N,) integers from 1 to T, or None where all are T.
        The result: the states of all steps (T, N, H) and the last state (1, N, H).
    """
    steps, batch, features = x.shape
    hidden = weight_hh.shape[0]
    bias = bias_ih if bias_hh is None else bias_hh if bias_ih is None else bias_ih + bias_hh
    # The input projection of all steps at once; the loop turns it into the states, in place.
    out = np.matmul(x.reshape(steps * batch, features), weight_ih.T)
    if bias is not None:
        out += bias
    out = out.reshape(steps, batch, hidden)
    recurrent = np.ascontiguousarray(weight_hh.T)
    product = np.empty((batch, hidden), out.dtype)
    # At small sizes the calls of a step dominate: `dot` takes a third of `matmul`, and an array is cheaper than a 0.
    zeros = None if nonlinearity == "tanh" else np.zeros_like(product)
    h = None if h0 is None else h0[0]
    # Looked up once: a step consists of little but calls.
    add, maximum, tanh = np.add, np.maximum, np.tanh
    for state in out:
        if h is not None:
            h.dot(recurrent, product)
            add(state, product, state)
        if zeros is None:
            tanh(state, state)
        else:
            maximum(state, zeros, out=state)
        h = state
    if lengths is None:
        return out, out[-1:].copy()
    out[padding(lengths, steps)] = 0
    return out, out[lengths - 1, np.arange(batch)][None]


@rnn.vjp
def _(
    g: Any,
    x: Tensor,
    h0: Any,
    weight_ih: Tensor,
    weight_hh: Tensor,
    lengths: Any,
    out: Any,
    needs: tuple[bool, ...],
    nonlinearity: Nonlinearity,
) -> Any:
    output = out[0]
    steps = output.shape[0]
    dz = rnn_backward(
        gradient_of_states(g, output, lengths), output, weight_hh, nonlinearity=nonlinearity, reverse=True
    )
    if lengths is not None:
        # The padding may hold anything, and 0 * NaN is NaN.
        x = where(unsqueeze(padding_mask(lengths, steps), -1), 0.0, x)
    gx = gh = gw = gr = gb = None
    if needs[0]:
        gx = matmul(dz, weight_ih)
    if needs[1]:
        gh = matmul(dz[:1], weight_hh)
    if needs[2]:
        gw = weight_gradient(dz, x)
    if needs[3]:
        gr = recurrent_weight_gradient(dz, h0, output)
    if needs[4] or needs[5]:
        gb = sum_to(dz, shape=dz.shape[2:])
    return gx, gh, gw, gr, gb, gb, None


@op
@quiet
def rnn_backward(
    incoming: Array, states: Array, weight: Array, /, nonlinearity: Nonlinearity = "tanh", reverse: bool = True
) -> Array:
    """Runs the sequential part of a recurrent layer's gradient, a linear recurrence through time:

    z_t = (incoming_t + z_(t+1) W) * f'_t, or with z_(t-1) if not `reverse`,

    with f' = 1 - h² for tanh, and 1 where h > 0, else 0, for relu. Its own gradient is the same recurrence in the
    other direction, with W transposed, so it is differentiable to any order.

    Shape:
        incoming: (T, N, H); states: h, (T, N, H); weight: (H, H); the result: (T, N, H).
    """
    out = np.empty_like(incoming, order="C")
    product = np.empty(out.shape[1:], out.dtype)
    order = slice(None, None, -1 if reverse else 1)
    size = block_size(states, 1)
    slopes = np.empty((size, *product.shape), out.dtype)
    add, multiply = np.add, np.multiply
    previous = None
    for start in range(0, len(states), size)[order]:
        block = slice(start, start + size)
        slope = _slope(states[block], slopes[: len(states) - start], nonlinearity)
        for g, s, z in zip(incoming[block][order], slope[order], out[block][order], strict=True):
            if previous is None:
                multiply(g, s, z)
            else:
                previous.dot(weight, product)
                add(g, product, product)
                multiply(product, s, z)
            previous = z
    return out


def _slope(states: Array, out: Array, nonlinearity: Nonlinearity) -> Array:
    """Computes the derivative of the nonlinearity from its results `states`, in `out`."""
    if nonlinearity == "relu":
        return np.greater(states, 0, out=out)
    np.multiply(states, states, out=out)
    return np.subtract(1, out, out=out)


@rnn_backward.vjp
def _(
    g: Tensor,
    incoming: Tensor,
    states: Tensor,
    weight: Tensor,
    out: Tensor,
    needs: tuple[bool, ...],
    nonlinearity: Nonlinearity,
    reverse: bool,
) -> Any:
    # With a_t = incoming_t + z_(t+1) W (so z_t = a_t * f'_t), u_t = dL/da_t obeys
    # u_t = (g_t + u_(t-1) W') * f'_t.
    u = rnn_backward(g, states, transpose(weight, 0, 1), nonlinearity=nonlinearity, reverse=not reverse)
    g_states = g_weight = None
    curved = needs[1] and nonlinearity == "tanh"
    if curved or needs[2]:
        after = shifted(out, reverse)
        if curved:
            g_slope = (g + shifted(matmul(u, transpose(weight, 0, 1)), not reverse)) * (
                incoming + matmul(after, weight)
            )
            g_states = g_slope * states * -2.0
        if needs[2]:
            g_weight = weight_gradient(after, u)
    return u, g_states, g_weight


@op
def reverse_sequence(x: Array, lengths: Array, /) -> Array:
    """Reverses each sequence in time, within its own length; padding stays where it is (ONNX ReverseSequence).

    Shape:
        x: (T, N, *); lengths: (N,) integers from 1 to T, or None where all are T; the result: (T, N, *).
    """
    if lengths is None:
        return x[::-1].copy()
    times = np.arange(x.shape[0])[:, None]
    return x[np.where(times < lengths, lengths - 1 - times, times), np.arange(x.shape[1])]


@reverse_sequence.vjp
def _(g: Tensor, lengths: Any) -> Any:
    return reverse_sequence(g, lengths), None


_INT64 = np.dtype(np.int64)


def _times(steps: int) -> Tensor:
    """Returns the numbers of the steps, (T, 1)."""
    return unsqueeze(count(start=0, stop=steps, step=1, dtype=_INT64), 1)


def zeros_of(x: Any) -> Any:
    """Returns zeros with the shape and dtype of a tensor, or of an array in a gradient rule that runs on arrays."""
    return fill(shape=x.shape, value=0.0, dtype=x.dtype)


def shifted(z: Tensor, reverse: bool) -> Tensor:
    """Returns z_(t+1) at position t if `reverse`, else z_(t-1); zeros at the end where there is none."""
    return concat(z[1:], zeros_of(z[:1]), dim=0) if reverse else concat(zeros_of(z[:1]), z[:-1], dim=0)


def before(first: Any, states: Tensor) -> Tensor:
    """Returns the state before each step, starting from `first`, or from zeros if it is None."""
    return concat(zeros_of(states[:1]) if first is None else first, states[:-1], dim=0)


@op
def recurrent_weight_gradient(dz: Array, first: Array, states: Array, /) -> Array:
    """Computes the gradient of a recurrent weight: the sum over t of dz_t' h_(t-1).

    Shape:
        dz: (T, N, O), the gradients of the pre-activations; first: the state before the first step (1, N, H), or None
        for zeros; states: those of all steps (T, N, H); the result: (O, H).
    """
    (_, batch, gates), hidden = dz.shape, states.shape[-1]
    if dz.shape[:2] != states.shape[:2] or (first is not None and first.shape[:2] != (1, batch)):
        raise ShapeError("expected (T, N, O), (1, N, H) or None, (T, N, H)")
    total = np.matmul(dz[1:].reshape(-1, gates).T, states[:-1].reshape(-1, hidden))
    if first is not None:
        total += np.matmul(dz[0].T, first[0])
    elif not np.isfinite(dz[0]).all():
        # Zero times inf or NaN is NaN.
        with np.errstate(invalid="ignore"):
            total += np.matmul(dz[0].T, np.zeros_like(states[0]))
    return total


@recurrent_weight_gradient.vjp
def _(g: Tensor, dz: Tensor, first: Any, states: Tensor, needs: tuple[bool, ...]) -> Any:
    g_dz = g_first = g_states = None
    if needs[0]:
        g_dz = matmul(before(first, states), transpose(g, 0, 1))
    if needs[1]:
        g_first = matmul(dz[:1], g)
    if needs[2]:
        g_states = shifted(matmul(dz, g), True)
    return g_dz, g_first, g_states


def block_size(states: Array, arrays: int) -> int:
    """Returns how many steps to process at once: few enough to stay in the processor's cache, many if steps are small.

    Args:
        states: (T, N, H).
        arrays: how many arrays of a state's size each step needs.
    """
    return max(1, min(len(states), 65536 // max(1, arrays * states[0].size)))


def by_gate(weight: Array, hidden: int, sigmoids: int) -> Array:
    """Splits a weight (gates * H, features) by gate, and transposes each part: (gates, features, H).

    The first `sigmoids` gates are negated: σ(a) = 1 / (1 + exp(-a)) is precise even for an almost closed gate. A single
    tanh for all gates, σ(a) = (1 + tanh(a / 2)) / 2, would save a call per step, but is not precise there.
    """
    result = np.array(weight.reshape(-1, hidden, weight.shape[1]).swapaxes(1, 2), order="C")
    np.negative(result[:sigmoids], out=result[:sigmoids])
    return result


def product_of_step(weight: Array, out: Array) -> tuple[Any, Array, Array]:
    """Returns (function, a, b), so that function(h, a, b) writes the products of h and each gate's weight to `out`.

    Args:
        weight: (gates, H, H).
        out: (gates, N, H).
    """
    if out.shape[1] == 1:
        # The gates of a single sequence form one row, and a call of `dot` takes a third of the time of `matmul`.
        return np.dot, np.concatenate(weight, 1), out.reshape(1, -1)
    return np.matmul, weight, out


def projected(x: Array, weight: Array, offset: Array | None) -> Array:
    """Computes the products of all steps' inputs with each gate's weight, (T, gates, N, H).

    Args:
        x: (T, N, I).
        weight: (gates, I, H).
        offset: the term to add, (gates, 1, H), or None.
    """
    steps, batch, features = x.shape
    count, _, hidden = weight.shape
    rows = x.reshape(steps * batch, features)
    if batch == 1:
        # The gates of a step then form one row.
        products = np.dot(rows, np.concatenate(weight, 1))
        if offset is not None:
            products += offset.reshape(-1)
        return products.reshape(steps, count, 1, hidden)
    products = np.matmul(rows, weight)
    if offset is not None:
        products += offset
    return products.reshape(count, steps, batch, hidden).swapaxes(0, 1)


def gradient_of_states(g: Any, output: Tensor, lengths: Any) -> Any:
    """Returns the gradients of all states: those of the output, plus that of the last state at its step.

    It returns None if neither has one.
    """
    g_output, g_last = g
    if g_output is None and g_last is None:
        return None
    steps = output.shape[0]
    if lengths is None:
        if g_last is None:
            return g_output
        rest = zeros_of(output[:-1]) if g_output is None else g_output[:-1]
        last = g_last if g_output is None else g_output[-1:] + g_last
        return concat(rest, last, dim=0)
    total = zeros_of(output) if g_output is None else where(unsqueeze(padding_mask(lengths, steps), -1), 0.0, g_output)
    if g_last is None:
        return total
    is_last = eq(_times(steps), lengths - 1)
    return total + where(unsqueeze(is_last, -1), g_last, 0.0)


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """Returns (T, N) bools, True from each sequence's length on, computed with ops."""
    return ge(_times(steps), lengths)


def padding(lengths: Array, steps: int) -> Array:
    """Returns (T, N) bools, True from each sequence's length on."""
    return np.arange(steps)[:, None] >= lengths
