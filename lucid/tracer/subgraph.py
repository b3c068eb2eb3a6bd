"""Subgraphs: records a function as a graph of its own, also inside a trace, and runs it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .dim import concrete
from .graph import Graph
from .mode import MODE, Mode
from .node import Value
from .trace import Trace
from .tree import LEAF, Structure, flatten

__all__ = ["record", "replay", "runner"]


def record(
    function: Callable[..., Any], inputs: Sequence[Any], names: Sequence[str], *, grad: bool | None = None
) -> tuple[Graph, list[Any], Structure]:
    """Records a function of tensors as a graph in which every tensor that it reads is an input.

    Unlike `trace`, it may be called while another trace is active, which records nothing of this run.

    Args:
        function: takes as many tensors as `inputs` has, and returns tensors, in any nested structure.
        inputs: the tensors to run it on; it receives aliases of them.
        names: a name for each input.
        grad: whether gradients are recorded; the current setting if None.

    Returns:
        The graph; the tensors that the function read besides its inputs, in the order of the graph's further
        inputs; the nested structure of its results.
    """
    mode = MODE.get()
    recording = Trace(parent=mode.trace)
    recording.repeats = True
    fresh = [tensor._alias() for tensor in inputs]
    values = [tensor._leaf_value() for tensor in fresh]
    recording.inputs.update(values)
    token = MODE.set(Mode(mode.grad if grad is None else grad, recording))
    try:
        results, structure = flatten(function(*fresh), _is_tensor)
        outputs = [recording.value_of(tensor) for tensor in results]
    finally:
        MODE.reset(token)
    recording.notes.clear()
    everything = dict(zip(names, values, strict=True))
    everything.update((f"outer_{i}", value) for i, value in enumerate(recording.captured))
    named = {f"output_{i}": value for i, value in enumerate(outputs)}
    graph = Graph(everything, named, {}, {}, LEAF, tuple(recording.reads), sizes=recording.sizes)
    return graph, list(recording.captured.values()), structure


def replay(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """Runs a graph's ops on tensors, so that they are recorded again, and returns its outputs."""
    found: dict[Value, Any] = dict(zip(graph.inputs.values(), inputs, strict=True))
    for node in graph.nodes:
        args = tuple(found[x] if type(x) is Value else x for x in node.inputs)
        results = node.op(*args, **node.attrs)
        for i, result in enumerate(results if isinstance(results, tuple) else (results,)):
            found[node.value(i)] = result
    return [found[value] for value in graph.outputs.values()]


def runner(graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
    """Returns a function that computes a graph on arrays, without recording anything."""
    places: dict[Value, int] = {}
    for value in graph.inputs.values():
        places[value] = len(places)
    constants: dict[int, Any] = {}
    steps: list[tuple[Any, list[int], dict[str, Any], list[int]]] = []
    count = len(places)
    for node in graph.nodes:
        read = []
        for x in node.inputs:
            if type(x) is Value:
                read.append(places[x])
            else:
                constants[count] = concrete(x)
                read.append(count)
                count += 1
        made = list(range(count, count + len(node.outputs)))
        count += len(made)
        places.update((node.value(i), place) for i, place in enumerate(made))
        steps.append((node.op.forward, read, {name: concrete(attr) for name, attr in node.attrs.items()}, made))
    outputs = [places[value] for value in graph.outputs.values()]

    def run(arrays: Sequence[Any]) -> list[Any]:
        held: list[Any] = [*arrays, *[None] * (count - len(arrays))]
        for place, constant in constants.items():
            held[place] = constant
        for forward, read, attrs, made in steps:
            result = forward(*[held[i] for i in read], **attrs)
            if type(result) is tuple:
                for place, part in zip(made, result, strict=True):
                    held[place] = part
            else:
                held[made[0]] = result
        return [held[i] for i in outputs]

    return run


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "_leaf_value")
