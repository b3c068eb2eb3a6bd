"""Imports of ONNX's recurrent operators. Letters: T time, N batch, I input, H hidden, D directions, G gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from ... import ops
from ...errors import ModelImportError, ShapeError
from ...nn import functional as F
from ...nn.scan import scan
from ...ops.gru import gru
from ...ops.lstm import lstm
from ...ops.recurrent import Nonlinearity, reverse_sequence, rnn
from ...tensor import Tensor
from ...tracer.dim import concrete
from ..registry import Operation, imports
from ..weights import GATES

__all__: list[str] = []

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

_STANDARD = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}

Activation = Callable[[Tensor], Tensor]
State = tuple[Tensor | None, ...]


class _Weights(NamedTuple):
    """The weights of one direction, gates in PyTorch's order; a bias or the peepholes may be None."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    peepholes: Tensor | None


@imports("RNN", "GRU", "LSTM")
def _(
    node: Operation,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    p: Tensor | None = None,
) -> Any:
    weights = [
        _Weights(
            _in_gates(w[d], node),
            _in_gates(r[d], node),
            None if b is None else _in_gates(b[d, : w.shape[1]], node),
            None if b is None else _in_gates(b[d, w.shape[1] :], node),
            None if p is None else p[d],
        )
        for d in range(len(_directions(node)))
    ]
    return _layer(node, x, lengths, (h0, c0), weights)


@imports("recurrent")
def _(node: Operation, x: Tensor, lengths: Any, h0: Any, c0: Any, p: Any, *parameters: Tensor) -> Any:
    """A recurrent operator whose weights are parameters, in the layout of lucid's layers."""
    count = len(_directions(node))
    each = len(parameters) // count
    weights = []
    for d in range(count):
        own = parameters[d * each : (d + 1) * each]
        bias_ih, bias_hh = own[2:] or (None, None)
        weights.append(_Weights(own[0], own[1], bias_ih, bias_hh, None if p is None else p[d]))
    return _layer(node, x, lengths, (h0, c0), weights)


def _directions(node: Operation) -> tuple[bool, ...]:
    direction = node.get("direction", "forward")
    if direction not in _DIRECTIONS:
        raise ModelImportError(f"{node}: direction must be one of {', '.join(_DIRECTIONS)}; got {direction!r}")
    return _DIRECTIONS[direction]


