"""Removes dead nodes and unused outputs, including those that a Scan would collect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

__all__ = ["all_nodes", "without_dead"]


def all_nodes(nodes: Sequence[ir.Node]) -> list[ir.Node]:
    """Returns the nodes and those in their subgraphs."""
    found = []
    for node in nodes:
        found.append(node)
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                found.extend(all_nodes(list(attribute.as_graph())))
    return found


def without_dead(nodes: Sequence[ir.Node], outputs: Sequence[ir.Value]) -> tuple[list[ir.Node], list[ir.Value]]:
    """Returns the nodes that the outputs need, in their order, and the outputs.

    Unused optional outputs lose their names, and a Scan no longer collects unused outputs.
    """
    needed = set(outputs)
    results = list(outputs)
    kept: list[ir.Node] = []
    for node in reversed(nodes):
        if not any(v in needed for v in node.outputs):
            continue
        if node.op_type in ("RNN", "LSTM", "GRU", "LayerNormalization"):
            for v in node.outputs:
                if v not in needed:
                    v.name = ""
        elif node.op_type == "Scan":
            node, places = _pruned_scan(node, needed)
            results = [places.get(v, v) for v in results]
            needed.update(places.values())
        kept.append(node)
        needed.update(v for inner in all_nodes([node]) for v in inner.inputs if v is not None)
    return kept[::-1], results


def _pruned_scan(node: ir.Node, needed: set[ir.Value]) -> tuple[ir.Node, dict[ir.Value, ir.Value]]:
    """Returns a Scan that collects only what is needed, and its outputs by those of the old one."""
    body = node.attributes["body"].as_graph()
    states = len(node.inputs) - node.attributes["num_scan_inputs"].as_int()
    read = [i for i, v in enumerate(node.outputs) if i < states or v in needed]
    attributes: dict[str, Any] = dict(node.attributes)
    directions = attributes.pop("scan_output_directions", None)
    if directions is not None and len(read) > states:
        kept = [directions.as_ints()[i - states] for i in read[states:]]
        attributes["scan_output_directions"] = ir.AttrInt64s("scan_output_directions", kept)
    for i in reversed(range(len(body.outputs))):
        if i not in read:
            body.outputs.pop(i)  # not del: the value would still be marked as an output
    for inner in reversed(list(body)):
        if not any(v.uses() or v.is_graph_output() for v in inner.outputs):
            body.remove(inner, safe=True)
    del attributes["body"]
    old = [node.outputs[i] for i in read]
    new = [ir.Value(name=v.name, type=v.type, shape=v.shape) for v in old]
    pruned = ir.Node("", "Scan", node.inputs, [], outputs=new, name=node.name)
    node.attributes.clear()
    pruned.attributes.add(ir.AttrGraph("body", body))
    for attribute in attributes.values():
        pruned.attributes.add(attribute)
    for one, other in zip(old, new, strict=True):
        one.replace_all_uses_with(other)
    return pruned, dict(zip(old, new, strict=True))
