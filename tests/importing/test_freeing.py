"""Axes that a file fixed: freed where no constant stands for their size, refused with the node where one may."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest
from onnx import TensorProto, numpy_helper

import lucid
from lucid.errors import ModelImportError
from lucid.importing.lockstep import _aligned
from tests.tiers import sampled

RNG = np.random.default_rng(3)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def file(nodes: list[Any], constants: dict[str, Any], shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> bytes:
    """Returns a file from nodes: x of a fixed shape goes in, y comes out."""
    graph = oh.make_graph(
        nodes,
        "g",
        [oh.make_tensor_value_info("x", dtype, shape)],
        [oh.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def layer(hidden: int, batch: int, state: Any) -> tuple[list[Any], dict[str, Any]]:
    """Returns a GRU as PyTorch's exporters write one for fixed sizes."""
    weights = {"w": floats(1, 3 * hidden, 4), "r": floats(1, 3 * hidden, hidden), "b": floats(1, 6 * hidden)}
    nodes = [
        oh.make_node("GRU", ["x", "w", "r", "b", "", "h0"], ["s", "last"], hidden_size=hidden, linear_before_reset=1),
        oh.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3]),
    ]
    return nodes, {**weights, "h0": state}


@pytest.mark.parametrize(("hidden", "sizes"), [(5, (7, 3)), (7, (7, 3)), (3, (3, 3)), (2, (2, 2)), (4, (6, 1))])
@pytest.mark.parametrize("state", ["zeros", "rows"])
def test_shapes_and_initial_states_follow_the_new_sizes(hidden, sizes, state):
    steps, batch = sizes
    row = floats(1, 1, hidden) if state == "rows" else np.zeros((1, 1, hidden), np.float32)
    nodes, constants = layer(hidden, batch, np.repeat(row, batch, 1))
    constants["shape"] = ints(steps, batch, hidden)
    data = file([*nodes, oh.make_node("Reshape", ["t", "shape"], ["y"])], constants, (steps, batch, 4))
    fixed = lucid.from_onnx(data)
    free = lucid.from_onnx(data, dynamic={"x": {0: "time", 1: "batch"}})
    x = floats(steps, batch, 4)
    np.testing.assert_allclose(free(x).detach().numpy(), fixed(x).detach().numpy(), rtol=1e-6)
    # The rows of a batch do not mix, and a sequence begins as its beginning does.
    more = floats(steps + 2, 3 * batch, 4)
    whole = free(more).detach().numpy()
    assert whole.shape == (steps + 2, 3 * batch, hidden)
    for start in range(0, 3 * batch, batch):
        part = fixed(more[:steps, start : start + batch].copy())
        np.testing.assert_allclose(whole[:steps, start : start + batch], part.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_initial_states_that_differ_are_refused():
    nodes, constants = layer(5, 3, floats(1, 3, 5))
    data = file([*nodes, oh.make_node("Identity", ["t"], ["y"])], constants, (7, 3, 4))
    with pytest.raises(ModelImportError, match=r"'h0' is a constant that differs.*dynamic_axes="):
        lucid.from_onnx(data, dynamic={"x": {1: "batch"}})
    lucid.from_onnx(data, dynamic={"x": {0: "time"}})


def test_constant_lengths_of_whole_sequences_are_dropped_and_others_refused():
    nodes, constants = layer(5, 3, np.zeros((1, 3, 5), np.float32))
    nodes[0].input[4] = "lengths"
    nodes = [*nodes, oh.make_node("Identity", ["t"], ["y"])]
    whole = file(nodes, {**constants, "lengths": np.full(3, 7, np.int32)}, (7, 3, 4))
    x = floats(9, 3, 4)
    got = lucid.from_onnx(whole, dynamic={"x": {0: "time"}})(x).detach().numpy()
    plain = file([*layer(5, 3, None)[0], nodes[-1]], constants, (9, 3, 4))
    np.testing.assert_array_equal(got, lucid.from_onnx(plain)(x).detach().numpy())
    some = file(nodes, {**constants, "lengths": np.array([7, 5, 7], np.int32)}, (7, 3, 4))
    with pytest.raises(ModelImportError, match="the lengths of its sequences are constants"):
        lucid.from_onnx(some, dynamic={"x": {0: "time"}})


def test_an_axis_that_vanishes_is_refused():
    data = file([oh.make_node("Squeeze", ["x"], ["y"])], {}, (7, 1, 4))
    with pytest.raises(ModelImportError, match="Squeeze"):
        lucid.from_onnx(data, dynamic={"x": {1: "batch"}})


def one(op: str, *constants: Any, **attributes: Any) -> tuple[list[Any], dict[str, Any]]:
    names = [f"c{i}" for i in range(len(constants))]
    return [oh.make_node(op, ["x", *names], ["y"], **attributes)], dict(zip(names, constants, strict=True))


def mean() -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        oh.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
        oh.make_node("Div", ["sum", "n"], ["y"]),
    ]
    return nodes, {"axes": ints(0), "n": np.array(7, np.float32)}


