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
from lucid.errors import LucidError, ShapeError

from ..tiers import thinned
from .files import Array, as_tensors, compare, graph, model_of, numbers, ort, port, results

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
T, N, I, H = 6, 3, 4, 5  # noqa: E741 - the field's letters

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
    sizes: tuple[int, int, int, int] = (T, N, I, H),
) -> tuple[onnx.ModelProto, list[Array]]:
    """Returns a model of one recurrent operator, and inputs for it.

    The sizes are the numbers of steps, sequences, features and hidden units.
    """
    steps, batch, features, hidden = sizes
    op_type, options = KINDS[kind]
    options = dict(options)
    count = 2 if direction == "bidirectional" else 1
    peepholes = options.pop("peepholes", 0)
    gates = GATES[op_type]
    options |= activations(op_type, names, count) | {"direction": direction, "hidden_size": hidden}
    options |= ({"clip": clip} if clip else {}) | ({"layout": 1} if layout else {})
    held: dict[str, Array] = {
        "W": numbers(count, gates * hidden, features, seed=1, dtype=dtype) * 0.5,
        "R": numbers(count, gates * hidden, hidden, seed=2, dtype=dtype) * 0.5,
    }
    if bias:
        held["B"] = numbers(count, 2 * gates * hidden, seed=3, dtype=dtype) * 0.5
    if peepholes:
        held["P"] = numbers(count, 3 * hidden, seed=4, dtype=dtype) * 0.5
    shape = ("N", "T") if layout else ("T", "N")
    inputs, given = (
        [port("x", (*shape, features), dtype)],
        [numbers(*((batch, steps) if layout else (steps, batch)), features, seed=5, dtype=dtype)],
    )
    if lengths:
        inputs.append(port("lengths", ("N",), "int32"))
        given.append(np.arange(steps, steps - batch, -1).clip(1).astype(np.int32))
    for name in ("h0", "c0")[: initial * (2 if op_type == "LSTM" else 1)]:
        inputs.append(port(name, ("N", count, hidden) if layout else (count, "N", hidden), dtype))
        given.append(numbers(*((batch, count) if layout else (count, batch)), hidden, seed=len(given) + 6, dtype=dtype))
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
    ("kind", "direction", "bias", "lengths", "initial", "names", "clip", "layout"), thinned(grid(), 31, 8, sample=3)
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


CASES = [(kind, direction) for kind in KINDS for direction in ("forward", "reverse", "bidirectional")]


@pytest.mark.parametrize("weights", ["inputs", "computed"])
@pytest.mark.parametrize(("kind", "direction"), thinned(CASES, 7, 2))
def test_weights_that_are_no_constants(kind: str, direction: str, weights: str) -> None:
    model, inputs = recurrent(kind, direction, lengths=True, initial=True, weights=weights)
    compare(lucid.from_onnx(model), model, *inputs)


@pytest.mark.parametrize(("kind", "direction"), thinned(CASES, 8, 2, sample=5))
def test_gradients(kind: str, direction: str) -> None:
    model, inputs = recurrent(
        kind, direction, lengths=True, initial=True, weights="inputs", dtype="float64", sizes=(3, 2, 2, 2)
    )
    for lengths in ([2, 3], [3, 0]):
        inputs[1] = np.array(lengths, np.int32)
        given = [x.requires_grad_(x.dtype.kind == "f") for x in as_tensors(inputs)]
        assert lucid.autograd.gradcheck(lucid.from_onnx(model), given)


@pytest.mark.parametrize(
    ("kind", "names"),
    thinned([(kind, names) for kind in KINDS for names in ("relu", "custom", "differing")], 18, 2, sample=6),
)
def test_gradients_with_other_activations(kind: str, names: str) -> None:
    model, inputs = recurrent(
        kind,
        "bidirectional",
        initial=True,
        names=names,
        clip=0.8,
        weights="inputs",
        dtype="float64",
        sizes=(3, 1, 2, 2),
    )
    given = [x.requires_grad_() for x in as_tensors(inputs)]
    assert lucid.autograd.gradcheck(lucid.from_onnx(model), given)


@pytest.mark.parametrize(
    "layer", [nn.RNN(I, H, bidirectional=True), nn.GRU(I, H, bidirectional=True), nn.LSTM(I, H, bidirectional=True)]
)
def test_gradients_are_those_of_the_layer(layer: Any) -> None:
    x = lucid.randn(T, N, I)
    imported = lucid.from_onnx(lucid.export.to_onnx(layer, x, lowering="rnn").proto)
    for model in (layer, imported):
        model.zero_grad()
        y, *_ = model(x)
        (y * y).sum().backward()
    wanted = dict(layer.named_parameters())
    found = dict(imported.named_parameters())
    assert found.keys() == wanted.keys()
    for name, parameter in found.items():
        if "weight" in name:
            np.testing.assert_array_equal(parameter.numpy(force=True), wanted[name].numpy(force=True))
        np.testing.assert_allclose(parameter.grad.numpy(), wanted[name].grad.numpy(), 1e-5, 1e-5, err_msg=name)


