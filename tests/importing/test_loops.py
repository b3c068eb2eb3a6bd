"""Loops that count, of imported graphs, compute what onnxruntime computes, and others are refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from onnx import TensorProto, helper

import lucid
from lucid.errors import ModelImportError

from ..tiers import thinned
from .files import around, as_tensors, check, compare, graph, loop_body, numbers, port

node = helper.make_node

GATHERED = [
    node("Identity", ["go"], ["going"]),
    node("Gather", ["xs", "i"], ["x"], axis=0),
    node("Add", ["h", "x"], ["s"]),
    node("Tanh", ["s"], ["h_next"]),
    node("Identity", ["h_next"], ["y"]),
]

LENGTH = [node("Shape", ["xs"], ["shape"]), node("Gather", ["shape", "zero"], ["length"], axis=0)]


@pytest.mark.parametrize("condition", ["", "yes"])
def test_loop_over_the_steps_of_a_sequence(condition: str) -> None:
    """As torch.jit.script writes ``for t in range(x.size(0))``."""
    body = loop_body(GATHERED, ["h"], ["h_next", "y"])
    model = around(
        [*LENGTH, node("Loop", ["length", condition, "h0"], ["last", "ys"], "loop", body=body)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("last", (None,)), port("ys", (None, None))],
        {"zero": 0, "yes": np.array(True)},
    )
    check(model, *[(numbers(n), numbers(t, n)) for t, n in ((4, 2), (1, 3), (6, 1))], free=2)


def test_loop_with_constant_trips() -> None:
    body = loop_body(
        [
            node("Identity", ["always"], ["going"]),
            node("MatMul", ["h", "w"], ["p"]),
            node("Tanh", ["p"], ["h_next"]),
        ],
        ["h"],
        ["h_next"],
        {"always": np.array(True)},
    )
    model = around(
        [node("Loop", ["three", "", "h0"], ["last"], "loop", body=body)],
        [port("h0", ("N", 4))],
        [port("last", (None, 4))],
        {"w": numbers(4, 4), "three": 3},
    )
    imported = check(model, *[(numbers(n, 4),) for n in (2, 1, 5)], free=1)
    assert len([*imported.parameters()]) == 1


RELATIONS = ["Less", "LessOrEqual", "Greater", "GreaterOrEqual"]


@pytest.mark.parametrize(("relation", "step", "bounded"), thinned(product(RELATIONS, (1, 2, 3), (False, True)), 9, 3))
def test_loop_that_counts(relation: str, step: int, bounded: bool) -> None:
    """As tf2onnx writes a while loop: the condition compares a counter with a limit around the body."""
    compared = ["k_next", "length"] if relation.startswith("Less") else ["length", "k_next"]
    body = graph(
        [
            node("Add", ["k", "step"], ["k_next"]),
            node(relation, compared, ["going"]),
            node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
            node("Add", ["h", "kf"], ["h1"]),
            node("Sin", ["h1"], ["h_next"]),
            node("Identity", ["h_next"], ["y"]),
        ],
        [port("i", (), "int64"), port("go", (), "bool"), port("k", (), "int64"), port("h", None)],
        [port("going", (), "bool"), port("k_next", (), "int64"), port("h_next", None), port("y", None)],
        {"step": step},
    )
    model = around(
        [*LENGTH, node("Loop", ["five" if bounded else "", "", "zero", "h0"], ["k1", "last", "ys"], "loop", body=body)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("k1", (), "int64"), port("last", (None,)), port("ys", (None, None))],
        {"zero": 0, "five": 5},
    )
    check(model, *[(numbers(n), numbers(t, n)) for t, n in ((4, 2), (1, 3), (7, 1), (12, 2))], free=1)


def test_loop_whose_counter_falls() -> None:
    body = graph(
        [
            node("Sub", ["k", "one"], ["k_next"]),
            node("Greater", ["k_next", "zero"], ["going"]),
            node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
            node("Mul", ["h", "kf"], ["h1"]),
            node("Cos", ["h1"], ["h_next"]),
        ],
        [port("i", (), "int64"), port("go", (), "bool"), port("k", (), "int64"), port("h", None)],
        [port("going", (), "bool"), port("k_next", (), "int64"), port("h_next", None)],
        {"one": 1},
    )
    model = around(
        [*LENGTH, node("Loop", ["", "", "length", "h0"], ["k1", "last"], "loop", body=body)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("k1", (), "int64"), port("last", (None,))],
        {"zero": 0},
    )
    check(model, *[(numbers(n), numbers(t, n)) for t, n in ((4, 2), (1, 3), (7, 1))], free=1)


def test_loop_with_two_bounds() -> None:
    body = graph(
        [
            node("Add", ["k", "one"], ["k_next"]),
            node("Less", ["k_next", "length"], ["a"]),
            node("Less", ["k_next", "four"], ["b"]),
            node("And", ["a", "b"], ["going"]),
            node("Gather", ["xs", "k"], ["x"]),
            node("Add", ["h", "x"], ["h1"]),
            node("Tanh", ["h1"], ["h_next"]),
        ],
        [port("i", (), "int64"), port("go", (), "bool"), port("k", (), "int64"), port("h", None)],
        [port("going", (), "bool"), port("k_next", (), "int64"), port("h_next", None)],
        {"one": 1},
    )
    model = around(
        [*LENGTH, node("Loop", ["", "", "zero", "h0"], ["k1", "last"], "loop", body=body)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("k1", (), "int64"), port("last", (None,))],
        {"zero": 0, "four": 4},
    )
    imported = lucid.from_onnx(model)
    for t, n in ((3, 2), (1, 3), (7, 1), (4, 2)):
        compare(imported, model, numbers(n), numbers(t, n))


@pytest.mark.parametrize("reason", ["no trips", "false at once"])
def test_loop_that_makes_no_trip(reason: str) -> None:
    body = loop_body([node("Identity", ["go"], ["going"]), node("Add", ["h", "h"], ["h_next"])], ["h"], ["h_next"])
    given = ["none", ""] if reason == "no trips" else ["", "no"]
    model = around(
        [node("Loop", [*given, "h0"], ["last"], "loop", body=body)],
        [port("h0", ("N",))],
        [port("last", (None,))],
        {"none": 0, "no": np.array(False)},
    )
    check(model, *[(numbers(n),) for n in (2, 1, 5)], free=1)


def test_loop_that_makes_no_trip_and_collects() -> None:
    body = loop_body(GATHERED, ["h"], ["h_next", "y"])
    model = around(
        [node("Loop", ["none", "", "h0"], ["last", "ys"], "loop", body=body)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("last", (None,)), port("ys", (None, None))],
        {"none": 0},
    )
    with pytest.raises(ModelImportError, match="Loop 'loop' makes no trip, so what it collects would be empty"):
        lucid.from_onnx(model)(*as_tensors([numbers(2), numbers(3, 2)]))


def test_loop_in_a_loop() -> None:
    """The inner loop reads a state and the step of the outer one."""
    inner = graph(
        [
            node("Identity", ["go2"], ["going2"]),
            node("Add", ["a", "x"], ["a1"]),
            node("Mul", ["a1", "h"], ["a2"]),
            node("Sin", ["a2"], ["a_next"]),
        ],
        [port("j", (), "int64"), port("go2", (), "bool"), port("a", None)],
        [port("going2", (), "bool"), port("a_next", None)],
    )
    outer = loop_body(
        [
            node("Identity", ["go"], ["going"]),
            node("Gather", ["xs", "i"], ["x"], axis=0),
            node("Loop", ["two", "", "x"], ["inner"], "inner", body=inner),
            node("Tanh", ["inner"], ["h_next"]),
            node("Identity", ["h_next"], ["y"]),
        ],
        ["h"],
        ["h_next", "y"],
    )
    model = around(
        [*LENGTH, node("Loop", ["length", "", "h0"], ["last", "ys"], "outer", body=outer)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("last", (None,)), port("ys", (None, None))],
        {"zero": 0, "two": 2},
    )
    check(model, *[(numbers(n), numbers(t, n)) for t, n in ((4, 2), (1, 3), (6, 1))], free=2)


def test_loop_whose_end_depends_on_values_is_refused() -> None:
    body = loop_body(
        [
            node("Add", ["h", "h"], ["h_next"]),
            node("ReduceMax", ["h_next"], ["most"], keepdims=0),
            node("Less", ["most", "limit"], ["going"]),
        ],
        ["h"],
        ["h_next"],
    )
    model = around(
        [node("Loop", ["", "", "h0"], ["last"], "doubling", body=body)],
        [port("h0", ("N",))],
        [port("last", (None,))],
        {"limit": np.float32(10)},
    )
    with pytest.raises(ModelImportError, match="Loop 'doubling': when it ends depends on values that it computes"):
        lucid.from_onnx(model)


def test_loop_without_an_end_is_refused() -> None:
    body = loop_body([node("Identity", ["go"], ["going"]), node("Add", ["h", "h"], ["h_next"])], ["h"], ["h_next"])
    model = around(
        [node("Loop", ["", "", "h0"], ["last"], "endless", body=body)], [port("h0", ("N",))], [port("last", (None,))]
    )
    with pytest.raises(ModelImportError, match="Loop 'endless' has no end"):
        lucid.from_onnx(model)(lucid.ones(2))
