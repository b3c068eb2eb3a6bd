"""Size rules of products and layers; see `lucid.ops.sizes`. Importing it declares the rules of all ops."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from ..tracer.extent import broadcast, equal
from ..tracer.graph import Graph
from . import sizes_of_indexing, sizes_of_searches  # noqa: F401 - their rules
from .sizes import Shape, fits, rule

__all__: list[str] = []

# --- products


@rule("matmul")
def _(x: Shape, y: Shape) -> Shape:
    equal(x[-1], y[-2] if len(y) > 1 else y[0])
    rows = (x[-2],) if len(x) > 1 else ()
    columns = (y[-1],) if len(y) > 1 else ()
    return (*broadcast(x[:-2], y[:-2]), *rows, *columns)


@rule("linear")
def _(x: Shape, weight: Shape, bias: Shape | None) -> Shape:
    equal(x[-1], weight[1])
    return (*x[:-1], weight[0] if bias is None else equal(weight[0], bias[0]))


@rule("weight_gradient")
def _(dz: Shape, x: Shape) -> Shape:
    for m, n in zip(dz[:-1], x[:-1], strict=True):
        equal(m, n)
    return (dz[-1], x[-1])


def _positions(length: Any, size: Any, stride: int, dilation: int) -> Any:
    return (length - dilation * (size - 1) - 1) // stride + 1


@rule("windows")
def _(x: Shape, size: int, stride: int, dilation: int, axis: int) -> Shape:
    return (*x[:axis], size, _positions(x[axis], size, stride, dilation), *x[axis + 1 :])


@rule("windows_sum")
def _(g: Shape, size: int, stride: int, dilation: int, length: Any, axis: int) -> Shape:
    return (*g[:axis], length, *g[axis + 2 :])


@rule("window_max")
def _(x: Shape, size: int, stride: int, dilation: int, axis: int) -> list[Shape]:
    return [(*x[:axis], _positions(x[axis], size, stride, dilation), *x[axis + 1 :])] * 2


@rule("convolved")
def _(
    x: Shape,
    weight: Shape,
    bias: Any,
    stride: tuple[int, ...],
    padding: tuple[tuple[Any, Any], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Shape:
    equal(x[1], weight[1] * groups)
    along = zip(x[2:], padding, weight[2:], stride, dilation, strict=True)
    return (x[0], weight[0], *[_positions(n + sum(pair), k, step, gap) for n, pair, k, step, gap in along])


# --- layers


@rule("normalized")
def _(x: Shape, weight: Any, bias: Any, axes: int, eps: float) -> list[Shape]:
    kept = x[: len(x) - axes]
    for parameter in (weight, bias):
        for m, n in zip(parameter or (), x[len(kept) :], strict=False):
            equal(m, n)
    return [x, (*kept, *[1] * axes), (*kept, *[1] * axes)]


@rule("normalized_slope")
def _(incoming: Shape, x: Shape, weight: Any, centre: Any, scale: Any, axes: int) -> list[Shape]:
    inner = x[len(x) - axes :]
    fits(incoming, x)
    fits(weight or inner, inner)
    for given in (centre, scale):
        fits(given, (*x[: len(x) - axes], *[1] * axes))
    return [x, inner, inner]


@rule("channels_normalized")
def _(x: Shape, centre: Shape, variance: Shape, weight: Any, bias: Any, eps: float) -> Shape:
    for row in (centre, variance, weight, bias):
        if row is not None:
            equal(row[0], x[1])
    return x


@rule("class_losses")
def _(x: Shape, target: Shape, weight: Any, dim: int, ignore_index: int) -> list[Shape]:
    rows = tuple([equal(m, n) for m, n in zip(target, (*x[:dim], *x[dim + 1 :]), strict=True)])
    return [rows, rows, x]


def _layer(x: Shape, states: Iterable[Shape | None], weight_ih: Shape, hidden: Any, lengths: Any) -> tuple[Any, Any]:
    """Returns time and batch of a recurrent layer."""
    equal(x[2], weight_ih[1])
    batch = x[1]
    for state in states:
        if state is not None:
            equal(state[0], 1)
            batch = equal(batch, state[1])
            equal(state[2], hidden)
    if lengths is not None:
        batch = equal(batch, lengths[0])
    return x[0], batch


@rule("reverse_sequence")
def _(x: Shape, lengths: Any) -> Shape:
    return x if lengths is None else (x[0], equal(x[1], lengths[0]), *x[2:])


def _cell(x: Shape, h: Shape, weight_ih: Shape, weight_hh: Shape) -> tuple[Any, ...]:
    """Returns the leading axes of a cell: the batch, or none."""
    equal(x[-1], weight_ih[1])
    equal(h[-1], weight_hh[1])
    return tuple([equal(m, n) for m, n in zip(x[:-1], h[:-1], strict=True)])


@rule("rnn_cell")
def _(x: Any, h: Any, w: Any, r: Any, b: Any, c: Any, nonlinearity: str) -> Shape:
    return (*_cell(x, h, w, r), r[1])


@rule("lstm_cell")
def _(x: Any, h: Any, c: Any, w: Any, r: Any, *biases: Any) -> list[Shape]:
    leading = _cell(x, h, w, r)
    state = (*[equal(m, n) for m, n in zip(leading, c[:-1], strict=True)], c[-1])
    return [state, state, (*leading, 4 * c[-1])]


@rule("gru_cell")
def _(x: Any, h: Any, w: Any, r: Any, *biases: Any) -> list[Shape]:
    leading = _cell(x, h, w, r)
    return [(*leading, r[1]), (*leading, 3 * r[1]), (*leading, r[1])]


@rule("rnn")
def _(x: Any, h0: Any, w: Any, r: Any, b: Any, c: Any, lengths: Any, nonlinearity: str) -> list[Shape]:
    steps, batch = _layer(x, [h0], w, r[1], lengths)
    return [(steps, batch, r[1]), (1, batch, r[1])]


@rule("lstm")
def _(x: Any, h0: Any, c0: Any, w: Any, r: Any, b: Any, c: Any, lengths: Any) -> list[Shape]:
    hidden = r[1]
    steps, batch = _layer(x, [h0, c0], w, hidden, lengths)
    last, every = (1, batch, hidden), (steps, batch, hidden)
    return [every, last, last, (steps, 4, batch, hidden), every]


@rule("gru")
def _(x: Any, h0: Any, w: Any, r: Any, b: Any, c: Any, lengths: Any) -> list[Shape]:
    hidden = r[1]
    steps, batch = _layer(x, [h0], w, hidden, lengths)
    every = (steps, batch, hidden)
    return [every, (1, batch, hidden), (steps, 3, batch, hidden), every]


@rule("gru_backward")
def _(g: Any, gates: Any, inner: Shape, previous: Any, weight: Any) -> list[Shape]:
    return [(*inner[:2], 3 * inner[2]), inner, inner]


@rule("lstm_backward")
def _(g_states: Any, g_cells: Any, gates: Any, cells: Shape, *_: Any) -> list[Shape]:
    return [(*cells[:2], 4 * cells[2]), cells]


@rule("lstm_tangent")
def _(u: Any, v: Any, gates: Any, cells: Shape, *_: Any) -> list[Shape]:
    return [cells, cells]


@rule("recurrent_weight_gradient")
def _(dz: Shape, first: Any, states: Shape) -> Shape:
    equal(dz[0], states[0])
    equal(dz[1], states[1])
    if first is not None:
        fits(first, (1, *states[1:]))
    return (dz[2], states[2])


@rule("scan")
def _(*operands: Shape, body: Graph, states: int, scanned: int, reverse: bool) -> list[Shape]:
    steps = reduce(equal, [shape[0] for shape in operands[states : states + scanned]])
    held = list(operands[:states])
    inner = [body.sizes.shape_of(value) for value in list(body.outputs.values())[states:]]
    return [*held, *[(steps, *shape) for shape in inner], *[(steps, *shape) for shape in held]]
