"""Loops that count: which of their states stay as they are, which count steps, and when they end.

A Loop of ONNX ends after a number of trips, or when its condition no longer holds. tf2onnx writes Keras' layers as
Loops whose condition compares counters with the number of steps. Such a Loop runs a number of trips that is known
before it starts, so it is a scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import onnx

from ..errors import ModelImportError
from .node import Node

if TYPE_CHECKING:
    from .body import Body

__all__ = ["Bound", "count_trips", "without_invariants"]


class Bound(NamedTuple):
    """A condition ``start + slope k < limit`` at the end of trip k, counted from 0.

    Attributes:
        start: the place of a value among the Loop's further inputs; None for 0.
        limit: the same.
        offset: what is added to the start.
        slope: how much a trip adds.
    """

    start: int | None
    limit: int | None
    offset: int
    slope: int


class _Term(NamedTuple):
    """A value in a body: that of a name around it, or 0, plus an offset, plus a slope times the number of the trip."""

    name: str | None
    offset: int
    slope: int


def without_invariants(loop: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Returns a Loop without the states that its body hands on as they are, which its body now reads directly."""
    node = onnx.NodeProto()
    node.CopyFrom(loop)
    body = next((a.g for a in node.attribute if a.name == "body"), None)
    if body is None or len(body.input) != len(node.input) or len(body.output) < len(body.input) - 1:
        raise ModelImportError(f"Loop {loop.name!r}: its body does not have the inputs and outputs of a loop's")
    same = {inner.output[0]: inner.input[0] for inner in body.node if inner.op_type == "Identity"}
    names: dict[str, str] = {}
    parts: list[onnx.NodeProto] = []
    for i in reversed(range(2, len(node.input))):
        result, name = body.output[i - 1].name, body.input[i].name
        if same.get(result, result) != name:
            continue
        names[name] = node.input[i]
        if i - 2 < len(node.output):
            if node.output[i - 2]:
                parts.append(onnx.helper.make_node("Identity", [node.input[i]], [node.output[i - 2]]))
            del node.output[i - 2]
        del node.input[i], body.input[i], body.output[i - 1]
    _rename(body, names)
    return [node, *parts] if node.output else parts


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                _rename(attribute.g, names)
    for value in graph.output:
        value.name = names.get(value.name, value.name)


def count_trips(node: Node, body: Body) -> None:
    """Notes in a Loop what it counts: its `counters`, its `bounds`, and how many sequences its trips read, `scanned`.

    Raises:
        ModelImportError: its condition depends on values that its body computes.
    """
    loop = _Loop(node, body)
    bounds = loop.bounds(body.outputs[0])
    if bounds is None:
        raise ModelImportError(
            f"{node}: when it ends depends on values that it computes; only a Loop whose number of trips is known "
            "before it starts can be imported"
        )
    node.attributes["counters"] = {i: term.slope for i, term in loop.counters.items()}
    node.attributes["bounds"] = tuple(bounds)
    node.attributes["states"] = len(body.inputs) - 2
    node.attributes["scanned"] = loop.scanned()
    node.inputs += loop.read


class _Loop:
    def __init__(self, node: Node, body: Body) -> None:
        self._node = node
        self._body = body
        self._makers = {name: inner for inner in body.nodes for name in inner.outputs if name}
        self.read: list[str] = []
        self.counters: dict[int, _Term] = {}
        states = body.inputs[2:]
        for i, name in enumerate(states):
            maker = self._makers.get(body.outputs[1 + i])
            if maker is None or maker.op_type not in ("Add", "Sub") or name not in maker.inputs:
                continue
            place = maker.inputs.index(name)
            more = body.constants.get(maker.inputs[1 - place])
            if (
                more is None
                or more.array.size != 1
                or more.array.dtype.kind not in "iu"
                or (place and maker.op_type == "Sub")
            ):
                continue
            slope = int(more.array.reshape(-1)[0]) * (1 if maker.op_type == "Add" else -1)
            self.counters[i] = _Term(node.inputs[2 + i], 0, slope)

    def term(self, name: str) -> _Term | None:
        """Returns what a value is at trip k, if it counts."""
        inputs = self._body.inputs
        if name == inputs[0]:
            return _Term(None, 0, 1)
        if name in inputs:
            return self.counters.get(inputs.index(name) - 2)
        constant = self._body.constants.get(name)
        if constant is not None:
            whole = constant.array.size == 1 and float(constant.array.reshape(-1)[0]).is_integer()
            return _Term(None, int(constant.array.reshape(-1)[0]), 0) if whole else None
        maker = self._makers.get(name)
        if maker is None:
            return _Term(name, 0, 0)
        if maker.op_type in ("Cast", "Squeeze", "Unsqueeze", "Reshape"):
            return self.term(maker.inputs[0])
        if maker.op_type in ("Add", "Sub"):
            x, y = map(self.term, maker.inputs)
            if x is None or y is None or (y.name is not None and (x.name is not None or maker.op_type == "Sub")):
                return None
            sign = 1 if maker.op_type == "Add" else -1
            return _Term(x.name or y.name, x.offset + sign * y.offset, x.slope + sign * y.slope)
        return None

    def bounds(self, name: str) -> list[Bound] | None:
        """Returns the bounds that a condition consists of; None if it is something else."""
        if name == self._body.inputs[1]:
            return []
        constant = self._body.constants.get(name)
        if constant is not None:
            return [] if bool(constant.array.reshape(-1)[0]) else None
        maker = self._makers.get(name)
        if maker is None:
            return None
        if maker.op_type == "And":
            both = [self.bounds(part) for part in maker.inputs]
            return None if None in both else [bound for part in both for bound in part or ()]
        if maker.op_type in ("Cast", "Squeeze", "Unsqueeze", "Reshape"):
            return self.bounds(maker.inputs[0])
        if maker.op_type in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
            x, y = map(self.term, maker.inputs if maker.op_type.startswith("Less") else maker.inputs[::-1])
            if x is None or y is None or x.slope <= y.slope:
                return None
            offset = x.offset - y.offset - maker.op_type.endswith("OrEqual")
            return [Bound(self._place(x.name), self._place(y.name), offset, x.slope - y.slope)]
        return None

    def _place(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self.read:
            self.read.append(name)
        return self.read.index(name)

    def scanned(self) -> int:
        """Makes inputs of what the body gathers at the number of its trip; returns how many there are."""
        count = 0
        for inner in [*self._body.nodes]:
            if inner.op_type != "Gather" or inner.get("axis", 0) != 0:
                continue
            source = self.term(inner.inputs[0])
            at = self.term(inner.inputs[1])
            if source is None or source.slope or source.offset or source.name != inner.inputs[0] or at is None:
                continue
            start = None if at.name is None else self._body.constants.get(at.name)
            begins = at.name is None or (start is not None and start.array.size == 1 and not start.array.any())
            rank = self._rank(inner.inputs[1])
            if at.slope == 1 and not at.offset and begins and rank == 0:
                self._body.nodes.remove(inner)
                self._body.inputs += (inner.outputs[0],)
                self.read.append(inner.inputs[0])
                count += 1
        return count

    def _rank(self, name: str) -> int | None:
        """Returns the number of axes of a counter; None if it is not known."""
        maker = self._makers.get(name)
        if name == self._body.inputs[0]:
            return 0
        if name in self._body.inputs:
            start = self._body.constants.get(self._node.inputs[self._body.inputs.index(name)])
            return None if start is None else start.array.ndim
        return self._rank(maker.inputs[0]) if maker is not None and maker.op_type == "Cast" else None
