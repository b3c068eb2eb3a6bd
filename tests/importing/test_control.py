"""Scan, If and weights in bodies: imported graphs compute what onnxruntime computes, and can be exported again."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import lucid
from lucid.errors import LucidError

from ..tiers import thinned
from .files import around, as_tensors, check, compare, graph, loop_body, model_of, numbers, ort, port, results

node = helper.make_node


# --- Scan


def leaky(weight: str = "w") -> onnx.GraphProto:
    """A step h' = tanh(W x + h), y = h' h', whose weight is a value around it."""
    return graph(
        [
            node("MatMul", ["x", weight], ["p"]),
            node("Add", ["p", "h"], ["s"]),
            node("Tanh", ["s"], ["h_next"]),
            node("Mul", ["h_next", "h_next"], ["y"]),
        ],
        [port("h", None), port("x", None)],
        [port("h_next", None), port("y", None)],
    )


@pytest.mark.parametrize(
    "options",
    thinned(
        [
            {},
            {"scan_input_directions": [1]},
            {"scan_output_directions": [1]},
            {"scan_input_directions": [1], "scan_output_directions": [1]},
            {"scan_input_axes": [1]},
            {"scan_input_axes": [-2], "scan_output_axes": [-1]},
            {"scan_input_axes": [1], "scan_output_axes": [2], "scan_output_directions": [1]},
        ],
        3,
    ),
)
def test_scan(options: dict[str, Any]) -> None:
    first = options.get("scan_input_axes", [0])[0] == 0
    axes = ("T", "N", 3) if first else ("N", "T", 3)
    model = around(
        [node("Scan", ["h0", "xs"], ["last", "ys"], body=leaky(), num_scan_inputs=1, **options)],
        [port("h0", ("N", 4)), port("xs", axes)],
        [port("last", (None, 4)), port("ys", (None, None, None))],
        {"w": numbers(3, 4)},
    )
    runs = [(numbers(n, 4), numbers(*((t, n) if first else (n, t)), 3)) for t, n in ((5, 2), (1, 1), (7, 3))]
    imported = check(model, *runs, free=2)
    assert [name for name, _ in imported.named_parameters()] == ["weight" if not hasattr(imported, "w") else "w"]


def test_scan_of_several_sequences_with_several_states() -> None:
    body = graph(
        [
            node("Add", ["a", "x"], ["a_next"]),
            node("Mul", ["b", "y"], ["b_next"]),
            node("Sub", ["a_next", "b_next"], ["d"]),
            node("Identity", ["x"], ["same"]),
        ],
        [port("a", None), port("b", None), port("x", None), port("y", None)],
        [port("a_next", None), port("b_next", None), port("d", None), port("same", None)],
    )
    model = around(
        [
            node(
                "Scan",
                ["a0", "b0", "xs", "ys"],
                ["a1", "b1", "ds", "xs_back"],
                body=body,
                num_scan_inputs=2,
                scan_input_axes=[1, 0],
                scan_input_directions=[0, 1],
                scan_output_axes=[0, -1],
                scan_output_directions=[0, 1],
            )
        ],
        [port("a0", ("N",)), port("b0", ("N",)), port("xs", ("N", "T")), port("ys", ("T", "N"))],
        [port("a1", (None,)), port("b1", (None,)), port("ds", (None, None)), port("xs_back", (None, None))],
    )
    runs = [(numbers(n), numbers(n, seed=1), numbers(n, t), numbers(t, n)) for t, n in ((4, 3), (1, 2), (6, 1))]
    check(model, *runs, free=2)


def test_scan_without_states() -> None:
    body = graph([node("MatMul", ["x", "w"], ["y"])], [port("x", None)], [port("y", None)])
    model = around(
        [node("Scan", ["xs"], ["ys"], body=body, num_scan_inputs=1)],
        [port("xs", ("T", "N", 3))],
        [port("ys", (None, None, 2))],
        {"w": numbers(3, 2)},
    )
    check(model, *[(numbers(t, n, 3),) for t, n in ((4, 2), (1, 3), (6, 1))], free=2)


