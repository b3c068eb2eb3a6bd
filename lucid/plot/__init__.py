"""Pictures: how training went, and the graph of a model."""

from .curves import history
from .drawing import Drawing, graph

__all__ = ["Drawing", "graph", "history"]
