"""Subgraphs of the nodes of a model file, such as the body of a Scan or the branches of an If."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

__all__ = ["handed_on", "nodes_in", "subgraphs"]


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yields the subgraphs of a node, without those inside them."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nodes_in(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yields a node and all nodes inside it."""
    yield node
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from nodes_in(inner)


def handed_on(node: onnx.NodeProto) -> list[str]:
    """Returns the values that an If only hands on if its condition holds; nothing if it does something else."""
    branch = next((a.g for a in node.attribute if a.name == "then_branch"), None) if node.op_type == "If" else None
    if branch is None or any(inner.op_type != "Identity" for inner in branch.node):
        return []
    passed = {inner.output[0]: inner.input[0] for inner in branch.node}
    kept = [passed.get(value.name, "") for value in branch.output]
    return kept if all(kept) and len({*kept}) == len(kept) == len(node.output) and not {*kept} & passed.keys() else []