def test_scan_without_outputs() -> None:
    body = graph(
        [node("Add", ["h", "x"], ["s"]), node("Tanh", ["s"], ["h1"])],
        [port("h", None), port("x", None)],
        [port("h1", None)],
    )
    model = around(
        [node("Scan", ["h0", "xs"], ["last"], body=body, num_scan_inputs=1)],
        [port("h0", ("N",)), port("xs", ("T", "N"))],
        [port("last", (None,))],
    )
    check(model, *[(numbers(n), numbers(t, n)) for t, n in ((4, 2), (1, 3), (6, 1))], free=2)


def test_scan_in_a_scan() -> None:
    """The inner one scans the features of a step, and reads a value of the outer step and a weight around both."""
    inner = graph(
        [node("Mul", ["f", "v"], ["p"]), node("Mul", ["p", "total"], ["q"]), node("Add", ["acc", "q"], ["acc_next"])],
        [port("acc", None), port("f", None)],
        [port("acc_next", None)],
    )
    outer = graph(
        [
            node("ReduceSum", ["x"], ["total"], keepdims=0),
            node("Scan", ["h", "x"], ["h_inner"], body=inner, num_scan_inputs=1),
            node("Tanh", ["h_inner"], ["h_next"]),
            node("Neg", ["h_next"], ["y"]),
        ],
        [port("h", None), port("x", None)],
        [port("h_next", None), port("y", None)],
    )
    model = around(
        [node("Scan", ["h0", "xs"], ["last", "ys"], body=outer, num_scan_inputs=1)],
        [port("h0", (3,)), port("xs", ("T", "F"))],
        [port("last", (3,)), port("ys", (None, 3))],
        {"v": numbers(3)},
    )
    check(model, *[(numbers(3), numbers(t, f)) for t, f in ((4, 2), (1, 3), (6, 1))], free=2)


# --- If


def branch(op_type: str, *inputs: str, constants: Any = None) -> onnx.GraphProto:
    return graph([node(op_type, list(inputs), [f"out_{op_type}"])], [], [port(f"out_{op_type}", None)], constants)


@pytest.mark.parametrize("which", [True, False])
def test_if_on_a_constant(which: bool) -> None:
    made = node("If", ["which"], ["y"], then_branch=branch("Exp", "x"), else_branch=branch("Neg", "x"))
    model = around([made], [port("x", ("N",))], [port("y", (None,))], {"which": np.array(which)})
    imported = check(model, *[(numbers(n),) for n in (2, 1, 5)], free=1)
    assert imported.operators == {"Exp" if which else "Neg": 1}


def test_if_on_a_size() -> None:
    model = around(
        [
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "zero"], ["length"]),
            node("Greater", ["length", "three"], ["long"]),
            node("If", ["long"], ["y"], then_branch=branch("Exp", "x"), else_branch=branch("Neg", "x")),
        ],
        [port("x", ("N", "K"))],
        [port("y", (None, None))],
        {"zero": 0, "three": 3},
    )
    imported = lucid.from_onnx(model)
    for n in (2, 3, 4, 7):
        compare(imported, model, numbers(n, 2))
    exported = lucid.export.to_onnx(imported, lucid.ones(5, 2))
    assert [axis.dim_value for axis in exported.proto.graph.input[0].type.tensor_type.shape.dim] == [5, 0]


def test_if_on_a_value() -> None:
    model = around(
        [
            node("ReduceSum", ["x"], ["total"], keepdims=0),
            node("Greater", ["total", "zero"], ["positive"]),
            node("If", ["positive"], ["y"], "choice", then_branch=branch("Exp", "x"), else_branch=branch("Neg", "x")),
        ],
        [port("x", ("N",))],
        [port("y", (None,))],
        {"zero": np.float32(0)},
    )
    imported = lucid.from_onnx(model)
    for x in (np.ones(3, "f4"), -np.ones(3, "f4")):
        compare(imported, model, x)
    with pytest.raises(LucidError, match="decides what the function does"):
        lucid.export.to_onnx(imported, lucid.ones(3))


