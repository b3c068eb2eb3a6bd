"""Multiply-adds: how many the nodes of a graph compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from ..tracer.node import Node

__all__ = ["products"]

Shape = tuple[int, ...]


def products(
    nodes: Iterable[Node], scopes: tuple[str, ...] = (), times: int = 1
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yields the multiply-adds of each matrix product, convolution and recurrent op, and the scopes that it is in.

    There are several scopes in the step of a scan: those of the scan and of the node. Padding counts as well as what it
    pads, and the product with an initial state of zeros as well as the others. Elementwise arithmetic, sums and lookups
    count as none.

    Args:
        nodes: the nodes of a graph.
        scopes: the scopes around the graph.
        times: how often the graph runs.
    """
    for node in nodes:
        around = (*scopes, node.scope)
        if node.op.name == "scan":
            steps = int(node.inputs[node.attrs["states"]].shape[0])
            yield from products(node.attrs["body"].nodes, around, times * steps)
        elif node.op.name in _RULES:
            # An operand that is a number or absent has no shape.
            operands = zip(node.op.inputs, node.inputs, strict=False)
            shapes = {name: getattr(operand, "shape", ()) for name, operand in operands}
            yield around, times * int(_RULES[node.op.name](node.outputs[0].shape, shapes))


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
