"""Foreign: what the nodes of a file prove about pieces of a sequence, if lucid did not write it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import onnx

from ...export.file.subgraphs import nodes_in
from ...proof.streaming import Streaming
from .operators import Nodes, time_axis

__all__ = ["prove_file"]

_RANDOM = {
    *("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}

_LAYERS = {"RNN": (5,), "GRU": (5,), "LSTM": (5, 6)}
"""The positions of the initial states among an operator's inputs; the last states follow its first output."""

_OLDEST = 9
"""The opset of Scan as it is now, and of operators that broadcast their inputs without being told to."""

_SLICE = ("starts", "ends", "axes", "steps")
"""The inputs of Slice after the first one."""

_MIXED = "no rule says that it takes each step by itself"


class _Part(NamedTuple):
    """A part of a state: one row of an input, or a whole one; or its value after the last step."""

    name: str
    row: int | None
    last: bool = False


class _State(NamedTuple):
    """A value that consists of parts of states, one after the other along its first axis, or one without that axis."""

    parts: tuple[_Part, ...]
    squeezed: bool = False


class _NotStreamableError(Exception):
    """Pieces do not give what the whole gives, or no rule says so."""


def prove_file(model: onnx.ModelProto) -> Streaming:
    """Finds the axis along which a sequence can be cut, from the nodes of a file.

    It knows the operators that compute each element, or each row, by itself, and the recurrent ones. Whatever else the
    sequence meets is refused.
    """
    graph = model.graph
    if not any(node.op_type in (*_LAYERS, "Scan") for node in graph.node):
        return Streaming(why="it has no recurrent operator, and no proof of lucid's that was verified")
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constants]
    nodes = Nodes(model)
    if nodes.opset < _OLDEST:
        return Streaming(why=f"its opset is {nodes.opset}, of which lucid knows no rules")
    why = []
    symbols = dict.fromkeys(n for name in inputs for n in nodes.shapes.get(name, ()) if isinstance(n, str))
    for symbol in symbols:
        try:
            states, lengths = _Walk(graph, inputs, nodes, symbol).run()
        except _NotStreamableError as error:
            why.append(f"along {symbol!r}, {error}")
        except (IndexError, KeyError, ValueError) as error:  # a node that onnxruntime would refuse in a run
            why.append(f"along {symbol!r}, a node makes no sense: {error}")
        else:
            return Streaming(symbol, states, lengths)
    proved = "the file has no proof of lucid's that was verified, and its nodes prove none"
    return Streaming(why=f"{proved}: {'; '.join(why) or 'no axis of an input is free and has a name'}")


