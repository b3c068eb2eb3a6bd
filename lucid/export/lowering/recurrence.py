"""Helpers shared by the lowerings of recurrent layers. Letters: T time, N batch, I input, H hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from ...errors import ExportError
from ...tracer.bounds import always
from ...tracer.size import Size
from .builder import Builder

__all__ = [
    "Layer",
    "Layers",
    "at_last",
    "blocks",
    "collected",
    "counting",
    "exchanged",
    "gates_of",
    "in_directions",
    "initial",
    "joined",
    "layer_shape",
    "operator",
    "previous",
    "projected",
    "results_of",
    "reversed_sequence",
    "scan",
    "stacked",
    "start",
    "steps_of",
    "summed",
    "transposed",
    "unsqueezed",
    "zeroed",
]

Step = Callable[[Builder, Sequence[ir.Value], Sequence[ir.Value]], tuple[Sequence[ir.Value], Sequence[ir.Value]]]


class Layer(NamedTuple):
    """The operands of a recurrent layer with G gates.

    Attributes:
        x: (T, N, I).
        h0: (1, N, H); None for zeros.
        weight_ih: (G H, I).
        weight_hh: (G H, H).
        bias_ih, bias_hh: (G H); None in a layer without biases.
        lengths: (N); None if every sequence has T steps.
        c0: (1, N, H); None for zeros, and in a layer without cells.
    """

    x: ir.Value
    h0: ir.Value | None
    weight_ih: ir.Value
    weight_hh: ir.Value
    bias_ih: ir.Value | None
    bias_hh: ir.Value | None
    lengths: ir.Value | None
    c0: ir.Value | None = None


Layers = Sequence[Layer]
"""The directions of a layer: one, or forward and backward. Both have the same x, lengths and number of biases."""


def layer_shape(b: Builder, output: int = 0) -> tuple[Any, Any, int]:
    """Returns T, N and H of the layer being lowered, which are the shape of one of its outputs."""
    assert b.node is not None
    steps, batch, hidden = b.node.outputs[output].shape
    return steps, batch, int(hidden)


# --- layers


def operator(b: Builder, op_type: str, layers: Layers, order: Sequence[int], **attributes: Any) -> Any:
    """Emits one ONNX RNN, LSTM or GRU; returns the output (T, N, D H) and the last states (D, N, H), for D directions.

    Args:
        b: the builder.
        op_type: the operator.
        layers: the operands of each direction.
        order: for each of the operator's gates, the index of the layer's gate.
        attributes: the operator's attributes, except hidden_size and direction.
    """
    first = layers[0]
    dtype, count = b.dtype(first.x), len(layers)
    _, batch, hidden = layer_shape(b)
    weights = (
        stacked(b, [unsqueezed(b, blocks(b, getattr(layer, name), order)) for layer in layers])
        for name in ("weight_ih", "weight_hh")
    )
    biases = [_biases(b, order, dtype, layer.bias_ih, layer.bias_hh) for layer in layers]
    states = [initial(b, layers, name) for name in ("h0", "c0")[: 2 if op_type == "LSTM" else 1]]
    operands = (
        first.x,
        *weights,
        None if biases[0] is None else stacked(b, biases),
        None if first.lengths is None else b.cast(first.lengths, np.int32),
        *states,
    )
    if count > 1:
        attributes = {**attributes, "direction": "bidirectional"}

    def emit(inner: Builder) -> Any:
        return inner.op(op_type, *operands, outputs=1 + len(states), dtype=dtype, hidden_size=hidden, **attributes)

    if op_type == "RNN" or not _may_become_empty(batch):
        y, *last = emit(b)
    else:
        y, *last = _unless_empty(b, first.x, emit, 1 + len(states), count)
    if count == 1:
        return b.op("Squeeze", y, np.array([1])), *last
    # The operator's output has an axis of directions, (T, D, N, H).
    return b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), np.array([0, 0, count * hidden])), *last


def initial(b: Builder, layers: Layers, name: str) -> ir.Value | None:
    """Returns the initial states of all directions, (D, N, H); None for zeros."""
    states = [getattr(layer, name) for layer in layers]
    maker = None if states[0] is None else states[0].producer()
    if maker is not None and maker.op_type == "Split" and list(maker.outputs) == states:
        return maker.inputs[0]
    return None if states[0] is None else stacked(b, states)


def stacked(b: Builder, parts: Sequence[Any]) -> Any:
    """Concatenates the operands of all directions along their first axis."""
    if len(parts) == 1:
        return parts[0]
    arrays = [b.array(part) for part in parts]
    if any(array is None for array in arrays):
        return b.op("Concat", *parts, axis=0)
    return b.const(np.concatenate(arrays), b.label(parts[0]))  # type: ignore[arg-type]


def in_directions(b: Builder, layers: Layers, run: Callable[[Layer], Sequence[ir.Value]]) -> Sequence[ir.Value]:
    """Runs each direction by itself, the second on reversed sequences; returns the results as `operator` does."""
    if len(layers) == 1:
        return run(layers[0])
    ahead, back = layers
    output, *last = run(ahead)
    reverse, *last_back = run(back._replace(x=reversed_sequence(b, back.x, back.lengths)))
    reverse = reversed_sequence(b, reverse, back.lengths)
    states = [b.op("Concat", *pair, axis=0) for pair in zip(last, last_back, strict=True)]
    return b.op("Concat", output, reverse, axis=2), *states


def _may_become_empty(batch: Any) -> bool:
    """Returns whether a batch may be empty though no input is, as after `x[:, 1:]`; a Session handles empty inputs."""
    return batch is None or (isinstance(batch, Size) and always("ge", batch, 1) is not True)


def _unless_empty(b: Builder, x: ir.Value, emit: Callable[[Builder], Any], outputs: int, directions: int) -> Any:
    """Runs an LSTM or a GRU unless its batch is empty: onnxruntime's kernels would end the process."""
    hidden, dtype = layer_shape(b)[2], b.dtype(x)
    shape = b.op("Shape", x, dtype=np.int64)
    steps, batch = (b.op("Gather", shape, np.array([axis]), dtype=np.int64, axis=0) for axis in range(2))
    run, skip = b.subgraph(), b.subgraph()
    tail = b.const(np.array([directions, 0, hidden]))
    sizes = [skip.op("Concat", steps, tail, axis=0), *[tail] * (outputs - 1)]
    zero = ir.tensor(np.zeros(1, dtype))
    none = [skip.op("ConstantOfShape", size, dtype=dtype, value=zero) for size in sizes]
    return b.op(
        "If",
        b.op("Greater", batch, np.array([0]), dtype=np.bool_),
        outputs=outputs,
        dtype=dtype,
        then_branch=run.graph([], emit(run)),
        else_branch=skip.graph([], none),
    )


