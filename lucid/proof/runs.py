"""Runs: a function traced again and again, and what these runs say about values and state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any

import numpy as np

from ..errors import ExportError, LucidError, TraceError
from ..ops.generator import begin_again
from ..tensor import Tensor
from ..tracer.graph import Graph
from ..tracer.read import Answer, Key, Read
from ..tracer.trace import record
from ..tracer.tree import flatten
from .example import Axis, Example
from .isolation import isolated
from .reach import Reach
from .reads import ReadCheck, line_of

__all__ = ["RefusedError", "Runs"]


class RefusedError(ExportError):
    """The function rejects all numbers that were made up for some sizes."""


class Runs:
    """The traces of a function at the example's sizes and at others, each from the same start.

    Attributes:
        function: the function.
        example: its arguments.
        trained: whether what requires gradients may change, as inputs do.
        reach: what the function reaches.
        base: the trace at the example's own sizes.
        changed: the names of what the last run changed before it was restored.
        reads: what Python reads, without any effect on the graph.
        counted: the reads of what follows from sizes.
    """

    def __init__(self, function: Callable[..., Any], example: Example, trained: bool = False) -> None:
        self.function = function
        self.trained = trained
        # Runs restore what they change, so that it stays the same.
        self.reach = Reach(function)
        self.example = example
        self.changed: list[str] = []
        self.reads: dict[Key, Read] = {}
        self.counted: set[Key] = set()
        self._arrays: dict[tuple[tuple[Axis, int], ...], dict[str, Any]] = {}
        self.base = self.run({})
        example.note_roles(self.base, {})
        self._runs: dict[tuple[tuple[Axis, int], ...], Graph] = {(): self.base}

    def run(self, sizes: Mapping[Axis, int]) -> Graph:
        """Traces a run with some axes at other sizes, on the first of several inputs that the function accepts."""
        refused: Exception | None = None
        for arrays in self.example.proposals(sizes):
            try:
                graph = self.run_on(arrays)
            except (TraceError, ExportError):
                raise
            except Exception as error:  # the user's code may reject numbers that are made up
                if refused is None:
                    refused, made = error, self.example.made_up(arrays)
                continue
            self._arrays[_key(sizes)] = arrays
            return graph
        assert refused is not None
        if made:
            raise RefusedError(f"{refused}{made}") from refused
        raise refused

    def run_on(
        self, arrays: dict[str, Any], answer: Answer | None = None, limit: float = inf, **symbolic: Any
    ) -> Graph:
        """Traces a run on given arrays; it finds everything that the function can reach as it was at the start.

        Args:
            arrays: the inputs.
            answer: what Python gets where it reads a tensor; the elements if None.
            limit: the most ops and reads.
            symbolic: for a symbolic trace, what `lucid.tracer.trace.record` takes for one.

        Raises:
            ExportError: NumPy writes into a traced tensor.
        """
        args, kwargs = self.example.arguments(arrays)
        try:
            with isolated(self.reach) as snapshot:
                names = self.example.names
                graph = record(self.function, args, kwargs, answer, limit, names, trained=self.trained, **symbolic)
                self.changed = snapshot.changed()
        except ValueError as error:
            if "read-only" not in str(error) or isinstance(error, LucidError):
                raise
            raise ExportError(
                f"to_onnx: {line_of(error)}: NumPy writes into the elements of a traced tensor, and no graph records "
                "that; compute with tensors, as with lucid.where"
            ) from error
        return graph

    def traced(self, sizes: Mapping[Axis, int]) -> Graph:
        """Traces a run, as `run` does, and caches the trace."""
        key = _key(sizes)
        if key not in self._runs:
            self._runs[key] = self.run(sizes)
        return self._runs[key]

    def arrays_at(self, sizes: Mapping[Axis, int]) -> dict[str, Any]:
        """Returns the inputs that the function accepted with some axes at other sizes."""
        self.traced(sizes)
        return self._arrays[_key(sizes)]

    def require_no_state(self) -> None:
        """Checks that the result of a call does not depend on the calls before it, if a call changes anything.

        Raises:
            ExportError: it does; the message names what changed.
        """
        changed = self.changed
        if not changed:
            return
        example = self.example.arrays
        larger = {name: array * 1000 if array.dtype.kind == "f" else array for name, array in example.items()}
        alone: list[tuple[dict[str, Any], list[Any]]] = []
        for proposed in ((example,), self.example.perturbations(), (larger,)):
            for arrays in proposed:
                with isolated(self.reach), suppress(Exception):  # the user's own code may raise anything
                    alone.append((arrays, self.results(arrays)))
                    break
        with isolated(self.reach):
            for arrays, expected in [*alone, *alone]:
                found = None
                with suppress(Exception):
                    found = self.results(arrays)
                if found is None or not _equal(found, expected):
                    raise ExportError(
                        f"to_onnx: a result depends on earlier calls, since each call changes {', '.join(changed)}, "
                        "but a file keeps nothing between calls; take it as an input, and return it"
                    )

    def results(self, arrays: dict[str, Any]) -> list[Any]:
        """Returns the arrays in the result of an eager call."""
        begin_again()
        args, kwargs = self.example.arguments(arrays)
        with np.errstate(all="ignore"):
            leaves, _ = flatten(self.function(*args, **kwargs), lambda x: isinstance(x, Tensor))
        return [tensor._data for tensor in leaves]

    def check_reads(self, graph: Graph, sizes: Mapping[Axis, int]) -> None:
        """Checks the reads of a run that no earlier run had.

        Raises:
            ExportError: one decides what the function does; with the user's line.
        """
        if all(read.key in self.reads for read in graph.reads):
            return
        arrays = self.arrays_at(sizes)
        check = ReadCheck(
            lambda answer, limit: self.run_on(arrays, answer, limit),
            [n for array in arrays.values() for n in array.shape],
            self.counted,
        )
        check.check(graph)
        self.reads |= {read.key: read for read in graph.reads}

    def harmless(self) -> tuple[str, ...]:
        """Returns the reads that decide nothing, as text."""
        return tuple(str(read) for read in self.reads.values())


def _key(sizes: Mapping[Axis, int]) -> tuple[tuple[Axis, int], ...]:
    return tuple(sorted(sizes.items()))


def _equal(found: list[Any], expected: list[Any]) -> bool:
    return len(found) == len(expected) and all(
        np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in zip(found, expected, strict=True)
    )