class _Walk:
    """Walks a file's nodes along one symbol, the number of time steps."""

    def __init__(self, graph: onnx.GraphProto, inputs: list[str], nodes: Nodes, symbol: str) -> None:
        self.graph = graph
        self.inputs = inputs
        self.nodes = nodes
        self.symbol = symbol
        # The time axis of each value that has one; the values that consist of states; the inputs before casts.
        self.axes: dict[str, int] = {}
        self.states: dict[str, _State] = {}
        self.origins: dict[str, str] = {name: name for name in inputs}
        self.begun: dict[_Part, onnx.NodeProto] = {}
        self.lengths: dict[str, None] = {}
        # What nodes compute with, and what they only move, before it is known which inputs are states and lengths.
        self.reads: list[tuple[onnx.NodeProto, str]] = []
        self.moved: list[tuple[onnx.NodeProto, str]] = []

    def run(self) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
        """Returns, for each state, the outputs that are its next value; and the inputs that hold lengths.

        Raises:
            _NotStreamableError: pieces do not give what the whole gives.
        """
        for name in self.inputs:
            shape = self.nodes.shapes.get(name)
            if shape is None or None in shape or shape.count(self.symbol) > 1:
                raise _NotStreamableError(f"input {name!r} has an axis without a name, or that one twice")
            if self.symbol in shape:
                self.axes[name] = shape.index(self.symbol)
            elif shape:
                self.states[name] = _State(_rows(name, shape[0]))
        for node in self.graph.node:
            self.node(node)
        for node, name in self.reads:
            if any(part in self.begun for part in self.parts(name)):
                raise _refused(node, "it computes with a state, which differs between pieces")
        for node, name in (*self.reads, *self.moved):
            if self.origins.get(name) in self.lengths and node.op_type != "Cast":
                raise _refused(node, "it computes with lengths, which differ between pieces")
        return self.outputs(), tuple(self.lengths)

    def outputs(self) -> dict[str, tuple[str, ...]]:
        """Returns the outputs that are the next values of states."""
        whole = {
            tuple([part._replace(last=part in self.begun) for part in self.parts(name)]): name
            for name in self.inputs
            if any(part in self.begun for part in self.parts(name))
        }
        found: dict[str, tuple[str, ...]] = {}
        for value in self.graph.output:
            parts = self.parts(value.name)
            if parts in whole and not self.states[value.name].squeezed:
                found[whole[parts]] = (*found.get(whole[parts], ()), value.name)
            elif any(part.last or part in self.begun for part in parts) or self.origins.get(value.name) in self.lengths:
                raise _NotStreamableError(f"output {value.name!r} is not the whole next value of a state")
        if missing := [name for name in whole.values() if name not in found]:
            raise _NotStreamableError(f"no output is the next value of {missing[0]!r}")
        if not found:
            raise _NotStreamableError("no layer carries a state")
        carried = {n for name in found for n in self.nodes.shapes[name]}
        for name in self.inputs:
            if other := [n for n in self.nodes.shapes[name] if isinstance(n, str) and n not in (self.symbol, *carried)]:
                raise _NotStreamableError(f"input {name!r} has another free axis, {other[0]!r}")
        return found

    def parts(self, name: str) -> tuple[_Part, ...]:
        """Returns the parts of states that a value consists of."""
        return self.states[name].parts if name in self.states else ()

    def node(self, node: onnx.NodeProto) -> None:
        """Finds the time axes of a node's outputs."""
        if any(inner.domain not in ("", "ai.onnx") or inner.op_type in _RANDOM for inner in nodes_in(node)):
            raise _refused(node, _MIXED)
        operands = [name for inner in nodes_in(node) for name in inner.input if name]
        moving = [name for name in operands if name in self.axes]
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    self.nodes.constants[node.output[0]] = attribute.t
        elif node.op_type in _LAYERS and self.axes.get(node.input[0]) == 0:
            self.layer(node)
        elif node.op_type == "Scan" and moving:
            self.scan(node)
        elif not moving and self.moves(node):
            self.moved += [(node, name) for name in operands]
        else:
            self.read(node, operands)
            if moving:
                axis = time_axis(self.nodes, node, self.axes)
                if axis is None:
                    raise _refused(node, _MIXED)
                self.axes.update(dict.fromkeys(filter(None, node.output), axis))

    def read(self, node: onnx.NodeProto, operands: Iterable[str]) -> None:
        """Notes what a node reads that is not a recurrent operator's state or sequence."""
        for name in operands:
            if any(part.last for part in self.parts(name)):
                raise _refused(node, "it computes with the last state of a layer, which differs between pieces")
            if name in self.states or name in self.origins:
                self.reads.append((node, name))

    def layer(self, node: onnx.NodeProto) -> None:
        """Places the outputs of RNN, LSTM and GRU."""
        attributes = {a.name: a for a in node.attribute}
        if "layout" in attributes and attributes["layout"].i:
            raise _refused(node, _MIXED)
        if "direction" in attributes and attributes["direction"].s != b"forward":
            raise _refused(node, "it reads time from its end")
        given = dict(enumerate(node.input))
        if lengths := given.get(4):
            if lengths not in self.origins:
                raise _refused(node, "its lengths are no input")
            self.lengths[self.origins[lengths]] = None
        rest = [name for i, name in given.items() if name and i not in (0, 4, *_LAYERS[node.op_type])]
        self.read(node, rest)
        if any(name in self.axes for name in rest):
            raise _refused(node, _MIXED)
        for i, k in enumerate(_LAYERS[node.op_type], 1):
            self.begin(node, given.get(k, ""), node.output[i] if i < len(node.output) else "")
        if node.output[0]:
            self.axes[node.output[0]] = 0

    def scan(self, node: onnx.NodeProto) -> None:
        """Places the outputs of Scan."""
        attributes = {a.name: a for a in node.attribute}
        count = attributes["num_scan_inputs"].i
        states, sequences = node.input[: len(node.input) - count], node.input[len(node.input) - count :]
        kinds = ("scan_input_directions", "scan_output_directions", "scan_input_axes", "scan_output_axes")
        outer = [name for inner in nodes_in(node) if inner is not node for name in inner.input if name]
        if any(any(attributes[kind].ints) for kind in kinds if kind in attributes):
            raise _refused(node, "it reads time from its end, or along another axis")
        if any(self.axes.get(name) != 0 for name in sequences) or any(name in self.axes for name in outer):
            raise _refused(node, _MIXED)
        self.read(node, outer)
        for name, output in zip(states, node.output, strict=False):
            self.begin(node, name, output)
        self.axes.update(dict.fromkeys(filter(None, node.output[len(states) :]), 0))

    def begin(self, node: onnx.NodeProto, first: str, last: str) -> None:
        """Follows a state through a recurrent operator."""
        state = self.states.get(first)
        if state is None or any(part.last for part in state.parts):
            raise _refused(node, "it starts from a state that is no input")
        if len({*state.parts}) < len(state.parts) or any(part in self.begun for part in state.parts):
            raise _refused(node, "it starts from the state of another layer")
        self.moved.append((node, first))
        self.begun.update(dict.fromkeys(state.parts, node))
        if last:
            self.states[last] = state._replace(parts=tuple([part._replace(last=True) for part in state.parts]))

    def moves(self, node: onnx.NodeProto) -> bool:
        """Follows states through operators that take them apart by rows or put them together."""
        if node.op_type == "Cast" and node.input[0] in self.origins:
            self.origins[node.output[0]] = self.origins[node.input[0]]
        states = [self.states[name] for name in node.input if name in self.states]
        made = self.taken(node, *states[0]) if len(states) == 1 and node.input[0] in self.states else []
        if node.op_type == "Concat" and len(states) == len(node.input) and not self.nodes.attribute(node, "axis"):
            parts = tuple([part for state in states for part in state.parts])
            if not any(state.squeezed for state in states) and all(part.row is not None for part in parts):
                made = [_State(parts)]
        self.states.update(zip(node.output, made, strict=False))
        return bool(made)

    def taken(self, node: onnx.NodeProto, parts: tuple[_Part, ...], squeezed: bool) -> list[_State]:
        """Returns what an operator takes of a state; nothing if it does not take whole rows."""
        axes, rows = self.nodes.numbers(node, "axes", 1), range(len(parts))
        if node.op_type == "Identity":
            return [_State(parts, squeezed)]
        if node.op_type == "Unsqueeze":
            return [_State(parts)] if squeezed and axes == [0] else []
        if squeezed or parts[0].row is None or self.nodes.attribute(node, "axis"):
            return []
        if node.op_type == "Squeeze" and axes == [0]:
            return [_State(parts, True)]
        if node.op_type == "Split":
            sizes = self.nodes.numbers(node, "split", 1) or [1] * len(rows)
            starts = [sum(sizes[:i]) for i in range(len(sizes))]
            fits = len(node.output) == len(sizes) and sum(sizes) == len(rows)
            return [_State(parts[i : i + n]) for i, n in zip(starts, sizes, strict=True)] if fits else []
        if node.op_type == "Gather" and (index := self.nodes.constant(node.input[1])) is not None and index.ndim < 2:
            taken = tuple([parts[i] for i in index.ravel()])
            return [_State(taken, index.ndim == 0)]
        if node.op_type == "Slice":
            first, last, along, step = (self.nodes.numbers(node, key, i) for i, key in enumerate(_SLICE, 1))
            if first and last and along == [0] and step in (None, [1]):
                return [_State(parts[first[0] : last[0]])]
        return []


def _rows(name: str, rows: Any) -> tuple[_Part, ...]:
    return tuple([_Part(name, i) for i in range(rows)]) if isinstance(rows, int) else (_Part(name, None),)


def _refused(node: onnx.NodeProto, why: str) -> _NotStreamableError:
    return _NotStreamableError(f"{node.op_type} {node.name!r}: {why}")