# --- loops


def scan(
    b: Builder,
    states: Mapping[str, ir.Value],
    inputs: Mapping[str, ir.Value],
    step: Step,
    count: int,
    *,
    reverse: bool = False,
) -> tuple[ir.Value, ...]:
    """Emits a Scan over the first axis of `inputs`, all of rank 3. Returns the last states, then the collected outputs.

    Args:
        states: the initial value of each state, by name, each (N, H).
        inputs: the sequences that are read step by step, by name.
        step: builds the body, given its builder, the states and the inputs of a step; returns the next states and the
            outputs.
        count: the number of outputs.
        reverse: whether time runs backward.
    """
    dtype = b.dtype(next(iter(inputs.values())))
    body = b.subgraph()
    held = [body.argument(name, dtype, 2) for name in states]
    read = [body.argument(name, dtype, 2) for name in inputs]
    following, outputs = step(body, held, read)
    results: list[ir.Value] = []
    for value in (*following, *outputs):
        # Each output of a body must be a distinct value that the body computes.
        results.append(body.op("Identity", value) if value in results or value.producer() is None else value)
    directions: dict[str, Any] = {}
    if reverse:
        directions = {"scan_input_directions": [1] * len(read), "scan_output_directions": [1] * count}
    made = b.op(
        "Scan",
        *states.values(),
        *inputs.values(),
        outputs=len(results),
        dtype=dtype,
        body=body.graph([*held, *read], results),
        num_scan_inputs=len(read),
        **directions,
    )
    return made if isinstance(made, tuple) else (made,)


