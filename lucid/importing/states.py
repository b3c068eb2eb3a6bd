"""States: initial states that a file hides, as inputs, and last states as outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModelImportError
from ..tensor import Tensor
from ..tracer import no_grad
from .freeing import examples, roles
from .program import Program, Step, computed
from .values import Sizes
from .weights import GATES

__all__ = ["State", "with_states"]


class State(NamedTuple):
    """A state that was hidden.

    Attributes:
        name: the input that it becomes.
        output: the output that is its next value.
        value: the program's name for that.
        shape: its axes.
        dtype: its dtype.
    """

    name: str
    output: str
    value: str
    shape: tuple[int | str | None, ...]
    dtype: np.dtype[Any]


def with_states(
    program: Program,
    scope: Mapping[str, Any],
    shapes: Mapping[str, tuple[int | str, ...]],
    dtypes: Mapping[str, Any],
) -> tuple[Program, list[State]]:
    """Returns a program whose recurrent operators, scans and loops start from inputs where they started from zeros.

    Args:
        program: the program.
        scope: its parameters and buffers.
        shapes: the shape of each input: sizes, and names of free axes.
        dtypes: the dtype of each input.

    Raises:
        ModelImportError: there is no hidden state, it is not zero, or it cannot be carried on.
    """
    found = roles(program, scope, shapes, dtypes)
    batch: Any = next((shapes[name][axis] for (name, axis), role in found.items() if role == "batch"), 1)
    known = _known(program, scope, shapes, dtypes)
    taken = {*program.inputs, *program.outputs, *(name for step in program.steps for name in step.outputs)}
    for step in program.steps:
        if any(name in known and not known[name].zero for name in _starts(step, known).values()):
            raise ModelImportError(f"{step.node} starts from a constant that is not zero, which no output continues")
    hidden = [step for step in program.steps if _hidden(step, known)]
    if not hidden:
        raise ModelImportError(
            "no RNN, GRU, LSTM, Scan or Loop of the model starts from zeros: there is no hidden state to carry from "
            "call to call"
        )
    states: list[State] = []
    steps = []
    for step in program.steps:
        if step in hidden:
            number = f"{hidden.index(step) + 1}" if len(hidden) > 1 else ""
            step = _opened(step, {**scope, **program.constants}, known, batch, number, taken, states)
        steps.append(step)
    kept = {state.value for state in states}
    steps = [step._replace(dead=tuple([name for name in step.dead if name not in kept])) for step in steps]
    program = program._replace(
        inputs=(*program.inputs, *[state.name for state in states]),
        outputs=(*program.outputs, *[state.value for state in states]),
        steps=tuple(steps),
    )
    return program, states


def _opened(
    step: Step,
    weights: Mapping[str, Any],
    known: Mapping[str, _Known],
    batch: Any,
    number: str,
    taken: set[str],
    states: list[State],
) -> Step:
    """Returns a step that starts from inputs, and notes them."""
    if step.node.get("direction", "forward") != "forward" or any(step.node.get("scan_input_directions") or ()):
        raise ModelImportError(f"{step.node} runs backward, from the end of a sequence, so its state has no next value")
    layer = step.node.op_type in GATES
    first, places = _first(step), _hidden(step, known)
    # The first result of a recurrent operator is its output; those of a Scan or a Loop begin with the last states.
    inputs = [*step.inputs, *[""] * (places[-1] + 1 - len(step.inputs))]
    outputs = [*step.outputs, *[""] * (places[-1] - first + 1 + layer - len(step.outputs))]
    for i, place in enumerate(places):
        at = place - first + layer
        letter = "c" if layer and place > first else "h"
        own = f"{number}_{i + 1}" if not layer and len(places) > 1 else number
        state, output = _fresh(f"{letter}{own}", taken), _fresh(f"{letter}{own}_next", taken)
        shape, dtype = _state_of(step, weights, batch) if layer else known[inputs[place]][1:]
        inputs[place], outputs[at] = state, outputs[at] or output
        states.append(State(state, output, outputs[at], shape, dtype))
    node = step.node._replace(outputs=len(outputs))
    return step._replace(inputs=tuple(inputs), outputs=tuple(outputs), node=node)


def _state_of(step: Step, weights: Mapping[str, Any], batch: Any) -> tuple[tuple[Any, ...], np.dtype[Any]]:
    """Returns the axes and the dtype of a recurrent operator's state."""
    weight = weights[step.inputs[6 if step.form == "recurrent" else 2]]
    size = int(weight.shape[-1])
    return (batch, 1, size) if step.node.get("layout", 0) else (1, batch, size), np.dtype(weight.dtype)