def test_an_argument_that_is_no_tensor_decides() -> None:
    """As a sampling rate that is an input, and that an If compares."""
    model = around(
        [
            node("Equal", ["rate", "wide"], ["is_wide"]),
            node("If", ["is_wide"], ["y"], then_branch=branch("Exp", "x"), else_branch=branch("Neg", "x")),
        ],
        [port("x", ("N",)), port("rate", (), "int64")],
        [port("y", (None,))],
        {"wide": 16000},
    )
    imported = lucid.from_onnx(model)
    for rate in (16000, 8000):
        x = numbers(3)
        (want,) = ort(model, x, np.array(rate))
        np.testing.assert_allclose(imported(lucid.tensor(x), rate).numpy(), want, 1e-6)
        np.testing.assert_allclose(imported(lucid.tensor(x), np.array(rate)).numpy(), want, 1e-6)
        again = lucid.export.to_onnx(lambda x, rate=rate: imported(x, rate), lucid.tensor(x)).proto
        np.testing.assert_allclose(ort(again, numbers(5))[0], ort(model, numbers(5), np.array(rate))[0], 1e-6)


# --- weights in bodies and functions


def test_weights_in_bodies_are_parameters() -> None:
    """They are in an If whose condition is a size, in a Loop, and in a Scan, and each is trained."""
    step = graph(
        [node("MatMul", ["h", "inner.w"], ["p"]), node("Add", ["p", "x"], ["s"]), node("Tanh", ["s"], ["h1"])],
        [port("h", None), port("x", None)],
        [port("h1", None)],
        {"inner.w": numbers(3, 3)},
    )
    trip = loop_body(
        [
            node("Identity", ["go"], ["going"]),
            node("MatMul", ["z", "trip.w"], ["q"]),
            node("Sigmoid", ["q"], ["z_next"]),
        ],
        ["z"],
        ["z_next"],
        {"trip.w": numbers(3, 3, seed=1)},
    )
    taken = branch("MatMul", "looped", "taken.w", constants={"taken.w": numbers(3, 2, seed=2)})
    other = branch("Gemm", "looped", "other.w", constants={"other.w": numbers(3, 2, seed=3)})
    model = around(
        [
            node("Scan", ["h0", "xs"], ["last"], body=step, num_scan_inputs=1),
            node("Loop", ["two", "", "last"], ["looped"], body=trip),
            node("Shape", ["xs"], ["shape"]),
            node("Gather", ["shape", "zero"], ["length"]),
            node("Greater", ["length", "three"], ["long"]),
            node("If", ["long"], ["y"], then_branch=taken, else_branch=other),
        ],
        [port("h0", ("N", 3)), port("xs", ("T", "N", 3))],
        [port("y", (None, 2))],
        {"two": 2, "zero": 0, "three": 3},
    )
    imported = lucid.from_onnx(model)
    runs = [(numbers(2, 3), numbers(t, 2, 3)) for t in (2, 5)]
    for run in runs:
        compare(imported, model, *run)
    names = {name for name, _ in imported.named_parameters()}
    assert names == {"inner.w", "trip.w", "taken.w", "other.w"}
    (imported(*as_tensors(runs[0])) + imported(*as_tensors(runs[1]))).sum().backward()
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in imported.parameters())


def test_functions_of_the_model() -> None:
    """A function with an attribute is called twice, once in the body of a Scan; weights are arguments."""
    function = helper.make_function(
        "own",
        "Layer",
        ["x", "w"],
        ["y"],
        [node("MatMul", ["x", "w"], ["p"]), node("LeakyRelu", ["p"], ["y"])],
        [helper.make_opsetid("", 17)],
        ["alpha"],
    )
    reference = function.node[1].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "alpha", "alpha", onnx.AttributeProto.FLOAT
    step = graph(
        [node("Add", ["h", "x"], ["s"]), node("Layer", ["s", "b"], ["h1"], domain="own", alpha=0.3)],
        [port("h", None), port("x", None)],
        [port("h1", None)],
    )
    main = graph(
        [
            node("Layer", ["xs", "a"], ["zs"], domain="own", alpha=0.1),
            node("Scan", ["h0", "zs"], ["last"], body=step, num_scan_inputs=1),
        ],
        [port("h0", ("N", 3)), port("xs", ("T", "N", 2))],
        [port("last", (None, 3))],
        {"a": numbers(2, 3), "b": numbers(3, 3)},
    )
    imported = check(
        model_of(main, functions=[function]),
        *[(numbers(n, 3), numbers(t, n, 2)) for t, n in ((4, 2), (1, 3), (6, 1))],
        free=2,
    )
    assert {name for name, _ in imported.named_parameters()} == {"a", "b"}
    assert results(imported, (numbers(1, 3), numbers(2, 1, 2)))[0].shape == (1, 3)
