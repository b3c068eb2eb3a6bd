"""Lowerings of the recurrent ops. Letters: T time, N batch, I input, H hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ...errors import ExportError
from ...tracer.symbolic import Size
from ..builder import Builder
from .registry import lowers

_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}


@lowers("rnn")
def _(
    b: Builder,
    x: ir.Value,
    h0: ir.Value | None,
    weight_ih: ir.Value,
    weight_hh: ir.Value,
    bias_ih: ir.Value | None,
    bias_hh: ir.Value | None,
    lengths: ir.Value | None,
    nonlinearity: str,
) -> Any:
    strategy = {"rnn": _operator, "unrolled": _unrolled, "scan": _scan}[b.strategy_of(b.node)]
    return strategy(b, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, _ACTIVATIONS[nonlinearity])


def _operator(
    b: Builder,
    x: Any,
    h0: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    lengths: Any,
    activation: str,
) -> Any:
    """One ONNX RNN. Its output has a direction axis, (T, 1, N, H), which is squeezed out."""
    dtype = b.dtype(x)
    bias = None
    if bias_ih is not None or bias_hh is not None:
        zeros = np.zeros(_hidden(b), dtype)
        parts = [zeros if part is None else part for part in (bias_ih, bias_hh)]
        bias = _stacked(b, parts)
    sequence_lens = None if lengths is None else b.cast(lengths, np.int32)
    # onnxruntime takes the names of activations in this spelling alone, though the checker takes any.
    y, h_n = b.op(
        "RNN",
        x,
        _unsqueezed(b, weight_ih),
        _unsqueezed(b, weight_hh),
        bias,
        sequence_lens,
        h0,
        outputs=2,
        dtype=dtype,
        hidden_size=_hidden(b),
        activations=[activation],
    )
    return b.op("Squeeze", y, np.array([1])), h_n


def _unrolled(
    b: Builder,
    x: Any,
    h0: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    lengths: Any,
    activation: str,
) -> Any:
    """MatMul, Add and the activation for each step. States stay (1, N, H), so nothing needs to be squeezed."""
    assert b.node is not None
    steps = b.node.outputs[0].shape[0]
    if isinstance(steps, Size):
        raise ExportError(f"rnn: the unrolled lowering needs a fixed number of time steps; got {steps}")
    projected = _projected(b, x, weight_ih, bias_ih, bias_hh)
    recurrent = _transposed(b, weight_hh)
    inputs = [projected]
    if steps > 1:
        inputs = list(b.op("Split", projected, np.ones(steps, np.int64), outputs=steps, axis=0))
    state = h0
    states = []
    for step in inputs:
        total = step if state is None else b.op("Add", b.op("MatMul", state, recurrent), step)
        state = b.op(activation, total)
        states.append(state)
    output = states[0] if steps == 1 else b.op("Concat", *states, axis=0)
    return _masked(b, output, state, lengths)


def _scan(
    b: Builder,
    x: Any,
    h0: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    lengths: Any,
    activation: str,
) -> Any:
    """One MatMul for the input projection of all steps, then a Scan over Gemm and the activation."""
    assert b.node is not None
    dtype = b.dtype(x)
    _, batch, hidden = b.node.outputs[0].shape
    projected = _projected(b, x, weight_ih, bias_ih, bias_hh)
    if h0 is None:
        zero = ir.tensor(np.zeros(1, dtype))
        first = b.op("ConstantOfShape", b.sizes((batch, hidden)), dtype=dtype, value=zero)
    else:
        first = b.op("Squeeze", h0, np.array([0]))
    recurrent = _transposed(b, weight_hh)
    body = b.subgraph()
    h, step = body.argument("h", dtype, 2), body.argument("x", dtype, 2)
    state = body.op(activation, body.op("Gemm", h, recurrent, step))
    graph = body.graph([h, step], [state, body.op("Identity", state)])
    last, output = b.op("Scan", first, projected, outputs=2, dtype=dtype, body=graph, num_scan_inputs=1)
    return _masked(b, output, b.op("Unsqueeze", last, np.array([0])), lengths)


@lowers("rnn_backward")
def _(b: Builder, incoming: ir.Value, slope: ir.Value, weight: ir.Value, reverse: bool) -> Any:
    assert b.node is not None
    dtype = b.dtype(incoming)
    _, batch, hidden = b.node.outputs[0].shape
    zero = ir.tensor(np.zeros(1, dtype))
    first = b.op("ConstantOfShape", b.sizes((batch, hidden)), dtype=dtype, value=zero)
    body = b.subgraph()
    z, g, s = (body.argument(name, dtype, 2) for name in ("z", "g", "slope"))
    state = body.op("Mul", body.op("Gemm", z, weight, g), s)
    graph = body.graph([z, g, s], [state, body.op("Identity", state)])
    direction = int(reverse)
    _, output = b.op(
        "Scan",
        first,
        incoming,
        slope,
        outputs=2,
        dtype=dtype,
        body=graph,
        num_scan_inputs=2,
        scan_input_directions=[direction, direction],
        scan_output_directions=[direction],
    )
    return output


def _masked(b: Builder, output: Any, last: Any, lengths: Any) -> Any:
    """Zeros from each sequence's length on, and as last state the one at the last step that counts."""
    if lengths is None:
        return output, last
    assert b.node is not None
    steps, batch, hidden = b.node.outputs[0].shape
    lengths = b.cast(lengths, np.int64)
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    count = b.op("Squeeze", b.size(steps), np.array([0])) if isinstance(steps, Size) else np.array(steps, np.int64)
    times = np.arange(steps) if not isinstance(steps, Size) else b.op("Range", zero, count, one, dtype=np.int64)
    column = b.op("Unsqueeze", times, np.array([1, 2]))
    row = b.op("Unsqueeze", lengths, np.array([0, 2]))
    counts = b.op("Less", column, row, dtype=np.bool_)
    masked = b.op("Where", counts, output, np.zeros((), b.dtype(output)), dtype=b.dtype(output))
    index = b.op("Expand", b.op("Sub", row, one), b.sizes((1, batch, hidden)))
    return masked, b.op("GatherElements", output, index, axis=0)