@pytest.mark.parametrize(("kind", "direction"), thinned(CASES, 5, 2))
def test_lengths_of_zero_and_out_of_range(kind: str, direction: str) -> None:
    model, inputs = recurrent(kind, direction, lengths=True, initial=True)
    imported = lucid.from_onnx(model)
    inputs[1] = np.array([4, 0, T], np.int32)
    compare(imported, model, *inputs)
    for wrong in ([4, T + 1, 1], [-1, 2, 3]):
        inputs[1] = np.array(wrong, np.int32)
        with pytest.raises(ShapeError, match=r"'layer': sequence_lens must be from 0 to 6; got \["):
            imported(*as_tensors(inputs))
    inputs[1] = np.array([4, 1], np.int32)
    with pytest.raises(ShapeError, match="N is 2 in lengths, and 3 in x"):
        imported(*as_tensors(inputs))
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "other"
    with pytest.raises(ShapeError, match="'layer': sequence_lens must have a length for each of 3 sequences"):
        lucid.from_onnx(model)(*as_tensors(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_nan(kind: str) -> None:
    """onnxruntime's LSTM, GRU and RNN with relu make numbers of NaN; the oracle is the run without it."""
    model, inputs = recurrent(kind, initial=True)
    wanted = ort(model, *inputs)
    inputs[0][2, 1, 0] = np.nan
    found = results(lucid.from_onnx(model), inputs)
    reached = np.zeros((T, 1, N, 1), bool)
    reached[2:, :, 1] = True
    np.testing.assert_allclose(found[0], np.where(reached, np.nan, wanted[0]), 1e-5, 1e-5)
    for last, want in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(last, np.where(reached[-1], np.nan, want), 1e-5, 1e-5)


@pytest.mark.parametrize("lowering", ["auto", "scan"])
@pytest.mark.parametrize(("kind", "direction"), thinned(CASES, 20, 2, sample=5))
def test_out_again(kind: str, direction: str, lowering: Any) -> None:
    model, inputs = recurrent(kind, direction, lengths=True, initial=True)
    again = lucid.export.to_onnx(lucid.from_onnx(model), *as_tensors(inputs), lowering=lowering).proto
    assert all(axis.dim_param for axis in again.graph.input[0].type.tensor_type.shape.dim[:2])
    for batch, steps, lengths in ((1, 9, [9]), (4, 2, [2, 0, 1, 2])):
        count = inputs[2].shape[0]
        others = [numbers(steps, batch, I, seed=11), np.array(lengths, np.int32)]
        others += [numbers(count, batch, H, seed=12 + i) for i in range(len(inputs) - 2)]
        for found, want in zip(ort(again, *others), ort(model, *others), strict=True):
            np.testing.assert_allclose(found, want, 1e-5, 1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "sideways"}, "direction must be one of forward, reverse, bidirectional; got 'sideways'"),
        ({"activations": ["Sigmoid", "Cube", "Tanh"]}, "there is no activation 'Cube'; ONNX has Affine, Elu"),
        ({"activations": ["Sigmoid", "Tanh"]}, "it has 2 activations, and takes 3"),
        ({"hidden_size": H + 1}, "hidden_size is 6, and its weights are for 5 units"),
    ],
)
def test_what_an_operator_cannot_be(changes: dict[str, Any], message: str) -> None:
    model, inputs = recurrent("lstm")
    node = model.graph.node[0]
    for name, value in changes.items():
        for attribute in [a for a in node.attribute if a.name == name]:
            node.attribute.remove(attribute)
        node.attribute.append(helper.make_attribute(name, value))
    with pytest.raises(LucidError, match=message):
        lucid.from_onnx(model)(*as_tensors(inputs))


LAYERS = [
    nn.RNN(I, H, 2, bidirectional=True),
    nn.RNN(I, H, nonlinearity="relu"),
    nn.GRU(I, H, 2),
    nn.LSTM(I, H, bidirectional=True),
    nn.LSTM(I, H, proj_size=3),
]


@pytest.mark.slow
@pytest.mark.parametrize("lowering", ["rnn", "scan", "unrolled", "columns"])
@pytest.mark.parametrize("layer", LAYERS)
def test_what_lucid_wrote_comes_back(layer: Any, lowering: Any) -> None:
    """With the same results, axes and names of axes, twice."""
    x = lucid.randn(T, N, I)
    exported = lucid.export.to_onnx(layer, x, lowering=lowering)
    for _ in range(2):
        imported = lucid.from_onnx(exported.proto)
        for found, want in zip(results(imported, [x.numpy()]), flat(layer(x)), strict=True):
            np.testing.assert_allclose(found, want.numpy(force=True), 1e-5, 1e-5)
        again = lucid.export.to_onnx(imported, x, lowering="scan")
        assert again.axes == exported.axes
        exported = again


def flat(found: Any) -> list[Any]:
    """Returns the outputs of a layer, one after another."""
    return [y for part in found for y in (flat(part) if isinstance(part, tuple) else [part])]


def test_sequences_without_steps_are_refused() -> None:
    model, inputs = recurrent("lstm")
    with pytest.raises(ShapeError, match="'layer': the sequences must have at least one step"):
        lucid.from_onnx(model)(lucid.tensor(inputs[0][:0]))
