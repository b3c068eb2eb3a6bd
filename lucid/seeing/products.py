"""Multiply-adds: how many the nodes of a graph compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from ..tracer.node import Node

__all__ = ["multiply_adds"]

Shape = tuple[int, ...]


def multiply_adds(nodes: Iterable[Node]) -> int:
    """Returns the multiply-adds of the matrix products, convolutions and recurrent ops among nodes.

    Padding counts as well as what it pads, and the product with an initial state of zeros as well as the others.
    Elementwise arithmetic, sums and lookups count as none.
    """
    return sum(map(_of, nodes))


def _of(node: Node) -> int:
    name = node.op.name
    if name == "scan":
        steps = node.inputs[node.attrs["states"]].shape[0]
        return int(steps) * multiply_adds(node.attrs["body"].nodes)
    if name not in _RULES:
        return 0
    # An operand that is a number or absent has no shape.
    shapes = {key: getattr(operand, "shape", ()) for key, operand in zip(node.op.inputs, node.inputs, strict=False)}
    return int(_RULES[name](node.outputs[0].shape, shapes))


def _product(out: Shape, shapes: Mapping[str, Shape]) -> int:
    return math.prod(out) * shapes["x"][-1]


def _gradient_of_weight(out: Shape, shapes: Mapping[str, Shape]) -> int:
    return math.prod(shapes["dz"]) * out[-1]


def _convolution(out: Shape, shapes: Mapping[str, Shape]) -> int:
    return math.prod(out) * math.prod(shapes["weight"][1:])


def _recurrent(out: Shape, shapes: Mapping[str, Shape]) -> int:
    return math.prod(shapes["x"][:-1]) * (math.prod(shapes["weight_ih"]) + math.prod(shapes["weight_hh"]))


def _recurrent_gradient(out: Shape, shapes: Mapping[str, Shape]) -> int:
    # One product with the recurrent weight for each step of each sequence; these are the first operand's axes.
    return math.prod(next(iter(shapes.values()))[:-1]) * math.prod(shapes["weight"])


_RULES: dict[str, Callable[[Shape, Mapping[str, Shape]], int]] = {
    **dict.fromkeys(("matmul", "linear"), _product),
    **dict.fromkeys(("weight_gradient", "recurrent_weight_gradient"), _gradient_of_weight),
    "convolved": _convolution,
    **dict.fromkeys(("rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell"), _recurrent),
    **dict.fromkeys(
        ("rnn_backward", "lstm_backward", "lstm_tangent", "gru_backward", "gru_tangent"), _recurrent_gradient
    ),
}
"""For each op that computes products, by its name, the multiply-adds from the shapes of its result and its operands."""
