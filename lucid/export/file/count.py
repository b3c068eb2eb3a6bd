"""Counts the nodes that a runtime makes of a model file, in which functions stand for many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx

from ...errors import FileError
from .subgraphs import subgraphs

__all__ = ["MOST_NODES", "MOST_NODES_OF_LUCID", "count_nodes"]

MOST_NODES = 20_000
"""onnxruntime's optimizations can take time with the square of the number of nodes: two minutes for this many."""

MOST_NODES_OF_LUCID = 100_000
"""The limit for a file whose digests fit. Long sequences that are unrolled have that many, and load in seconds."""

_DEPTH = 64
"""How deep functions may call each other."""


def count_nodes(proto: onnx.ModelProto) -> int:
    """Returns the number of nodes after each call of a function was replaced by its nodes.

    Raises:
        FileError: functions call themselves, or each other too deep.
    """
    bodies = {_key(function): function.node for function in proto.functions}
    known: dict[Any, int] = {}

    def of(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        total = 0
        for node in nodes:
            total += 1
            total += sum(of(graph.node, depth) for graph in subgraphs(node))
            key = (_domain(node.domain), node.op_type, getattr(node, "overload", ""))
            if key in bodies:
                if key not in known:
                    if depth >= _DEPTH:
                        raise FileError(
                            f"its function {node.op_type!r} calls itself, or is one of over {_DEPTH} levels"
                        )
                    known[key] = of(bodies[key], depth + 1)
                total += known[key]
        return total

    return of(proto.graph.node, 0)


def _key(function: onnx.FunctionProto) -> tuple[str, str, str]:
    return _domain(function.domain), function.name, getattr(function, "overload", "")


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name