def _first(step: Step) -> int:
    """Returns the place of the first initial state among the inputs of a step."""
    if step.node.op_type in GATES:
        return 2 if step.form == "recurrent" else 5
    return 2 if step.node.op_type == "Loop" else 0


def _starts(step: Step, known: Mapping[str, _Known]) -> dict[int, str]:
    """Returns the places of the initial states of floats, each with the name of the value, "" if there is none."""
    kind, first = step.node.op_type, _first(step)
    if kind in GATES:
        names = [*step.inputs, *[""] * 7]
        return {place: names[place] for place in range(first, first + (2 if kind == "LSTM" else 1))}
    if kind == "Scan":
        count = len(step.inputs) - step.node.get("num_scan_inputs")
    elif kind == "Loop":
        count = step.node.get("states")
    else:
        return {}
    starts = {first + i: name for i, name in enumerate(step.inputs[first : first + count])}
    return {place: name for place, name in starts.items() if name not in known or known[name].dtype.kind == "f"}


def _hidden(step: Step, known: Mapping[str, _Known]) -> list[int]:
    """Returns the places of the initial states that are missing or zero."""
    starts = _starts(step, known)
    return [place for place, name in starts.items() if not name or (name in known and known[name].zero)]


class _Known(NamedTuple):
    """A value that depends on constants and sizes alone.

    Attributes:
        zero: whether all its elements are zero.
        shape: its axes; one as long as an axis that is free has its name.
        dtype: its dtype.
    """

    zero: bool
    shape: tuple[int | str | None, ...]
    dtype: np.dtype[Any]


def _known(
    program: Program, scope: Mapping[str, Any], shapes: Mapping[str, tuple[int | str, ...]], dtypes: Mapping[str, Any]
) -> dict[str, _Known]:
    """Returns the values that depend on constants and sizes alone."""
    labels = sorted({n for shape in shapes.values() for n in shape if isinstance(n, str)})
    runs = [examples(program.inputs, shapes, dtypes, turn) for turn in (0, 1)]
    lengths = [
        {n: x.shape[i] for name, x in zip(program.inputs, run, strict=True) for i, n in enumerate(shapes[name])}
        for run in runs
    ]
    names = {tuple(sizes[label] for sizes in lengths): label for label in labels}
    first, second = (_constants(program, scope, run) for run in runs)
    found = {}
    for name, a in first.items():
        b = second.get(name)
        if b is not None and a.ndim == b.ndim:
            axes = [m if m == n else names.get((m, n)) for m, n in zip(a.shape, b.shape, strict=True)]
            found[name] = _Known(not a.any() and not b.any(), tuple(axes), a.dtype)
    return found


def _constants(program: Program, scope: Mapping[str, Any], arguments: Sequence[Tensor]) -> dict[str, Any]:
    """Runs a program; returns the tensors and arrays that depend on constants and sizes alone."""
    values = {**scope, **program.constants, **dict(zip(program.inputs, arguments, strict=True))}
    known = {*scope, *program.constants}
    with no_grad():
        for step in program.steps:
            results = computed(step, values)
            values.update({name: value for name, value in zip(step.outputs, results, strict=False) if name})
            by_sizes = all(not name or name in known or isinstance(values[name], Sizes) for name in step.inputs)
            if by_sizes and not step.node.op_type.startswith("Random"):
                known.update(step.outputs)
    arrays = {name: value._data if isinstance(value, Tensor) else value for name, value in values.items()}
    return {name: arrays[name] for name in known & arrays.keys() if isinstance(arrays[name], np.ndarray)}


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
