"""Scan: any step over time, as one op that holds the graph of the step.

Letters: T time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.graph import Graph
from ..tracer.op import Array
from ..tracer.subgraph import record, replay, runner
from .creation import zeros
from .elementwise import add

__all__ = ["scan"]


@op
def scan(*operands: Array, body: Graph, states: int, scanned: int, reverse: bool = False) -> Array:
    """Runs one graph at every time step, and passes its states from step to step (ONNX Scan).

    Args:
        operands: the initial states; the sequences, time first; then the tensors that every step reads.
        body: the graph of a step. Its inputs are the states, a slice of each sequence, and the rest of the operands;
            its outputs are the next states and the results of the step.
        states: how many states there are.
        scanned: how many sequences there are.
        reverse: whether time runs backward.

    Shape:
        The result: the last states; the results of the steps, (T, *) each; and, for the gradient, the states before
        each step, (T, *) each.
    """
    run = runner(body)
    held = list(operands[:states])
    sequences = operands[states : states + scanned]
    rest = operands[states + scanned :]
    steps = len(sequences[0])
    before = [np.empty((steps, *state.shape), state.dtype) for state in held]
    given: list[Array] = []
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        for kept, state in zip(before, held, strict=True):
            kept[t] = state
        results = run([*held, *[sequence[t] for sequence in sequences], *rest])
        held, new = results[:states], results[states:]
        if not given:
            given = [np.empty((steps, *np.shape(y)), np.asarray(y).dtype) for y in new]
        for collected, y in zip(given, new, strict=True):
            collected[t] = y
    return (*[np.array(state) for state in held], *given, *before)


@scan.vjp
def _(
    g: Any,
    operands: Any,
    out: Any,
    needs: tuple[bool, ...],
    body: Graph,
    states: int,
    scanned: int,
    reverse: bool,
) -> Any:
    """Scans the step's own gradient, recorded as a graph, in the other direction.

    Its states are the gradients of the states, and the accumulated gradients of the tensors that every step reads.
    """
    first, sequences, rest = operands[:states], operands[states : states + scanned], operands[states + scanned :]
    given = len(body.outputs) - states
    last, before = range(states), range(states + given, 2 * states + given)
    float_states = [i for i in range(states) if first[i].is_floating_point()]
    wanted_rest = [i for i in range(len(rest)) if needs[states + scanned + i]]
    wanted_sequences = [i for i in range(scanned) if needs[states + i]]
    arriving = [i for i in range(given) if g[states + i] is not None]
    direct = [i for i in float_states if g[before[i]] is not None]

    initial = [zeros(first[i].shape, dtype=first[i].dtype) if g[last[i]] is None else g[last[i]] for i in float_states]
    initial += [zeros(rest[i].shape, dtype=rest[i].dtype) for i in wanted_rest]
    moving = [
        *sequences,
        *[out[i] for i in before],
        *[g[states + i] for i in arriving],
        *[g[before[i]] for i in direct],
    ]
    counts = [len(float_states), len(wanted_rest), scanned, states, len(arriving), len(direct)]

    def step(*tensors: Tensor) -> list[Tensor]:
        g_states, sums, xs, held, g_given, g_before, rest = _parts(tensors, counts)
        for leaf in (*xs, *held, *rest):
            leaf.requires_grad_(leaf.is_floating_point())
        results = replay(body, [*held, *xs, *rest])
        pairs = [(results[i], d) for i, d in zip(float_states, g_states, strict=True)]
        pairs += [(results[states + i], d) for i, d in zip(arriving, g_given, strict=True)]
        targets = [
            *[held[i] for i in float_states],
            *[rest[i] for i in wanted_rest],
            *[xs[i] for i in wanted_sequences],
        ]
        found = _gradients([pair for pair in pairs if pair[0].requires_grad], targets)
        new = found[: len(float_states)]
        for i, d in zip(direct, g_before, strict=True):
            new[float_states.index(i)] = add(new[float_states.index(i)], d)
        added = found[len(float_states) : len(float_states) + len(wanted_rest)]
        return [*new, *map(add, sums, added), *found[len(float_states) + len(wanted_rest) :]]

    # Samples to record a step with; the graph that produced the originals is not part of it.
    sample = [*(x._sample() for x in initial), *(x._sample(first=True) for x in moving), *(x._sample() for x in rest)]
    graph, others, _ = record(step, sample, [f"input_{i}" for i in range(len(sample))], grad=True)
    results = scan(
        *initial,
        *moving,
        *rest,
        *others,
        body=graph,
        states=len(initial),
        scanned=len(moving),
        reverse=not reverse,
    )
    gradients: list[Any] = [None] * len(operands)
    for i, d in zip([*float_states, *[states + scanned + i for i in wanted_rest]], results, strict=False):
        gradients[i] = d
    for i, d in zip(wanted_sequences, results[len(initial) :], strict=False):
        gradients[states + i] = d
    return tuple(gradients)


def _parts(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    """Splits tensors into pieces of these lengths, and the rest."""
    pieces, start = [], 0
    for count in counts:
        pieces.append(list(tensors[start : start + count]))
        start += count
    return [*pieces, list(tensors[start:])]


def _gradients(pairs: Sequence[tuple[Tensor, Tensor]], targets: Sequence[Tensor]) -> list[Tensor]:
    """Returns the gradients of `targets`, zeros where there is none."""
    from ..tracer.backward import backward  # at first use

    values = [target._value or target._leaf_value() for target in targets]
    roots = [(root._value or root._leaf_value(), d) for root, d in pairs]
    found = backward(roots, wrap=Tensor._wrap, targets=values) if roots else {}
    return [
        found[value] if value in found else zeros(target.shape, dtype=target.dtype)
        for value, target in zip(values, targets, strict=True)
    ]
