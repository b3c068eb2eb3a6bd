"""Reading: a checked ONNX graph as a program, and its constants as parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx

from ..errors import ModelImportError
from ..tracer import no_grad
from . import operators  # noqa: F401 - they register imports
from .body import Body
from .guards import without_guards
from .layout import Layout, Reading
from .lists import without_lists
from .names import Paths
from .registry import IMPORTS

__all__ = ["read_graph"]


def read_graph(model: onnx.ModelProto, reserved: Iterable[str]) -> Reading:
    """Reads a checked model.

    Args:
        model: the model, with its functions expanded.
        reserved: names that no parameter may have.

    Raises:
        ModelImportError: lucid has no op for some of its operators, or cannot compute a node as it is written.
        FileError: its graph is invalid.
    """
    graph = without_lists(model.graph)
    _check_operators(graph)
    opset = max([entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")], default=0)
    with no_grad(), np.errstate(all="ignore"):
        body = Body(without_guards(graph), opset)
    return Layout(body, Paths(reserved)).reading()


def _check_operators(graph: onnx.GraphProto) -> None:
    """Raises an error that names every operator that lucid cannot compute, with a node of each."""
    missing: dict[str, str] = {}
    for node in _nodes(graph):
        own = node.domain in ("", "ai.onnx")
        if not own or node.op_type not in {*IMPORTS, "Constant", "Identity"} or node.op_type.islower():
            kind = node.op_type if own else f"{node.domain}.{node.op_type}"
            missing.setdefault(kind, node.name or ", ".join(node.output))
    if missing:
        listed = ", ".join(f"{kind} (node {name!r})" for kind, name in sorted(missing.items()))
        raise ModelImportError(f"from_onnx: lucid has no op for {listed}; a Session runs the file as it is")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)
