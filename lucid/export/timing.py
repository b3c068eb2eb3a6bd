"""Timing: how long a call of an exported model takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median
from time import perf_counter

import onnx_ir as ir

from ..proof.example import Example
from .file.write import staged
from .lowering.plan import Plan
from .parity import feed_of, session_of
from .precision import Precision

__all__ = ["seconds"]

_MOST_CALLS, _FEWEST_CALLS, _ENOUGH = 50, 3, 0.2
"""How often each model is timed, and after how many seconds in all that is enough."""


def seconds(models: Sequence[tuple[ir.Model, Precision | None]], plan: Plan, example: Example) -> tuple[float, ...]:
    """Returns how long a call of each model takes at the example's sizes: the medians of calls in turn.

    Args:
        models: the models, and the precision that each was converted to.
        plan: a plan of them.
        example: the inputs.
    """
    arrays = {**example.arrays, **{name: tensor._data for name, tensor in plan.inputs.items()}}
    empty = any(not array.size for array in example.arrays.values())
    calls = []
    for model, precision in models:
        with staged(model) as source:
            session = session_of(source, empty)
        calls.append(partial(session.run, None, feed_of(session, arrays, precision)))
        calls[-1]()
    taken: list[list[float]] = [[] for _ in calls]
    begun = perf_counter()
    while len(taken[0]) < _MOST_CALLS and (len(taken[0]) < _FEWEST_CALLS or perf_counter() - begun < _ENOUGH):
        for call, times in zip(calls, taken, strict=True):
            start = perf_counter()
            call()
            times.append(perf_counter() - start)
    return tuple(median(times) for times in taken)