def trips() -> tuple[list[Any], dict[str, Any]]:
    """Shape arithmetic: the number of steps less seven."""
    nodes = [
        oh.make_node("Shape", ["x"], ["shape"]),
        oh.make_node("Gather", ["shape", "first"], ["n"], axis=0),
        oh.make_node("Sub", ["n", "seven"], ["rest"]),
        oh.make_node("Cast", ["rest"], ["float"], to=TensorProto.FLOAT),
        oh.make_node("Add", ["x", "float"], ["y"]),
    ]
    return nodes, {"first": ints(0), "seven": ints(7)}


REFUSED = [
    (one("Gather", np.array(6), axis=0), "Gather.*index 6 may stand for the last of 7"),
    (one("Gather", ints(*range(7))[::-1].copy(), axis=0), "index 6"),
    (one("Slice", ints(6), ints(7), ints(0)), "Slice.*bound 6"),
    (one("Slice", ints(0), ints(7), ints(0)), "Slice.*bound 7"),
    (one("Slice", ints(1), ints(6), ints(0)), "Slice.*bound 6"),
    (one("Add", floats(7, 1, 4)), "Add.*'c0' has elements along"),
    (
        one("Mul", np.tril(np.ones((7, 1, 1), np.float32) * np.arange(7, dtype="f4")[:, None, None])),
        "'c0' has elements",
    ),
    (one("Reshape", ints(3, 7, 4)), r"Reshape.*\(7, 3, 4\) to \(3, 7, 4\).*not clear"),
    (one("Tile", ints(1, 1, 7)), "Tile.*constant 7 in its shape"),
    (one("Compress", np.arange(7) > 2, axis=0), "Compress.*constant"),
    (one("ReverseSequence", ints(7, 7, 7), time_axis=0, batch_axis=1), "ReverseSequence.*constant"),
    (one("GatherElements", np.full((1, 3, 4), 6), axis=0), "GatherElements.*constant 6 in its indices"),
    (one("TopK", ints(7), axis=0), "TopK.*constant 7"),
    (one("Split", ints(3, 4), axis=0), "Split.*constant 7"),
    (mean(), "Div.*scales a sum .* constant 7"),
    (trips(), "Sub.*constant 7 in its arithmetic on sizes"),
]


@pytest.mark.parametrize(("graph", "reason"), REFUSED)
def test_what_may_stand_for_the_size_is_refused_with_its_node(graph, reason):
    nodes, constants = graph
    outputs = ["y", "i"] if nodes[-1].op_type in ("TopK", "Split") else ["y"]
    if len(outputs) > 1:
        del nodes[-1].output[:]
        nodes[-1].output.extend(outputs)
    data = file(nodes, constants, (7, 3, 4))
    with pytest.raises(ModelImportError, match=reason) as refused:
        lucid.from_onnx(data, dynamic={"x": {0: "time"}})
    assert "cannot free axis 0 of x (time)" in str(refused.value)


