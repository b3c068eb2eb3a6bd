"""Finds the two directions of bidirectional layers, and lowers each pair to one operator.

In a graph, a bidirectional layer is two layers of one direction: the second reads the reversed sequence, and its output
is reversed back. Letters: T time, N batch, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...tracer.graph import Graph
from ...tracer.node import Node, Value
from .builder import Builder
from .gru import gru_operator
from .lstm import lstm_operator
from .recurrence import Layer, reversed_sequence
from .registry import lowers
from .rnn import rnn_operator

__all__ = ["Pair", "find_pairs", "lowered_pair"]

_STATES = {"rnn": 1, "gru": 1, "lstm": 2}


class Pair(NamedTuple):
    """The two directions of a layer.

    Attributes:
        ahead: the node that runs forward.
        back: the node that runs on the reversed sequence.
        results: the values that the operator returns: the joined output (T, N, 2H), and each last state (2, N, H), or
            None where nothing reads it.
        nodes: the other nodes that the operator stands for.
    """

    ahead: Node
    back: Node
    results: tuple[Value | None, ...]
    nodes: tuple[Node, ...]


def find_pairs(graph: Graph, strategies: Mapping[Node, str]) -> list[Pair]:
    """Finds the pairs of nodes that one operator can compute: what they return is read by nothing but their joints."""
    readers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            if type(value) is Value:
                readers.setdefault(value, []).append(node)
    held = {*graph.outputs.values(), *(value for value, _ in graph.measured.values())}
    only = {value: nodes[0] for value, nodes in readers.items() if len(nodes) == 1 and value not in held}
    whole = [node for node in graph.nodes if strategies.get(node) == "rnn"]
    found = (_pair(back, whole, only, {*readers, *held}) for back in whole)
    return [pair for pair in found if pair is not None]


def _pair(back: Node, whole: list[Node], only: Mapping[Value, Node], read: set[Value]) -> Pair | None:
    """Returns the pair that a node is the second direction of, if it is of one.

    Args:
        back: the node.
        whole: the nodes that become operators.
        only: for each value that one node alone reads, that node.
        read: the values that some node or output reads.
    """
    turned = only.get(back.value(0))
    joint = None if turned is None else only.get(turned.value(0))
    ahead = None if joint is None else _node(joint.inputs[0])
    if turned is None or ahead is None or ahead not in whole or not _are_alike(ahead, back, turned):
        return None
    count = 1 + _STATES[ahead.op.name]
    if any(node.value(i) in read for node in (ahead, back) for i in range(count, len(node.outputs))):
        return None
    parts = [(ahead.value(0), turned.value(0)), *((ahead.value(i), back.value(i)) for i in range(1, count))]
    joints = [only.get(first) for first, _ in parts]
    for i, (joint, (first, second)) in enumerate(zip(joints, parts, strict=True)):
        unread = joint is None and first not in read and second not in read
        if not unread and not (joint is not None and _joins(joint, first, second, 0 if i else -1)):
            return None
    results = tuple([None if joint is None else joint.value(0) for joint in joints])
    return Pair(ahead, back, results, (turned, *(joint for joint in joints if joint is not None)))


def _are_alike(ahead: Node, back: Node, turned: Node) -> bool:
    """Returns whether two layers differ in direction, states and weights alone, and the second's output is reversed."""
    source = _node(back.inputs[0])
    if source is None or not source.op.name == turned.op.name == "reverse_sequence":
        return False
    same = ahead.op is back.op and ahead.attrs == back.attrs and ahead.inputs[0] is source.inputs[0]
    lengths = {ahead.inputs[-1], back.inputs[-1], source.inputs[1], turned.inputs[1]}
    given = [(a is None, b is None) for a, b in zip(ahead.inputs, back.inputs, strict=False)]
    return same and len(lengths) == 1 and all(a == b for a, b in given)


def _joins(node: Node, first: Value, second: Value, dim: int) -> bool:
    """Returns whether a node concatenates these values, of three axes, along that axis."""
    return node.op.name == "concat" and node.inputs == (first, second) and node.attrs["dim"] % 3 == dim % 3


def _node(value: Any) -> Node | None:
    return value.node if type(value) is Value else None


def lowered_pair(b: Builder, pair: Pair, ahead: list[Any], back: list[Any]) -> Any:
    """Emits the operator for a pair, from the operands of both nodes; returns its results."""
    b.node = pair.ahead
    both = ahead, [ahead[0], *back[1:]]
    if pair.ahead.op.name == "lstm":
        return lstm_operator(b, [Layer(x, h0, *rest)._replace(c0=c0) for x, h0, c0, *rest in both])
    layers = [Layer(*operands) for operands in both]
    return gru_operator(b, layers) if pair.ahead.op.name == "gru" else rnn_operator(b, layers, **pair.ahead.attrs)


@lowers("reverse_sequence")
def _(b: Builder, x: Any, lengths: Any) -> Any:
    return reversed_sequence(b, x, lengths)
