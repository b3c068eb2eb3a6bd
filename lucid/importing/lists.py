"""What a Loop collects from trip to trip: a list, as PyTorch writes ``outputs.append(y)``, or a tensor that grows.

A scan collects one tensor a trip, stacked along the first axis, so both become that.
"""

from __future__ import annotations

from typing import Any

import onnx

__all__ = ["without_lists"]


def without_lists(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Replaces what grows by one tensor a trip, and is read only after the Loop, by an output of the Loop's body."""
    if not any(node.op_type == "Loop" for node in graph.node):
        return graph
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    empty = {node.output[0] for node in copy.node if node.op_type == "SequenceEmpty"}
    nodes = [part for node in copy.node for part in ([node, *_collected(node, empty)] if _loops(node) else [node])]
    del copy.node[:]
    copy.node.extend(nodes)
    return copy


def _loops(node: onnx.NodeProto) -> bool:
    """Returns whether a node is a Loop whose body has as many inputs and outputs as it must."""
    body = _body(node) if node.op_type == "Loop" else None
    return body is not None and len(body.input) == len(node.input) and len(body.output) >= len(body.input) - 1


def _body(loop: onnx.NodeProto) -> Any:
    return next((a.g for a in loop.attribute if a.name == "body"), None)


def _collected(loop: onnx.NodeProto, empty: set[str]) -> list[onnx.NodeProto]:
    """Turns what grows in a Loop into what it collects; returns the nodes that make of it what it was."""
    body = _body(loop)
    joins = []
    loop.output.extend([""] * (len(body.output) - 1 - len(loop.output)))
    for i in reversed(range(2, len(loop.input))):
        is_list = loop.input[i] in empty
        node = _growth(body, body.input[i].name, body.output[i - 1].name, is_list)
        if node is None:
            continue
        result, stacked = loop.output[i - 2], ""
        if result:
            stacked, more = f"{result} stacked", f"{result} more"
            cut = result if is_list else f"{result} list"
            joins.append(onnx.helper.make_node("SplitToSequence", [stacked], [cut], loop.name, axis=0, keepdims=0))
            if not is_list:
                axis = next(a.i for a in node.attribute if a.name == "axis")
                joins.append(onnx.helper.make_node("ConcatFromSequence", [cut], [more], loop.name, axis=axis))
                joins.append(onnx.helper.make_node("Concat", [loop.input[i], more], [result], loop.name, axis=axis))
        body.output.append(onnx.ValueInfoProto(name=node.input[1]))
        loop.output.append(stacked)
        body.node.remove(node)
        del loop.input[i], loop.output[i - 2], body.input[i], body.output[i - 1]
    return joins


def _growth(body: onnx.GraphProto, state: str, result: str, is_list: bool) -> onnx.NodeProto | None:
    """Returns the node that puts a tensor at the end of a list, or of a tensor, if nothing else reads that state."""
    readers = [node for node in body.node if state in node.input]
    if len(readers) != 1 or _reads_within(body, state):
        return None
    node = readers[0]
    if node.op_type != ("SequenceInsert" if is_list else "Concat"):
        return None
    # A third input of SequenceInsert is the place where the tensor goes.
    grows = len(node.input) == 2 and node.input[0] == state != node.input[1] and result in node.output
    return node if grows and not any(result in other.input for other in body.node) else None


def _reads_within(body: onnx.GraphProto, name: str) -> bool:
    """Returns whether a graph in a node of the body reads a value."""
    graphs = [a.g for node in body.node for a in node.attribute if a.type == a.GRAPH]
    return any(name in node.input for graph in graphs for node in graph.node) or any(
        _reads_within(graph, name) for graph in graphs
    )
