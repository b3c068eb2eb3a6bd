"""Partitions a graph over ranks, each of which has a part of the batch: where they must add something up.

It is what `separation` does for the results of parts, moved into the graph: sums that something is divided by, or that
any other function takes, are added up over the ranks before it. What follows is computed by each rank alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.size import symbols_of
from .placement import InseparableError, Placement
from .separation import place_input, place_number, placed, selects

__all__ = ["Partition", "Task", "partition"]


class Task(NamedTuple):
    """A node, and how a rank runs it.

    Attributes:
        node: the node.
        summed: the inputs, by index, that it takes as sums over all ranks.
        share: whether its result is a mean over the batch, to be weighted by the rank's share of it.
        drawn: the axis of the batch in what it draws at random; None if it draws nothing.
    """

    node: Node
    summed: frozenset[int]
    share: bool
    drawn: int | None


class Partition(NamedTuple):
    """How ranks run a graph.

    Attributes:
        symbol: the symbol of the batch size.
        inputs: for each input its batch axis; None if all ranks have the same.
        levels: the tasks, by the number of exchanges that precede them.
        sums: after each level, the values that are added up over the ranks; the last level has the result.
        partial: whether the result of a rank is its term of the result, not the result itself.
    """

    symbol: str
    inputs: tuple[int | None, ...]
    levels: tuple[tuple[Task, ...], ...]
    sums: tuple[tuple[Value, ...], ...]
    partial: bool


def partition(graph: Graph, symbol: str) -> Partition:
    """Finds how ranks run a graph whose only output has one element.

    Args:
        graph: the graph.
        symbol: the symbol of the axis along which the inputs are cut.

    Raises:
        InseparableError: an op takes the batch as a whole; the message says which, and where.
    """
    (result,) = graph.outputs.values()
    found: dict[Value, Placement] = dict.fromkeys(graph.captured, Placement())
    level = dict.fromkeys(graph.captured, 0)
    places = [place_input(value.shape, symbol) for value in graph.inputs.values()]
    found.update(zip(graph.inputs.values(), places, strict=True))
    level.update(dict.fromkeys(graph.inputs.values(), 0))
    if not any(place.kind == "shard" for place in places):
        raise InseparableError("no input has the batch as an axis")
    tasks: list[list[Task]] = [[]]
    sums: list[dict[Value, None]] = [{}]
    trained = {value for value, tensor in graph.captured.items() if tensor.requires_grad}
    derived: set[Value] = set()  # from sums over ranks that depend on parameters; all ranks compute these alike
    for node in graph.nodes:
        task, results = _task(node, found, symbol)
        values = [x for x in node.inputs if type(x) is Value]
        if any(i in task.summed and x in trained for i, x in enumerate(node.inputs)) or derived.intersection(values):
            # Its gradient would be a sum over the ranks, too.
            if any(place.kind != "replicate" for place in results):
                raise InseparableError(
                    f"{node.op.name} at {node.location} computes parts of the batch with a statistic of all of it that "
                    "depends on parameters"
                )
            derived.update(map(node.value, range(len(node.outputs))))
        if node.op.name != "detach" and trained.intersection(values):
            trained.update(v for v in map(node.value, range(len(node.outputs))) if v.dtype.kind == "f")
        own = 0
        for i, x in enumerate(node.inputs):
            if type(x) is Value:
                own = max(own, level[x] + (i in task.summed))
                if i in task.summed:
                    sums[level[x]][x] = None
        if own == len(tasks):
            tasks.append([])
            sums.append({})
        tasks[own].append(task)
        for i, place in enumerate(results):
            found[node.value(i)] = place
            level[node.value(i)] = own
    place = found[result]
    if place.kind == "shard":
        raise InseparableError("the result has the batch as an axis; return the scalar loss")
    last = level[result]
    if place.kind == "partial" and len(sums) > last:
        sums[last][result] = None
    return Partition(
        symbol,
        tuple([place.axis if place.kind == "shard" else None for place in places]),
        tuple(map(tuple, tasks)),
        tuple([tuple(values) for values in sums]),
        place.kind == "partial",
    )


def _task(node: Node, found: Mapping[Value, Placement], symbol: str) -> tuple[Task, list[Placement]]:
    """Returns how a rank runs a node, and the placements of its results."""
    summed: frozenset[int] = frozenset()
    while True:
        given = [
            place_number(x) if type(x) is not Value else Placement() if i in summed else found[x]
            for i, x in enumerate(node.inputs)
        ]
        partial = frozenset(i for i, place in enumerate(given) if place.kind == "partial")
        try:
            results = _placed(node, given, symbol)
        except InseparableError:
            if not partial:
                raise
            summed |= partial
            continue
        divided = {total for place in results for total in place.over or () if total is not None}
        if divided:
            summed |= {i for i, x in enumerate(node.inputs) if x in divided}
            continue
        share = any(place.over for place in results)
        drawn = results[0].axis if node.op.name == "keyed_uniform" and results[0].kind == "shard" else None
        return Task(node, summed, share, drawn), [place._replace(over=frozenset()) for place in results]


def _placed(node: Node, given: Sequence[Placement], symbol: str) -> list[Placement]:
    if node.op.name == "keyed_uniform":
        shape = node.attrs["shape"]
        return [place_input(shape, symbol) if symbol in symbols_of(shape) else Placement()]
    # A size that a result is computed with is that of the whole batch; one that selects elements is not.
    if selects(node, symbol):
        raise InseparableError(f"{node.op.name} at {node.location} selects by the size of the batch")
    return placed(node, given, symbol)
