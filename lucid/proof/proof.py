"""Proof: a graph that holds at all sizes of its free axes."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from ..tracer.dim import Guard
from ..tracer.graph import Graph
from ..tracer.location import Location
from ..tracer.symbolic import resolved
from .example import Axis

__all__ = ["Condition", "Proof"]


class Condition(NamedTuple):
    """A condition on sizes.

    Attributes:
        guard: the guard that must come out as it did.
        where: the user's line.
        of_program: whether the program itself raises an error where it does not hold; if not, it does something else.
    """

    guard: Guard
    where: Location | None
    of_program: bool

    def __str__(self) -> str:
        return str(self.guard)


class Proof(NamedTuple):
    """A graph that holds at all sizes of its free axes.

    Attributes:
        graph: the graph, with a `Size` wherever something depends on a free axis.
        axes: the symbol of each free axis.
        sizes: the example's size for each symbol.
        fixed: the reason why each other axis is fixed.
        reads: where Python reads elements of tensors, without any effect on the graph.
        conditions: what sizes must satisfy.
        tight: the fixed axes of which the function accepts no other size.
    """

    graph: Graph
    axes: dict[Axis, str]
    sizes: dict[str, int]
    fixed: dict[Axis, str]
    reads: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    tight: frozenset[Axis] = frozenset()

    def pinned(self, symbols: Set[str], reason: str) -> Proof:
        """Returns the proof with some symbols fixed at the example's sizes, for the given reason."""
        numbers = {symbol: self.sizes[symbol] for symbol in symbols}
        return Proof(
            resolved(self.graph, numbers),
            {axis: symbol for axis, symbol in self.axes.items() if symbol not in symbols},
            {symbol: n for symbol, n in self.sizes.items() if symbol not in symbols},
            self.fixed | {axis: reason for axis, symbol in self.axes.items() if symbol in symbols},
            self.reads,
            tuple([c._replace(guard=c.guard.renamed(numbers)) for c in self.conditions]),
            self.tight,
        )