def start(b: Builder, state: ir.Value | None, dtype: Any, output: int = 0) -> ir.Value:
    """Returns a layer's initial state (N, H), given as (1, N, H) or as None for zeros."""
    if state is not None:
        return b.op("Squeeze", state, np.array([0]))
    _, batch, hidden = layer_shape(b, output)
    zero = ir.tensor(np.zeros(1, dtype))
    return b.op("ConstantOfShape", b.sizes((batch, hidden)), dtype=dtype, value=zero)


def steps_of(b: Builder, sequence: ir.Value) -> list[ir.Value]:
    """Splits a sequence of fixed length into its steps, (1, N, *)."""
    steps, _, _ = layer_shape(b)
    if isinstance(steps, Size):
        raise ExportError(f"the unrolled lowering needs a fixed number of time steps; got {steps}")
    if steps == 1:
        return [sequence]
    return list(b.op("Split", sequence, np.ones(steps, np.int64), outputs=steps, axis=0))


def collected(b: Builder, steps: Sequence[Mapping[str, ir.Value]], names: str) -> dict[str, ir.Value]:
    """Concatenates the values of all steps, for each of some one-letter names."""
    return {
        name: steps[0][name] if len(steps) == 1 else b.op("Concat", *[step[name] for step in steps], axis=0)
        for name in names
    }


def previous(b: Builder, first: ir.Value | None, states: ir.Value) -> ir.Value:
    """Returns the state before each step, (T, N, H)."""
    # For zeros, one Pad that adds a step and removes one would suffice, but not in onnxruntime 1.22 with a single step.
    if first is None:
        later = b.op("Pad", states, np.array([1, 0, 0, 0, 0, 0]))
    else:
        later = b.op("Concat", first, states, axis=0)
    return b.op("Slice", later, np.array([0]), np.array([-1]), np.array([0]))


def exchanged(b: Builder, sequence: ir.Value) -> ir.Value:
    """Swaps the last two axes: (T, N, H) to (T, H, N), or back."""
    result: ir.Value = b.op("Transpose", sequence, dtype=b.dtype(sequence), perm=[0, 2, 1])
    return result


# --- sequences of different length


def counting(b: Builder, lengths: ir.Value) -> ir.Value:
    """Returns the mask of the steps that are not padding: (T, N, 1) bools, True before each sequence's length."""
    steps, _, _ = layer_shape(b)
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    if isinstance(steps, Size):
        times: Any = b.op("Range", zero, b.op("Squeeze", b.size(steps), np.array([0])), one, dtype=np.int64)
    else:
        times = np.arange(steps)
    column = b.op("Unsqueeze", times, np.array([1, 2]))
    return b.op("Less", column, _row(b, lengths), dtype=np.bool_)


def zeroed(b: Builder, x: ir.Value, counts: ir.Value) -> ir.Value:
    """Returns `x` with zeros in the padding."""
    result: ir.Value = b.op("Where", counts, x, np.zeros((), b.dtype(x)), dtype=b.dtype(x))
    return result


def results_of(b: Builder, layer: Layer, counts: ir.Value, *states: ir.Value) -> tuple[ir.Value, ...]:
    """Returns the output, with zeros in the padding, and each state at the last valid step.

    Args:
        b: the builder.
        layer: the layer; it has lengths.
        counts: the mask from `counting`.
        states: the states after each step, the output first.
    """
    assert layer.lengths is not None
    return zeroed(b, states[0], counts), *[at_last(b, state, layer.lengths) for state in states]


def at_last(b: Builder, states: ir.Value, lengths: ir.Value) -> ir.Value:
    """Returns the states at the last valid step, (1, N, H)."""
    _, batch, hidden = layer_shape(b)
    index = b.op("Sub", _row(b, lengths), np.array(1, np.int64))
    index = b.op("Expand", index, b.sizes((1, batch, hidden)))
    return b.op("GatherElements", states, index, axis=0)


def reversed_sequence(b: Builder, x: ir.Value, lengths: ir.Value | None) -> ir.Value:
    """Reverses each sequence in time, within its length; `x` is (T, N, *)."""
    if lengths is None:
        start, stop = np.array([-1]), np.array([np.iinfo(np.int64).min])
        result: ir.Value = b.op("Slice", x, start, stop, np.array([0]), np.array([-1]))
    else:
        result = b.op("ReverseSequence", x, b.cast(lengths, np.int64), time_axis=0, batch_axis=1)
    return result


def _row(b: Builder, lengths: ir.Value) -> ir.Value:
    return b.op("Unsqueeze", b.cast(lengths, np.int64), np.array([0, 2]))


