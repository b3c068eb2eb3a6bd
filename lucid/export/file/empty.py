"""Empty: a model that accepts a batch without sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .subgraphs import subgraphs

__all__ = ["aborts", "without_aborts"]

_ABORTING = ("LSTM", "GRU")
"""The operators whose kernels in onnxruntime end the process if the batch is empty."""


def aborts(model: onnx.ModelProto) -> bool:
    """Returns whether onnxruntime would end the process if it ran this model on an empty batch."""
    return any(_is_aborting(node) for graph in _graphs(model.graph) for node in graph.node)


def without_aborts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy of a model in which each LSTM and GRU runs only if its batch is not empty."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph in list(_graphs(copy.graph)):
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            nodes.extend(_guarded(node) if _is_aborting(node) else [node])
        del graph.node[:]
        graph.node.extend(nodes)
    return copy


def _is_aborting(node: onnx.NodeProto) -> bool:
    return node.op_type in _ABORTING and node.domain in ("", "ai.onnx")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yields a graph and its subgraphs, the inner ones first."""
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _graphs(inner)
    yield graph


def _guarded(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Returns nodes that run a recurrent operator, or return results without elements if its batch is empty."""
    prefix = f"{next(filter(None, node.output))}/empty/"
    shape, steps, batch, some, one = (prefix + name for name in ("shape", "steps", "batch", "some", "one"))
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    directions = 2 if attributes.get("direction") == b"bidirectional" else 1
    run = onnx.NodeProto()
    run.CopyFrom(node)
    del run.output[:]
    run.output.extend([name and f"{prefix}run/{name}" for name in node.output])
    # An element of the operator's dtype, which is not the same in all precisions.
    skip = [helper.make_node("ReduceMax", [node.input[2]], [one], keepdims=0)]
    tail = _constant(f"{prefix}tail", np.array([directions, 0, attributes["hidden_size"]], np.int64))
    skip += [tail, helper.make_node("Concat", [steps, tail.output[0]], [f"{prefix}whole"], axis=0)]
    for i, name in enumerate(node.output):
        if name:
            sizes = tail.output[0] if i else f"{prefix}whole"
            skip.append(helper.make_node("Expand", [one, sizes], [f"{prefix}skip/{name}"]))
    outputs = [name for name in node.output if name]
    branches = {
        branch: helper.make_graph(
            nodes, prefix + kind, [], [onnx.ValueInfoProto(name=f"{prefix}{kind}/{name}") for name in outputs]
        )
        for branch, kind, nodes in (("then_branch", "run", [run]), ("else_branch", "skip", skip))
    }
    zero, first = (_constant(f"{prefix}index{i}", np.array([i], np.int64)) for i in range(2))
    return [
        zero,
        first,
        helper.make_node("Shape", [node.input[0]], [shape]),
        helper.make_node("Gather", [shape, zero.output[0]], [steps], axis=0),
        helper.make_node("Gather", [shape, first.output[0]], [batch], axis=0),
        helper.make_node("Greater", [batch, zero.output[0]], [some]),
        helper.make_node("If", [some], outputs, **branches),
    ]


def _constant(name: str, array: Any) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
