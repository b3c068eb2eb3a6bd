"""Lists of tensors, and tensors that grow in a Loop, in imported graphs compute what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import lucid
from lucid.errors import LucidError, ModelImportError

from .files import Array, around, as_tensors, check, loop_body, numbers, port, results

node = helper.make_node


def model(nodes: list[onnx.NodeProto], rank: int = 2, constants: dict[str, Any] | None = None) -> onnx.ModelProto:
    """A model from x, (N, T), to y."""
    return around(nodes, [port("x", ("N", "T"))], [port("y", (None,) * rank)], constants)


RUNS = [(numbers(3, 6),), (numbers(1, 6),), (numbers(4, 6),)]

CASES: dict[str, tuple[list[onnx.NodeProto], int]] = {
    "one row": ([node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=0), node("SequenceAt", ["s", "k"], ["y"])], 1),
    "one row, kept": ([node("SplitToSequence", ["x"], ["s"], axis=1), node("SequenceAt", ["s", "k"], ["y"])], 2),
    "a row from the end": (
        [node("SplitToSequence", ["x"], ["s"], axis=-1, keepdims=0), node("SequenceAt", ["s", "last"], ["y"])],
        1,
    ),
    "equal pieces": ([node("SplitToSequence", ["x", "four"], ["s"], axis=1), node("SequenceAt", ["s", "k"], ["y"])], 2),
    "pieces": ([node("SplitToSequence", ["x", "cuts"], ["s"], axis=1), node("SequenceAt", ["s", "k"], ["y"])], 2),
    "joined again": (
        [node("SplitToSequence", ["x"], ["s"], axis=1), node("ConcatFromSequence", ["s"], ["y"], axis=0)],
        2,
    ),
    "joined along a new axis": (
        [
            node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=0),
            node("ConcatFromSequence", ["s"], ["y"], axis=-1, new_axis=1),
        ],
        2,
    ),
    "put together": (
        [
            node("Tanh", ["x"], ["h"]),
            node("SequenceConstruct", ["x", "h", "x"], ["s"]),
            node("SequenceErase", ["s", "zero"], ["t"]),
            node("SequenceInsert", ["t", "h", "zero"], ["u"]),
            node("SequenceInsert", ["u", "x"], ["v"]),
            node("ConcatFromSequence", ["v"], ["y"], axis=1),
        ],
        2,
    ),
    "grown from nothing": (
        [
            node("SequenceEmpty", [], ["e"]),
            node("Tanh", ["x"], ["h"]),
            node("SequenceInsert", ["e", "x"], ["s"]),
            node("SequenceInsert", ["s", "h", "zero"], ["t"]),
            node("SequenceErase", ["t"], ["u"]),
            node("ConcatFromSequence", ["u"], ["y"], axis=0, new_axis=1),
        ],
        3,
    ),
    "the length": (
        [
            node("SplitToSequence", ["x"], ["s"], axis=0),
            node("SequenceLength", ["s"], ["n"]),
            node("Cast", ["n"], ["f"], to=1),
            node("Div", ["x", "f"], ["y"]),
        ],
        2,
    ),
}
CONSTANTS = {"k": 1, "last": -1, "zero": 0, "four": 4, "cuts": np.array([1, 2, 3])}


@pytest.mark.parametrize("name", CASES)
def test_lists(name: str) -> None:
    nodes, rank = CASES[name]
    read = {given for each in nodes for given in each.input}
    check(model(nodes, rank, {k: v for k, v in CONSTANTS.items() if k in read}), *RUNS, free=1)


def test_a_position_that_an_input_gives() -> None:
    """A row of a tensor is found by any number; an element of a list only by a constant."""
    inputs = [port("x", ("N", "T")), port("k", (), "int64")]
    nodes = [node("SplitToSequence", ["x"], ["s"], axis=1), node("SequenceAt", ["s", "k"], ["y"])]
    found = lucid.from_onnx(around(nodes, inputs, [port("y", (None, None))]))
    x = numbers(3, 6)
    for k in (0, 4, -1):
        (y,) = results(found, (x, np.array(k)))
        np.testing.assert_array_equal(y, np.take(x, [k], 1))
    nodes[0] = node("SequenceConstruct", ["x", "x"], ["s"])
    refused = lucid.from_onnx(around(nodes, inputs, [port("y", (None, None))]))
    with pytest.raises(ModelImportError, match="a position in a list must be a constant"):
        refused(*as_tensors((x, np.array(0))))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("SequenceConstruct", ["x"], ["s"]), node("SequenceAt", ["s", "k"], ["y"], "pick")], "no position 1"),
        ([node("SequenceEmpty", [], ["s"]), node("ConcatFromSequence", ["s"], ["y"], "join", axis=0)], "an empty list"),
    ],
)
def test_places_that_are_not_there(nodes: list[onnx.NodeProto], message: str) -> None:
    read = {given for each in nodes for given in each.input}
    with pytest.raises(LucidError, match=message):
        lucid.from_onnx(model(nodes, 2, {"k": 1} if "k" in read else {}))(lucid.ones(2, 6))


# --- loops

STEP = [
    node("Identity", ["go"], ["going"]),
    node("Gather", ["xs", "i"], ["x"], axis=0),
    node("Add", ["h", "x"], ["s"]),
    node("Tanh", ["s"], ["h_next"]),
    node("Unsqueeze", ["h_next", "place"], ["row"]),
    node("Concat", ["grown", "row"], ["grown_next"], axis=0),
]
LENGTH = [node("Shape", ["xs"], ["shape"]), node("Gather", ["shape", "zero"], ["length"], axis=0)]


def growing(body: list[onnx.NodeProto], axis: int = 0) -> onnx.ModelProto:
    """As torch.jit.script writes ``grown = torch.cat([grown, h.unsqueeze(0)])``."""
    inner = loop_body(body, ["h", "grown"], ["h_next", "grown_next"], {"place": np.array([axis])})
    return around(
        [*LENGTH, node("Loop", ["length", "", "h0", "g0"], ["last", "ys"], "loop", body=inner)],
        [port("h0", ("N",)), port("xs", ("T", "N")), port("g0", ("G", "N") if axis == 0 else ("N", "G"))],
        [port("last", (None,)), port("ys", (None, None))],
        {"zero": 0},
    )


def runs(axis: int, *sizes: tuple[int, int, int]) -> list[tuple[Array, ...]]:
    return [(numbers(n), numbers(t, n), numbers(*((g, n) if axis == 0 else (n, g)))) for t, n, g in sizes]


def test_a_tensor_that_grows() -> None:
    check(growing(STEP), *runs(0, (4, 2, 3), (1, 3, 1), (6, 1, 2)), free=2)


def test_a_tensor_that_grows_along_another_axis() -> None:
    body = [*STEP[:-1], node("Concat", ["grown", "row"], ["grown_next"], axis=1)]
    check(growing(body, 1), *runs(1, (4, 2, 3), (1, 3, 1), (6, 1, 2)), free=2)


def test_a_tensor_that_grows_and_is_read_on_the_way_is_refused() -> None:
    body = [*STEP[:-1], node("ReduceSum", ["grown"], ["more"], keepdims=0)]
    body += [node("Add", ["row", "more"], ["added"]), node("Concat", ["grown", "added"], ["grown_next"], axis=0)]
    with pytest.raises(LucidError):
        lucid.from_onnx(growing(body))(*as_tensors(runs(0, (4, 2, 3))[0]))
