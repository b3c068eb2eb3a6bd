"""Replayed: runs the graph of an export in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import LucidError
from ...tracer.graph import Graph
from ...tracer.replay import Replay
from ..session.session import Session
from .parts import Shapes

__all__ = ["Replayed", "is_replayable"]

Array = np.ndarray[Any, Any]


def is_replayable(graph: Graph) -> bool:
    """Returns whether every op of a graph can be run by itself; a scan holds a graph of its own."""
    return all(node.op.name != "scan" for node in graph.nodes)


class Replayed:
    """Runs the graph of an export in NumPy, op by op, by the ops' own forwards.

    At large sizes matrix products take most of a training step, and NumPy's library spreads them over the cores as well
    as onnxruntime does, while the loops of the ops write into arrays that they allocate once. As in onnxruntime, no
    code of the model runs: no hook, no print, no assignment.

    Args:
        graph: the graph; its inputs are those of the session, in order.
        session: the session of its export, which checks the inputs.
    """

    def __init__(self, graph: Graph, session: Session) -> None:
        self._graph = graph
        self._session = session
        self._replay = Replay(graph)

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """Runs the graph.

        Args:
            arrays: the inputs in order.
            shapes: their shapes.

        Raises:
            ShapeError: an input does not fit. AxisError, RangeError: an element is out of range.
            LucidError: NumPy failed, such as for lack of memory.
        """
        sizes: dict[Any, int] = dict(self._session.check(shapes))
        self._session.check_elements(arrays)
        try:
            with np.errstate(all="ignore"):
                return self._run(arrays, sizes)
        except Exception as error:
            raise LucidError(f"NumPy failed on inputs of shapes {list(shapes)}: {error}") from error

    def _run(self, arrays: Sequence[Array], sizes: dict[Any, int]) -> list[Array]:
        given = [*arrays, *[tensor._data for tensor in self._graph.captured.values()]]
        found: list[Array] = []
        for result, spec in zip(self._replay.run(arrays, sizes), self._session.outputs, strict=True):
            array = np.asarray(result, spec.dtype)
            # As in onnxruntime, a result is the caller's alone, who may write to it.
            shared = any(np.may_share_memory(array, other) for other in (*given, *found))
            found.append(array.copy() if shared or not array.flags.writeable else array)
        return found