def _in_gates(weight: Tensor, node: Operation) -> Tensor:
    order = GATES[node.op_type]
    if len(order) == 1:
        return weight
    blocks = ops.split(weight, weight.shape[0] // len(order), 0)
    return ops.cat([blocks[i] for i in order], 0)


def _layer(node: Operation, x: Tensor, lengths: Any, initial: State, weights: Sequence[_Weights]) -> Any:
    """Runs all directions; returns the outputs (T, D, N, H) and the last states (D, N, H), in the node's layout."""
    _check(node, weights)
    batch_first = bool(node.get("layout", 0))
    if batch_first:
        x = ops.transpose(x, 0, 1)
        initial = tuple([None if part is None else ops.transpose(part, 0, 1) for part in initial])
    if x.shape[0] == 0:
        raise ShapeError(f"the sequences must have at least one step; got shape {x.shape}")
    lengths = None if lengths is None else _checked(lengths.to("int64"), x)
    directions = _directions(node)
    outputs, last = [], []
    for d, backward in enumerate(directions):
        run = _runner(node, d, weights[d])
        state = tuple([None if part is None else part if len(directions) == 1 else part[d : d + 1] for part in initial])
        y, final = run(reverse_sequence(x, lengths) if backward else x, state, lengths)
        outputs.append(reverse_sequence(y, lengths) if backward else y)
        last.append(final)
    if len(directions) == 1:
        y, states = outputs[0], last[0]
        y = ops.unsqueeze(y, 2 if batch_first else 1) if not batch_first else ops.unsqueeze(ops.transpose(y, 0, 1), 2)
    else:
        # Joined as a layer of lucid's joins them, so that an export makes one operator of both directions.
        y = ops.cat(outputs, -1)
        states = tuple([ops.cat(pair, 0) for pair in zip(*last, strict=True)])
        y = ops.reshape(y, (y.shape[0], y.shape[1], 2, y.shape[2] // 2))
        y = ops.permute(y, (1, 0, 2, 3) if batch_first else (0, 2, 1, 3))
    if lengths is not None:  # as in onnxruntime, a sequence without steps ends in zeros, and not in its initial state
        states = tuple([ops.where(ops.unsqueeze(lengths > 0, 1), state, 0.0) for state in states])
    if batch_first:
        states = tuple([ops.transpose(state, 0, 1) for state in states])
    return (y, *states)


def _check(node: Operation, weights: Sequence[_Weights]) -> None:
    """Raises an error if attributes do not fit the weights."""
    count = len(_STANDARD[node.op_type]) * len(weights)
    names = node.get("activations")
    if names is not None and len(names) != count:
        raise ModelImportError(f"{node}: it has {len(names)} activations, and takes {count}")
    hidden, units = node.get("hidden_size"), weights[0].weight_hh.shape[-1]
    if hidden is not None and hidden != units:
        raise ModelImportError(f"{node}: hidden_size is {hidden}, and its weights are for {units} units")


def _checked(lengths: Tensor, x: Tensor) -> Tensor:
    """Returns lengths after a look at their numbers; onnxruntime's operators take the same."""
    steps, batch = x.shape[:2]
    if lengths.shape != (batch,):
        raise ShapeError(f"sequence_lens must have a length for each of {batch} sequences; got shape {lengths.shape}")
    numbers = lengths._data
    if numbers.size and (numbers.min() < 0 or numbers.max() > concrete(steps)):
        raise ShapeError(f"sequence_lens must be from 0 to {steps}; got {numbers.tolist()}")
    return lengths


def _runner(node: Operation, d: int, weights: _Weights) -> Callable[..., tuple[Tensor, tuple[Tensor, ...]]]:
    """Returns the function that runs a direction: one of lucid's ops, or a scan where no op computes the node."""
    kind = node.op_type
    count = len(_STANDARD[kind])
    default = _STANDARD[kind] * len(_directions(node))
    names = tuple([name.capitalize() for name in node.get("activations", default)])
    own = names[d * count : (d + 1) * count]
    plain = not (node.get("clip") or node.get("input_forget")) and weights.peepholes is None
    if kind == "LSTM" and plain and own == _STANDARD[kind]:
        return partial(_lstm, weights)
    if kind == "GRU" and plain and own == _STANDARD[kind] and node.get("linear_before_reset", 0):
        return partial(_gru, weights)
    if kind == "RNN" and plain and own in (("Tanh",), ("Relu",)):
        return partial(_rnn, weights, "tanh" if own == ("Tanh",) else "relu")
    functions = _activations(node)[d * count : (d + 1) * count]
    clip = node.get("clip")
    if clip:
        # As in onnxruntime, it limits the gates' pre-activations, and not the cell state that an LSTM's third gets.
        gates = [partial(_clipped, function, float(clip)) for function in functions[:2]]
        functions = [*gates, *functions[2:]]
    steps: dict[str, Callable[..., Any]] = {"RNN": _rnn_step, "GRU": _gru_step, "LSTM": _lstm_step}
    step = steps[kind]
    return partial(_scanned, step, node, weights, functions)


def _lstm(weights: _Weights, x: Tensor, state: State, lengths: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    h0, c0 = state
    y, h, c, _, _ = lstm(x, h0, c0, *weights[:4], lengths)
    return y, (h, c)


def _gru(weights: _Weights, x: Tensor, state: State, lengths: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    y, h, _, _ = gru(x, state[0], *weights[:4], lengths)
    return y, (h,)


def _rnn(
    weights: _Weights, name: Nonlinearity, x: Tensor, state: State, lengths: Any
) -> tuple[Tensor, tuple[Tensor, ...]]:
    y, h = rnn(x, state[0], *weights[:4], lengths, nonlinearity=name)
    return y, (h,)


# --- what no op computes


def _scanned(
    step: Callable[..., tuple[Tensor, ...]],
    node: Operation,
    weights: _Weights,
    functions: Sequence[Activation],
    x: Tensor,
    state: State,
    lengths: Any,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Runs a direction step by step; padding gives zeros, and does not change the state."""
    hidden = weights.weight_hh.shape[1]
    count = 2 if node.op_type == "LSTM" else 1
    zero = ops.zeros(x.shape[1], hidden, dtype=x.dtype)
    states = tuple([zero if part is None else ops.squeeze(part, 0) for part in state[:count]])
    projected = F.linear(x, weights.weight_ih, weights.bias_ih)

    def body(read: tuple[Tensor, Tensor], held: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        inputs, time = read
        new = step(node, weights, functions, inputs, *held)
        if lengths is None:
            return new[0], new
        valid = ops.unsqueeze(time < lengths, 1)
        kept = tuple([ops.where(valid, after, before) for after, before in zip(new, held, strict=True)])
        return ops.where(valid, new[0], 0.0), kept

    y, last = scan(body, (projected, ops.arange(x.shape[0])), states)
    return y, tuple([ops.unsqueeze(part, 0) for part in last])


def _rnn_step(node: Operation, weights: _Weights, functions: Sequence[Activation], x: Tensor, h: Tensor) -> Any:
    (f,) = functions
    return (f(x + F.linear(h, weights.weight_hh, weights.bias_hh)),)


def _gru_step(node: Operation, weights: _Weights, functions: Sequence[Activation], x: Tensor, h: Tensor) -> Any:
    f, g = functions
    n = h.shape[1]
    x_r, x_z, x_n = ops.split(x, n, 1)
    if node.get("linear_before_reset", 0):
        h_r, h_z, h_n = ops.split(F.linear(h, weights.weight_hh, weights.bias_hh), n, 1)
        new = g(x_n + f(x_r + h_r) * h_n)
    else:
        bias = weights.bias_hh
        h_r, h_z = ops.split(F.linear(h, weights.weight_hh[: 2 * n], None if bias is None else bias[: 2 * n]), n, 1)
        reset = f(x_r + h_r) * h
        new = g(x_n + F.linear(reset, weights.weight_hh[2 * n :], None if bias is None else bias[2 * n :]))
    z = f(x_z + h_z)
    return ((1 - z) * new + z * h,)


def _lstm_step(
    node: Operation, weights: _Weights, functions: Sequence[Activation], x: Tensor, h: Tensor, c: Tensor
) -> Any:
    f, g, k = functions
    n = h.shape[1]
    i, forget, cell, o = ops.split(x + F.linear(h, weights.weight_hh, weights.bias_hh), n, 1)
    p = weights.peepholes
    p_i, p_o, p_f = (None, None, None) if p is None else ops.split(p, n, 0)
    i = f(i if p_i is None else i + p_i * c)
    forget = 1 - i if node.get("input_forget", 0) else f(forget if p_f is None else forget + p_f * c)
    c = forget * c + i * g(cell)
    return f(o if p_o is None else o + p_o * c) * k(c), c


def _clipped(function: Activation, limit: float, x: Tensor) -> Tensor:
    return function(ops.clamp(x, -limit, limit))


# --- activations

_FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[float, ...]]] = {
    "Affine": (lambda x, alpha, beta: alpha * x + beta, (1.0, 0.0)),
    "Elu": (lambda x, alpha: F.elu(x, alpha), (1.0,)),
    "Hardsigmoid": (lambda x, alpha, beta: ops.clamp(alpha * x + beta, 0, 1), (0.2, 0.5)),
    "Leakyrelu": (lambda x, alpha: F.leaky_relu(x, alpha), (0.01,)),
    "Relu": (ops.relu, ()),
    "Scaledtanh": (lambda x, alpha, beta: alpha * ops.tanh(beta * x), (1.0, 1.0)),
    "Sigmoid": (ops.sigmoid, ()),
    "Softplus": (lambda x: F.softplus(x), ()),
    "Softsign": (lambda x: F.softsign(x), ()),
    "Tanh": (ops.tanh, ()),
    "Thresholdedrelu": (lambda x, alpha: ops.where(x > alpha, x, 0.0), (1.0,)),
}
"""The activations of recurrent operators by name, spelt with one capital, and the defaults of their parameters."""


def _activations(node: Operation) -> list[Activation]:
    """Returns the activations of all directions; each takes its parameters from what the others left."""
    alphas: Iterator[float] = iter(node.get("activation_alpha", ()))
    betas: Iterator[float] = iter(node.get("activation_beta", ()))
    found: list[Activation] = []
    for name in node.get("activations", _STANDARD[node.op_type] * len(_directions(node))):
        if name.capitalize() not in _FUNCTIONS:
            raise ModelImportError(f"{node}: there is no activation {name!r}; ONNX has {', '.join(_FUNCTIONS)}")
        function, defaults = _FUNCTIONS[name.capitalize()]
        names = ("alpha", "beta")
        values = [next(source, default) for source, default in zip((alphas, betas), defaults, strict=False)]
        found.append(partial(function, **dict(zip(names, values, strict=False))))
    return found