ALLOWED = [
    (one("Gather", np.array(-1), axis=0), lambda x: x[-1]),
    (one("Gather", np.array(2), axis=0), lambda x: x[2]),
    (one("Slice", ints(1), ints(2**63 - 1), ints(0)), lambda x: x[1:]),
    (one("Slice", ints(0), ints(-1), ints(0)), lambda x: x[:-1]),
    (one("Add", np.ones((7, 1, 4), np.float32)), lambda x: x + 1),
    (one("Reshape", ints(7, 21)), lambda x: x.reshape(x.shape[0], 21)),
    (one("Reshape", ints(21, 7)), lambda x: x.reshape(-1, 7)),
    (one("Reshape", ints(7, -1)), lambda x: x.reshape(x.shape[0], 21)),
    (one("Reshape", ints(0, 21)), lambda x: x.reshape(x.shape[0], 21)),
    (one("ReduceMean", ints(0), keepdims=0), lambda x: x.mean(0)),
]


@pytest.mark.parametrize(("graph", "want"), ALLOWED)
def test_what_cannot_stand_for_the_size_is_freed(graph, want):
    """Here the features number 7, too, by chance."""
    model = lucid.from_onnx(
        file(*graph, (7, 3, 7) if graph[0][0].op_type == "Reshape" else (7, 3, 4)), dynamic={"x": {0: "time"}}
    )
    for steps in (7, 4, 11):
        x = floats(steps, 3, 7 if graph[0][0].op_type == "Reshape" else 4)
        np.testing.assert_allclose(model(x).detach().numpy(), want(x), rtol=1e-6)


def test_alignment_of_shapes():
    assert _aligned((7, 3, 1, 8), (7, 3, 8), [0, 1]) == ((0,), (1,), 8)
    assert _aligned((7, 3, 2, 8), (7, 3, 16), [0, 1]) == ((0,), (1,), 16)
    assert _aligned((7, 3, 8), (21, 8), [0, 1]) == ((0, 1), 8)
    assert _aligned((7, 3, 8), (21, 2, 4), [0]) == ((0, 1), 2, 4)
    assert _aligned((21, 8), (7, 3, 8), [0]) is None
    assert _aligned((3, 3, 8), (3, 3, 8), [1]) == (3, (1,), 8)


def test_wrong_names_are_value_errors():
    data = file(*one("Add", floats(1)), (7, 3, 4))
    with pytest.raises(ValueError, match="dynamic names 'z'; the inputs are x"):
        lucid.from_onnx(data, dynamic={"z": {0: "time"}})
    with pytest.raises(ValueError, match="axis 5 of 'x', which has 3 axes"):
        lucid.from_onnx(data, dynamic={"x": {5: "time"}})


EXPORTS = [
    (kind, options, dynamo, batch)
    for batch in (3, 1)
    for options in ({}, {"batch_first": True}, {"bidirectional": True})
    for kind in ("RNN", "LSTM", "GRU")
    for dynamo in (True, False)
]


@pytest.mark.parametrize("case", sampled(EXPORTS, 12))
def test_what_pytorch_exports_with_fixed_sizes(torch, case):
    kind, options, dynamo, batch = case

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(5, 8, 2, **options)
            self.head = torch.nn.Linear(8 * (1 + self.rnn.bidirectional), 3)

        def forward(self, x):
            output, last = self.rnn(x)
            return self.head(output), last if kind != "LSTM" else last[1]

    def sized(steps, batch):
        return torch.randn(batch, steps, 5) if options.get("batch_first") else torch.randn(steps, batch, 5)

    theirs, buffer = Model().eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(theirs, (sized(7, batch),), dynamo=True, verbose=False).save(buffer)
        else:
            torch.onnx.export(theirs, (sized(7, batch),), buffer, dynamo=False)
    ours = lucid.from_onnx(buffer.getvalue())
    roles = ours.axis_roles()
    if dynamo and kind == "RNN":  # a node for each step: there is no layer that reads time
        assert not roles
        axis = 0 if options.get("batch_first") else 1
        ours.free({(ours.input_names[0], axis): "batch"})
        sizes = [(7, 5), (7, 1)]
    else:
        assert sorted(roles.values()) == ["batch", "time"]
        ours.free(roles)
        sizes = [(7, batch), (4, 6), (1, 1), (11, 2)]
    for steps, n in sizes:
        x = sized(steps, n)
        for got, want in zip(ours(x.numpy()), theirs(x), strict=True):
            np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-4, atol=1e-6)
