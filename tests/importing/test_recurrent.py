"""ONNX's recurrent operators, with all their options, compute what onnxruntime computes, and have its gradients."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import lucid
from lucid import nn

from ..tiers import thinned
from .files import Array, as_tensors, compare, graph, model_of, numbers, ort, port, results

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
T, N, I, H = 6, 3, 4, 5

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "gru": ("GRU", {"linear_before_reset": 0}),
    "gru after": ("GRU", {"linear_before_reset": 1}),
    "lstm": ("LSTM", {}),
    "peepholes": ("LSTM", {"peepholes": 1}),
    "coupled": ("LSTM", {"input_forget": 1}),
}

# For the three activations of an LSTM, of which a GRU has the first two and an RNN the second.
ACTIVATIONS: dict[str, list[tuple[str, float | None, float | None]]] = {
    "default": [],
    "relu": [("Sigmoid", None, None), ("Relu", None, None), ("Relu", None, None)],
    "custom": [("HardSigmoid", 0.25, 0.4), ("ScaledTanh", 0.9, 1.1), ("LeakyRelu", 0.2, None)],
}
OTHER = [("Sigmoid", None, None), ("Elu", 0.7, None), ("Softsign", None, None)]


def activations(kind: str, names: str, count: int) -> dict[str, Any]:
    """Returns the attributes of activations; "differing" ones are others in the second direction."""
    if names == "default":
        return {}
    first = ACTIVATIONS["custom" if names == "differing" else names]
    both = [first, OTHER if names == "differing" else first][:count]
    own = {"RNN": slice(1, 2), "GRU": slice(0, 2), "LSTM": slice(0, 3)}[kind]
    rows = [row for each in both for row in each[own]]
    found: dict[str, Any] = {"activations": [row[0] for row in rows]}
    # Each activation takes the parameters that it has from the lists, in turn.
    alphas, betas = ([row[i] for row in rows if row[i] is not None] for i in (1, 2))
    return found | ({"activation_alpha": alphas} if alphas else {}) | ({"activation_beta": betas} if betas else {})


def recurrent(
    kind: str,
    direction: str = "forward",
    bias: bool = True,
    lengths: bool = False,
    initial: bool = False,
    names: str = "default",
    clip: float = 0.0,
    layout: int = 0,
    weights: str = "constant",
    dtype: str = "float32",
) -> tuple[onnx.ModelProto, list[Array]]:
    """Returns a model of one recurrent operator, and inputs for it."""
    op_type, options = KINDS[kind]
    options = dict(options)
    count = 2 if direction == "bidirectional" else 1
    peepholes = options.pop("peepholes", 0)
    gates = GATES[op_type]
    options |= activations(op_type, names, count) | {"direction": direction, "hidden_size": H}
    options |= ({"clip": clip} if clip else {}) | ({"layout": 1} if layout else {})
    held: dict[str, Array] = {
        "W": numbers(count, gates * H, I, seed=1, dtype=dtype) * 0.5,
        "R": numbers(count, gates * H, H, seed=2, dtype=dtype) * 0.5,
    }
    if bias:
        held["B"] = numbers(count, 2 * gates * H, seed=3, dtype=dtype) * 0.5
    if peepholes:
        held["P"] = numbers(count, 3 * H, seed=4, dtype=dtype) * 0.5
    shape = ("N", "T") if layout else ("T", "N")
    inputs, given = [port("x", (*shape, I), dtype)], [numbers(*((N, T) if layout else (T, N)), I, seed=5, dtype=dtype)]
    if lengths:
        inputs.append(port("lengths", ("N",), "int32"))
        given.append(np.array([4, T, 1], np.int32))
    for name in ("h0", "c0")[: initial * (2 if op_type == "LSTM" else 1)]:
        inputs.append(port(name, ("N", count, H) if layout else (count, "N", H), dtype))
        given.append(numbers(*((N, count) if layout else (count, N)), H, seed=len(given) + 6, dtype=dtype))
    wanted = ["x", "W", "R", "B" if bias else "", "lengths" if lengths else ""]
    wanted += ["h0" if initial else "", "c0" if initial and op_type == "LSTM" else "", "P" if peepholes else ""]
    while not wanted[-1]:
        wanted.pop()
    nodes = []
    if weights == "inputs":
        inputs += [port(name, value.shape, dtype) for name, value in held.items()]
        given += held.values()
        held = {}
    elif weights == "computed":
        scale = port("scale", (), dtype)
        inputs, given = [*inputs, scale], [*given, np.array(0.8, dtype)]
        nodes += [helper.make_node("Mul", [f"{name}_whole", "scale"], [name]) for name in held]
        held = {f"{name}_whole": value for name, value in held.items()}
    outputs = ["y", "h", "c"][: 3 if op_type == "LSTM" else 2]
    nodes.append(helper.make_node(op_type, wanted, outputs, "layer", **options))
    ports = [port(name, [None] * (4 if name == "y" else 3), dtype) for name in outputs]
    return model_of(graph(nodes, inputs, ports, held)), given


def grid() -> list[tuple[str, str, bool, bool, bool, str, float, int]]:
    """Returns the cases: all combinations, with a clip in each third, and the batch first in each fifth."""
    found = []
    for kind, direction, bias, lengths, initial in product(
        KINDS, ("forward", "reverse", "bidirectional"), (True, False), (True, False), (True, False)
    ):
        for names in (*ACTIVATIONS, *(["differing"] if direction == "bidirectional" else [])):
            i = len(found)
            found.append((kind, direction, bias, lengths, initial, names, 0.8 * (i % 3 == 1), int(i % 5 == 3)))
    return found


@pytest.mark.parametrize(
    ("kind", "direction", "bias", "lengths", "initial", "names", "clip", "layout"), thinned(grid(), 13, 8)
)
def test_all_options(
    kind: str, direction: str, bias: bool, lengths: bool, initial: bool, names: str, clip: float, layout: int
) -> None:
    model, inputs = recurrent(kind, direction, bias, lengths, initial, names, clip, layout)
    found = results(lucid.from_onnx(model), inputs)
    if layout:  # onnxruntime has no kernel for it
        turned, others = recurrent(kind, direction, bias, lengths, initial, names, clip)
        others = [x if x.ndim < 3 else np.swapaxes(x, 0, 1) for x in inputs]
        y, *states = ort(turned, *others)
        wanted = [y.transpose(2, 0, 1, 3), *(np.swapaxes(state, 0, 1) for state in states)]
    else:
        wanted = ort(model, *inputs)
    for each, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(each, want, 1e-5, 1e-5)
