"""Proves whether a model can run on parts of a batch independently, and how to combine the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Literal, NamedTuple

from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.size import Size, symbols_of
from .placement import RULES, InseparableError, Placement, Step

__all__ = [
    "Joint",
    "Separation",
    "counts",
    "place_input",
    "place_number",
    "place_results",
    "placed",
    "selects",
    "separable",
    "separate",
    "with_totals",
]

_ZERO = Placement(over=None)
_SIZED = frozenset({"fill", "expand_to", "reshape_to", "slice_add", "sum_to", "index_sum"})
"""The ops whose attributes may contain the batch size, as part of a shape."""


class Joint(NamedTuple):
    """How the parts of an output are combined.

    Attributes:
        kind: "shard": parts are concatenated along `axis`; "partial": they are added up; "replicate": each part gives
            the same.
        axis: the batch axis.
        over: the indices of the totals that weight a part, by its own total divided by the sum of all; -1 is its share
            of the batch.
    """

    kind: Literal["replicate", "shard", "partial"]
    axis: int
    over: tuple[int, ...]


class Separation(NamedTuple):
    """How a model runs on parts of a batch.

    Attributes:
        symbol: the symbol of the batch size.
        inputs: for each input the batch axis; None if each part gets the whole input.
        outputs: how each output is combined.
        totals: the values, of one element each, that weight the outputs.
    """

    symbol: str
    inputs: tuple[int | None, ...]
    outputs: tuple[Joint, ...]
    totals: tuple[Value, ...]


def separate(graph: Graph, axes: Mapping[tuple[str, int], str]) -> Separation | None:
    """Finds the free axis along which most of a graph can be split into independent parts.

    Each op has a rule, in `placement`, that derives the placement of its results; what no rule covers is not separable.
    Sums and means over the batch are separable, and so are the gradients of parameters; a normalization over the batch
    is not.

    Args:
        graph: the graph.
        axes: the symbol of each free axis, by input and axis.

    Returns:
        The separation; None if there is no such axis.
    """
    best, most = None, 0
    for symbol in dict.fromkeys(axes.values()):
        with suppress(InseparableError):
            found = _placements(graph, symbol)
            outputs, totals = _joints(graph, found, symbol)
            inputs = [found[value] for value in graph.inputs.values()]
            cut = sum(found[node.value()].kind != "replicate" for node in graph.nodes)
            if cut > most:
                cuts = tuple(place.axis if place.kind == "shard" else None for place in inputs)
                best, most = Separation(symbol, cuts, outputs, totals), cut
    return best


def separable(graph: Graph, axes: Mapping[tuple[str, int], str]) -> dict[str, dict[str, int]]:
    """Returns, for each free axis along which nothing mixes, the axis of each output: parts need only be concatenated.

    Args:
        graph: the graph.
        axes: the symbol of each free axis, by input and axis.
    """
    found: dict[str, dict[str, int]] = {}
    for symbol in dict.fromkeys(axes.values()):
        with suppress(InseparableError):
            joints, totals = _joints(graph, _placements(graph, symbol), symbol)
            if not totals and all(joint.kind == "shard" and not joint.over for joint in joints):
                found[symbol] = {name: joint.axis for name, joint in zip(graph.outputs, joints, strict=True)}
    return found


def with_totals(graph: Graph, totals: Sequence[Value]) -> Graph:
    """Returns the graph for parts of a batch: the totals of a `Separation` follow the graph's own outputs."""
    free = (name for name in (f"total_{i}" for i in count()) if name not in graph.outputs and name not in graph.inputs)
    return graph._replace(outputs=graph.outputs | dict(zip(free, totals, strict=False)))


def _placements(graph: Graph, symbol: str) -> dict[Value, Placement]:
    """Returns the placement of each value."""
    found: dict[Value, Placement] = dict.fromkeys(graph.captured, Placement())
    for value in graph.inputs.values():
        found[value] = place_input(value.shape, symbol)
    for node in graph.nodes:
        found.update(zip(map(node.value, range(len(node.outputs))), place_results(node, found, symbol), strict=True))
    return found