# --- gates


def joined(b: Builder, made: Mapping[str, ir.Value], gates: str) -> ir.Value:
    """Stacks the gates as the op returns them, (T, G, N, H); each is named by a letter."""
    result: ir.Value = b.op("Concat", *[b.op("Unsqueeze", made[gate], np.array([1])) for gate in gates], axis=1)
    return result


def gates_of(b: Builder, gates: ir.Value, count: int) -> list[ir.Value]:
    """Splits the gates as the op returns them, (T, G, N, H), into one value per gate, (T, N, H)."""
    pieces = b.op("Split", gates, np.ones(count, np.int64), outputs=count, axis=1)
    return [b.op("Squeeze", piece, np.array([1])) for piece in pieces]


# --- weights: constants are rearranged at export, others by nodes


def projected(b: Builder, gates: int, x: ir.Value, weight: ir.Value, *parts: ir.Value | None) -> ir.Value:
    """Computes W x_t plus biases for all steps at once, for some number of gates."""
    bias = summed(b, [part for part in parts if part is not None])
    steps, batch, hidden = layer_shape(b)
    if b.array(weight) is None and steps is not None and batch is not None:
        # Gemm transposes a weight that is not constant while reading it, and adds the bias.
        rows = b.op("Gemm", b.op("Flatten", x, axis=2), weight, bias, transB=1)
        # The batch is what is left: a 0 would stand for the size that the axis has already.
        return b.op("Reshape", rows, b.sizes((steps, -1, gates * hidden)))
    result: ir.Value = b.op("MatMul", x, transposed(b, weight))
    return result if bias is None else b.op("Add", result, bias)


def summed(b: Builder, parts: Sequence[ir.Value]) -> ir.Value | None:
    """Returns the sum of biases; None if there are none."""
    arrays = [b.array(part) for part in parts]
    if not parts or any(array is None for array in arrays):
        return b.op("Add", *parts) if len(parts) > 1 else next(iter(parts), None)
    return b.const(sum(arrays), b.label(parts[0]))


def blocks(b: Builder, weight: ir.Value, order: Sequence[int]) -> ir.Value:
    """Reorders the gates in a layer's weight or bias."""
    hidden = layer_shape(b)[2]
    count = len(order)
    if tuple(order) == tuple(range(count)):
        return weight
    if (array := b.array(weight)) is not None:
        return b.const(np.concatenate([np.split(array, count)[i] for i in order]), b.label(weight))
    # Gates that stay adjacent move as one block.
    firsts = [i for i, before in zip(order, (None, *order), strict=False) if before is None or i != before + 1]
    sizes = np.diff([*sorted(firsts), count]) * hidden
    parts = dict(zip(sorted(firsts), b.op("Split", weight, sizes, outputs=len(sizes), axis=0), strict=True))
    return b.op("Concat", *[parts[i] for i in firsts], axis=0)


def _biases(b: Builder, order: Sequence[int], dtype: Any, *parts: ir.Value | None) -> ir.Value | None:
    """Returns the biases as ONNX's recurrent operators take them: b_ih, then b_hh, in one row; None without biases."""
    if all(part is None for part in parts):
        return None
    hidden = layer_shape(b)[2]
    zeros = np.zeros(len(order) * hidden, dtype)
    pieces = [zeros if part is None else blocks(b, part, order) for part in parts]
    arrays = [b.array(piece) for piece in pieces]
    if any(array is None for array in arrays):
        return b.op("Unsqueeze", b.op("Concat", *pieces, axis=0), np.array([0]))
    name = next(b.label(part) for part in parts if part is not None)
    return b.const(np.concatenate(arrays)[None], name)  # type: ignore[arg-type]


def transposed(b: Builder, weight: ir.Value) -> ir.Value:
    """Transposes a matrix."""
    array = b.array(weight)
    if array is not None:
        return b.const(array.T, f"{b.label(weight)}.T")
    return b.op("Transpose", weight, perm=[1, 0])


def unsqueezed(b: Builder, weight: ir.Value) -> ir.Value:
    """Adds a leading axis of size one, ONNX's axis of directions."""
    array = b.array(weight)
    if array is not None:
        return b.const(array[None], b.label(weight))
    return b.op("Unsqueeze", weight, np.array([0]))
