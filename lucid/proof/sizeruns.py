"""Runs at other sizes: traces with formulas for sizes, and plain ones that these must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from .. import traced  # noqa: F401 - symbolic traces need it, and the size rules of all ops
from ..errors import TraceError
from ..ops import sizes_of_layers  # noqa: F401
from ..tracer.agreement import require_agreement
from ..tracer.dim import Guard
from ..tracer.graph import Graph
from ..tracer.replay import Replay
from ..tracer.size import Size
from .example import Arrays, Axis, Example
from .isolation import isolated
from .naming import listed
from .runs import Runs

__all__ = ["SizeRuns"]

MOST_ELEMENTS = 1_000_000
"""The most elements of the inputs in a run at a size that is only probed."""

_VALUES = 4
"""The most other values with which numbers are compared."""


class SizeRuns(Runs):
    """The runs of a function whose axes have symbols.

    Args:
        function: the function.
        example: its arguments.
        trained: whether what requires gradients may change, as inputs do.

    Attributes:
        symbols: the symbol of each axis that may vary.
        plain_keys: whether sizes have the hashes of their numbers in symbolic traces.
    """

    def __init__(self, function: Callable[..., Any], example: Example, trained: bool = False) -> None:
        super().__init__(function, example, trained)
        self.symbols: dict[Axis, str] = {}
        self.plain_keys = False

    def all_axes(self) -> list[Axis]:
        """Returns all axes of the inputs."""
        return [(name, axis) for name, array in self.example.arrays.items() for axis in range(array.ndim)]

    def size(self, axis: Axis) -> int:
        """Returns the size of an axis in the example."""
        return self.example.arrays[axis[0]].shape[axis[1]]

    def axes_of(self, symbol: str) -> tuple[Axis, ...]:
        """Returns the axes that have a symbol."""
        return tuple([axis for axis, own in self.symbols.items() if own == symbol])

    def unasked(self, symbol: str) -> str:
        """Returns which other axes of the same size were not asked for; one of them may have to vary as well."""
        size = self.size(self.axes_of(symbol)[0])
        others = [axis for axis in self.all_axes() if axis not in self.symbols and self.size(axis) == size != 1]
        return (
            f"; if it is also {listed(others)}, name it there, too: dynamic={{..., "
            + ", ".join(f"{name!r}: {{{axis}: {symbol!r}}}" for name, axis in others)
            + "}"
            if others
            else ""
        )

    def sized(self, sizes: Mapping[str, int]) -> dict[Axis, int]:
        """Returns the size of each axis, given those of the symbols."""
        return {axis: sizes[symbol] for axis, symbol in self.symbols.items()}

    def too_large(self, sizes: Mapping[str, int]) -> bool:
        """Returns whether a run at these sizes would take long."""
        return self.example.elements(self.sized(sizes)) > max(MOST_ELEMENTS, 4 * self.example.elements({}))

    def symbolic(self, sizes: Mapping[str, int], flipped: Guard | None = None) -> Graph:
        """Traces a run with formulas for sizes.

        Args:
            sizes: the size of each symbol.
            flipped: a guard that gets the opposite outcome.

        Raises:
            Exception: the function raises it at these sizes, or because sizes are not plain numbers.
        """
        arrays = self.arrays_at(self._moved(sizes))
        shapes = [
            [
                Size.symbol(self.symbols[name, axis]) if (name, axis) in self.symbols else n
                for axis, n in enumerate(arrays[name].shape)
            ]
            for name in self.example.names
        ]
        return self.run_on(arrays, shapes=shapes, flipped=flipped, plain_keys=self.plain_keys)

    def _moved(self, sizes: Mapping[str, int]) -> dict[Axis, int]:
        """Returns the axes that have another size than in the example."""
        return {axis: n for axis, n in self.sized(sizes).items() if n != self.size(axis)}

    def plain(self, sizes: Mapping[str, int]) -> Graph:
        """Traces a run without formulas, as the eager function runs; the trace is cached."""
        return self.traced(self._moved(sizes))

    def difference(self, graph: Graph, sizes: Mapping[str, int], before: Mapping[str, int]) -> str | None:
        """Returns how the function at other sizes differs from a graph; None if it does not.

        Args:
            graph: the graph, with formulas.
            sizes: the size of each symbol in it.
            before: the sizes that it was traced at.

        Raises:
            Exception: the function raises it at these sizes.
            ExportError: a read decides what the function does there.
        """
        other = self.plain(sizes)
        self.check_reads(other, self._moved(sizes))
        try:
            require_agreement(graph, other, sizes, before)
        except TraceError as error:
            # The function may get the same numbers in another way: from a cache, or without an op that does nothing.
            return None if self.same_numbers(graph, sizes) else str(error)
        if graph.measured and not self.same_numbers(graph, sizes):
            return "the function gives other numbers"
        return None

    def same_numbers(self, graph: Graph, sizes: Mapping[str, int]) -> bool:
        """Returns whether a graph gives the numbers that the function gives at some sizes."""
        given = self.arrays_at(self._moved(sizes))
        if not self._same_numbers(graph, given, sizes):
            return False
        same = (
            self._same_numbers(graph, arrays, sizes) for arrays in islice(self.example.perturbations(given), _VALUES)
        )
        if next((found for found in same if found is not None), True) is False:
            return False
        return all(self._same_numbers(graph, arrays, sizes) is not False for arrays in _signed(given))

    def _same_numbers(self, graph: Graph, arrays: Arrays, sizes: Mapping[str, int]) -> bool | None:
        """Returns whether graph and function give the same numbers; None if the function raises an error."""
        with np.errstate(all="ignore"):
            try:
                with isolated(self.reach):
                    expected = self.results(arrays)
            except Exception:  # the user's code may reject numbers that are made up
                return None
            try:
                return _close(Replay(graph).run([arrays[name] for name in graph.inputs], sizes), expected)
            except Exception:  # ops may raise anything where the graph is wrong
                return False


def _signed(arrays: Arrays) -> Iterator[Arrays]:
    """Yields arrays with floats of both signs and of several magnitudes, and zeros: ops may be alike on some."""
    rng = np.random.default_rng(2)
    for scale in (1.0, 50.0, 1e4):
        made = dict(arrays)
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                numbers = rng.standard_normal(array.shape) * scale
                made[name] = np.asarray(np.where(rng.random(array.shape) < 0.1, 0, numbers), array.dtype)
        yield made


def _close(found: list[Any], expected: list[Any]) -> bool:
    return len(found) == len(expected) and all(
        one.shape == other.shape
        and one.dtype == other.dtype
        and np.allclose(one, other, 1e-4, 1e-5, equal_nan=one.dtype.kind == "f")
        for one, other in zip(found, expected, strict=True)
    )