def _hidden(b: Builder) -> int:
    assert b.node is not None
    return int(b.node.outputs[0].shape[2])


def _projected(b: Builder, x: Any, weight_ih: Any, bias_ih: Any, bias_hh: Any) -> Any:
    """W_ih x_t + b_ih + b_hh for all steps at once."""
    projected = b.op("MatMul", x, _transposed(b, weight_ih))
    if bias_ih is None and bias_hh is None:
        return projected
    if bias_ih is None or bias_hh is None:
        return b.op("Add", projected, bias_hh if bias_ih is None else bias_ih)
    first, second = b.array(bias_ih), b.array(bias_hh)
    if first is None or second is None:
        return b.op("Add", projected, b.op("Add", bias_ih, bias_hh))
    return b.op("Add", projected, b.const(first + second, bias_ih.name))


def _transposed(b: Builder, weight: Any) -> Any:
    array = b.array(weight)
    return b.op("Transpose", weight, perm=[1, 0]) if array is None else b.const(array.T, f"{weight.name}.T")


def _unsqueezed(b: Builder, weight: Any) -> Any:
    array = b.array(weight)
    return b.op("Unsqueeze", weight, np.array([0])) if array is None else b.const(array[None], weight.name)


def _stacked(b: Builder, biases: list[Any]) -> Any:
    arrays = [b.array(bias) for bias in biases]
    if all(array is not None for array in arrays):
        named = next(bias for bias in biases if isinstance(bias, ir.Value))
        return b.const(np.concatenate(arrays)[None], named.name)  # type: ignore[arg-type]
    return b.op("Unsqueeze", b.op("Concat", *biases, axis=0), np.array([0]))
