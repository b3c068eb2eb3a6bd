"""Imports of Scan, Loop and If. A graph in a node reads the values around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ModelImportError
from ...nn.scan import scan
from ...ops import arange, flip, moveaxis, zeros
from ...tensor import Tensor
from ...tracer.extent import lesser, same
from ..program import Program
from ..registry import Operation, imports
from ..values import as_tensor, integers, scalar

__all__: list[str] = []

_ENDLESS = 2**31 - 1
"""A number of trips that stands for "until the condition fails"."""


@imports("If", scoped=True)
def _(node: Operation, scope: Mapping[str, Any], condition: Any) -> Any:
    taken: Program = node.get("then_branch") if _holds(node, condition) else node.get("else_branch")
    return _given(node, taken.run(scope))


@imports("Scan", scoped=True)
def _(node: Operation, scope: Mapping[str, Any], *given: Any) -> Any:
    body: Program = node.get("body")
    count = len(given) - node.get("num_scan_inputs")
    axes = node.get("scan_input_axes") or [0] * (len(given) - count)
    backward = node.get("scan_input_directions") or [0] * (len(given) - count)
    sequences = [_turned(as_tensor(x), axis, way) for x, axis, way in zip(given[count:], axes, backward, strict=True)]
    last, outputs = _scanned(scope, body, [as_tensor(x) for x in given[:count]], sequences)
    axes = node.get("scan_output_axes") or [0] * len(outputs)
    backward = node.get("scan_output_directions") or [0] * len(outputs)
    outputs = [_placed(flip(y, 0) if way else y, axis) for y, axis, way in zip(outputs, axes, backward, strict=True)]
    return _given(node, [*last, *outputs])


def _holds(node: Operation, condition: Any) -> bool:
    """Returns a condition as a bool."""
    if condition.dtype.kind != "b" or as_tensor(condition).numel() != 1:
        shape = tuple(as_tensor(condition).shape)
        raise ModelImportError(f"{node}: its condition must be one bool; got {condition.dtype} of shape {shape}")
    return bool(scalar(condition))


def _given(node: Operation, results: Sequence[Any]) -> tuple[Any, ...]:
    """Returns the results of a node's graph."""
    if node.outputs > len(results):
        raise ModelImportError(f"{node} has {node.outputs} outputs, and its graph gives {len(results)}")
    return tuple(results)


@imports("Loop", scoped=True)
def _(node: Operation, scope: Mapping[str, Any], most: Any, condition: Any, *given: Any) -> Any:
    body: Program = node.get("body")
    held, scanned = node.get("states"), node.get("scanned")
    states, rest = [as_tensor(x) for x in given[:held]], given[held:]
    begins = condition is None or _holds(node, condition)
    trips = _trips(node, most, rest) if begins else 0
    if trips <= 0:
        if len(body.outputs) - 1 > held:
            raise ModelImportError(f"{node} makes no trip, so what it collects would be empty")
        return _given(node, states)
    counters: Mapping[int, int] = node.get("counters")
    free = [i for i in range(held) if i not in counters]
    sequences = [as_tensor(x) for x in rest[len(rest) - scanned :]]
    sequences = [x if same(x.shape[0], trips) else x[:trips] for x in sequences]
    # Without the number of the trip, what a piece of a sequence gives does not depend on where the piece begins.
    timed = bool(counters) or not sequences or body.inputs[0] in body.read
    if timed:
        sequences.insert(0, arange(trips))

    def step(read: Sequence[Tensor], following: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        time, *gathered = read if timed else (zeros(()), *read)
        now = {i: states[i] + (time * slope).to(states[i].dtype) for i, slope in counters.items()}
        now.update(zip(free, following, strict=True))
        results = body.run(scope, time, np.array(True), *[now[i] for i in range(held)], *gathered)
        new = [as_tensor(x) for x in results[1:]]
        return new[held:], [new[i] for i in free]

    outputs, last = _run(step, sequences, [states[i] for i in free])
    ends = {i: states[i] + as_tensor(np.array(slope)).to(states[i].dtype) * trips for i, slope in counters.items()}
    ends.update(zip(free, last, strict=True))
    outputs = outputs[: len(body.outputs) - 1 - held]
    return _given(node, [*(ends[i].to(states[i].dtype) for i in range(held)), *outputs])


def _trips(node: Operation, most: Any, rest: Sequence[Any]) -> Any:
    """Returns the number of trips of a Loop: a number, or a size."""
    found = None
    if most is not None:
        (count,) = integers(most)
        found = None if type(count) is int and count >= _ENDLESS else count
    for start, limit, offset, slope in node.get("bounds"):
        low = 0 if start is None else integers(rest[start])[0]
        high = 0 if limit is None else integers(rest[limit])[0]
        ahead = high - low - offset
        count = 1 + (-(-ahead // slope) if slope > 1 else ahead) if ahead > 0 else 1
        found = count if found is None else lesser(found, count)
    if found is None:
        raise ModelImportError(f"{node} has no end: neither a number of trips nor a condition that counts")
    return found


def _scanned(
    scope: Mapping[str, Any], body: Program, states: list[Tensor], sequences: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Runs a Scan's body; returns the last states, and what it collects."""

    def step(read: Sequence[Tensor], held: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        results = [as_tensor(x) for x in body.run(scope, *held, *read)]
        return results[len(states) :], results[: len(states)]

    outputs, last = _run(step, sequences, states)
    return last, outputs[: len(body.outputs) - len(states)]


def _run(step: Any, sequences: list[Tensor], states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Runs a step over sequences; a scan needs a state and a result, so one without gets a number that stays 0."""

    def padded(read: Any, held: Any) -> tuple[list[Tensor], list[Tensor]]:
        outputs, following = step(read, held[: len(states)])
        return outputs or [following[0]], following or held

    outputs, last = scan(padded, sequences, states or [zeros(())])
    probe = len(outputs)
    return outputs, last[: len(states)] if probe else last


def _turned(x: Tensor, axis: int, backward: int) -> Tensor:
    """Returns a sequence with time first, forward."""
    x = moveaxis(x, axis, 0) if axis else x
    return flip(x, 0) if backward else x


def _placed(x: Tensor, axis: int) -> Tensor:
    """Moves time from the first axis to where an output has it."""
    return moveaxis(x, 0, axis) if axis else x
