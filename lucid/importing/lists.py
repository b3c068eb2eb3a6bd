"""Lists that a Loop fills, as PyTorch writes ``outputs.append(y)``: they become what the Loop collects.

A list is then one tensor, with its elements along the first axis. No other list has an import.
"""

from __future__ import annotations

import onnx

from ..errors import ModelImportError
from ..ops import flatten, moveaxis
from ..tensor import Tensor
from .registry import Operation, imports

__all__ = ["without_lists"]


def without_lists(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Replaces each list that is empty before a Loop, and grows by one tensor a trip, by an output of the Loop's body.

    Raises:
        ModelImportError: another list is joined.
    """
    if not any(node.op_type in ("ConcatFromSequence", "SequenceEmpty") for node in graph.node):
        return graph
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    empty = {node.output[0] for node in copy.node if node.op_type == "SequenceEmpty"}
    collected = {name for node in copy.node if node.op_type == "Loop" for name in _collected(node, empty)}
    for node in copy.node:
        if node.op_type == "ConcatFromSequence" and node.input[0] not in collected:
            raise ModelImportError(
                f"from_onnx: {node.op_type} {node.name!r} joins a list; lucid has no lists but those that a Loop fills"
            )
    read = {name for node in copy.node for name in node.input}
    kept = [node for node in copy.node if node.op_type != "SequenceEmpty" or node.output[0] in read]
    del copy.node[:]
    copy.node.extend(kept)
    return copy


def _collected(loop: onnx.NodeProto, empty: set[str]) -> list[str]:
    """Turns the states of a Loop that are such lists into what it collects; returns the names of its outputs."""
    body = next((a.g for a in loop.attribute if a.name == "body"), None)
    if body is None or len(body.input) != len(loop.input) or len(body.output) < len(body.input) - 1:
        return []
    found = []
    loop.output.extend([""] * (len(body.output) - 1 - len(loop.output)))
    for i in reversed(range(2, len(loop.input))):
        insert = _insert(body, body.input[i].name, body.output[i - 1].name)
        if loop.input[i] not in empty or insert is None:
            continue
        found.append(loop.output[i - 2])
        body.output.append(onnx.ValueInfoProto(name=insert.input[1]))
        loop.output.append(loop.output[i - 2])
        body.node.remove(insert)
        del loop.input[i], loop.output[i - 2], body.input[i], body.output[i - 1]
    return found


def _insert(body: onnx.GraphProto, state: str, result: str) -> onnx.NodeProto | None:
    """Returns the node that puts a tensor at the end of a list, if nothing else reads the list."""
    readers = [node for node in body.node if state in node.input]
    if len(readers) != 1 or readers[0].op_type != "SequenceInsert":
        return None
    node = readers[0]
    # A third input is the place where the tensor goes.
    return node if len(node.input) == 2 and node.input[0] == state and result in node.output else None


@imports("ConcatFromSequence")
def _(node: Operation, x: Tensor) -> Tensor:
    """Joins the elements of a list, along an axis of theirs or a new one."""
    if node.get("new_axis", 0):
        return moveaxis(x, 0, node.get("axis"))
    axis = node.get("axis") % (x.ndim - 1)
    return flatten(moveaxis(x, 0, axis), axis, axis + 1)
