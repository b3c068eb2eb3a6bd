"""Subgraphs of the nodes of a model file, such as the body of a Scan or the branches of an If."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

__all__ = ["nodes_in", "subgraphs"]


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
