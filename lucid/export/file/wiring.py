"""Checks the wiring of a model file: each value is produced once, and before it is used."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from ...errors import FileError
from .subgraphs import subgraphs

__all__ = ["check_wiring"]


def check_wiring(proto: onnx.ModelProto) -> None:
    """Checks that every value of a model has exactly one producer.

    Raises:
        FileError: a value has none, or two; the message gives its name.
    """
    _check_graph(proto.graph, frozenset())
    for function in proto.functions:
        _check_nodes(function.node, function.output, set(function.input))


def _check_graph(graph: onnx.GraphProto, outer: frozenset[str]) -> None:
    known = set(outer)
    known.update(value.name for value in graph.input)
    known.update(tensor.name for tensor in graph.initializer)
    known.update(sparse.values.name for sparse in graph.sparse_initializer)
    _check_nodes(graph.node, [value.name for value in graph.output], known)


def _check_nodes(nodes: Iterable[onnx.NodeProto], outputs: Iterable[str], known: set[str]) -> None:
    made: set[str] = set()
    for node in nodes:
        for name in node.input:
            if name and name not in known:
                raise FileError(f"node {node.name!r} ({node.op_type}) takes {name!r}, which nothing before it makes")
        for graph in subgraphs(node):
            _check_graph(graph, frozenset(known))
        for name in filter(None, node.output):
            if name in made:
                raise FileError(f"node {node.name!r} ({node.op_type}) makes {name!r}, as another node does")
            made.add(name)
            known.add(name)
    for name in outputs:
        if name not in known:
            raise FileError(f"nothing makes the output {name!r}")
