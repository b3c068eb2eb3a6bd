"""Records ops: nodes and values, graph traversal, reverse-mode gradients, tracing."""

from .graph import Graph, walk
from .location import Location
from .mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .node import Node, Spec, Value
from .op import OPS, Op
from .trace import trace

__all__ = [
    "OPS",
    "Graph",
    "Location",
    "Node",
    "Op",
    "Spec",
    "Value",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
    "trace",
    "walk",
]