def place_input(shape: tuple[Any, ...], symbol: str) -> Placement:
    """Returns the placement of an input, which may have the batch as one whole axis.

    Raises:
        InseparableError: it has the batch in it more than once.
    """
    found = [(axis, size) for axis, size in enumerate(shape) if symbol in symbols_of((size,))]
    if not found:
        return Placement()
    if len(found) > 1 or found[0][1] != Size.symbol(symbol):
        raise InseparableError("an input has the batch in it more than once")
    return Placement("shard", found[0][0])


def counts(node: Node, symbol: str) -> bool:
    """Returns whether a node computes with the size of the batch, other than in the shape of its result."""
    return any(symbol in symbols_of(x) for x in node.inputs if type(x) is not Value) or selects(node, symbol)


def selects(node: Node, symbol: str) -> bool:
    """Returns whether an attribute of a node depends on the size of the batch, other than the shape of its result."""
    return node.op.name not in _SIZED and symbol in symbols_of(tuple(node.attrs.values()))


def place_results(node: Node, found: Mapping[Value, Placement], symbol: str) -> list[Placement]:
    """Returns the placements of a node's results.

    Args:
        node: the node.
        found: the placements of the values that it reads.
        symbol: the symbol of the batch size.

    Raises:
        InseparableError: they do not follow from parts of the batch, or no rule says how.
    """
    if counts(node, symbol):
        raise InseparableError("the size of the batch is computed with")
    return placed(node, [found[x] if type(x) is Value else place_number(x) for x in node.inputs], symbol)


def place_number(x: Any) -> Placement:
    """Returns the placement of an input that is a number, or that was omitted."""
    return _ZERO if x == 0 else Placement()


def placed(node: Node, given: Sequence[Placement], symbol: str) -> list[Placement]:
    """Returns the placements of a node's results.

    Args:
        node: the node.
        given: the placements of its inputs.
        symbol: the symbol of the batch size.

    Raises:
        InseparableError: they do not follow from parts of the batch, or no rule says how.
    """
    sized = any(symbol in symbols_of(spec.shape) for spec in node.outputs)
    if not sized and all(place in (Placement(), _ZERO) for place in given):
        return [Placement()] * len(node.outputs)
    rule = RULES.get(node.op.name)
    if rule is None:
        raise InseparableError(f"no rule says how {node.op.name} at {node.location} is placed")
    found = rule(Step(node, given, symbol))
    results = [found] if isinstance(found, Placement) else list(found)
    for place, spec in zip(results, node.outputs, strict=True):
        # A size that is known only at run time may be the batch size.
        inside = [axis for axis, n in enumerate(spec.shape) if n is None or symbol in symbols_of((n,))]
        if inside != ([place.axis] if place.kind == "shard" else []):
            raise InseparableError(f"{node.op.name} at {node.location} has the batch elsewhere")
    return results


def _joints(graph: Graph, found: Mapping[Value, Placement], symbol: str) -> tuple[tuple[Joint, ...], tuple[Value, ...]]:
    """Returns how the outputs are combined, and the totals that this needs."""
    totals: list[Value] = []
    joints = []
    for value in graph.outputs.values():
        place = found[value]
        size: Any = value.shape[place.axis] if place.kind == "shard" else Size.symbol(symbol)
        if size != Size.symbol(symbol):
            raise InseparableError("an output has the batch as part of an axis")
        over = [total for total in place.over or () if total is not None]
        totals += [total for total in over if total not in totals]
        shares = [totals.index(total) for total in over]
        if len(over) < len(place.over or ()):
            shares.append(-1)
        joints.append(Joint(place.kind, place.axis, tuple(shares)))
    return tuple(joints), tuple(totals)
