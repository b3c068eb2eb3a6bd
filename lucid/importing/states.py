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
    """Returns a program whose recurrent operators start from inputs where they started from zeros.

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
    zeros, others = _known(program, scope, examples(program.inputs, shapes, dtypes))
    taken = {*program.inputs, *program.outputs, *(name for step in program.steps for name in step.outputs)}
    for step in program.steps:
        start = 2 if step.form == "recurrent" else 5
        if step.node.op_type in GATES and others.intersection(step.inputs[start : start + 2]):
            raise ModelImportError(f"{step.node} starts from a constant that is not zero, which no output continues")
    hidden = [step for step in program.steps if step.node.op_type in GATES and _hidden(step, zeros)]
    if not hidden:
        raise ModelImportError(
            "no RNN, GRU or LSTM of the model starts from zeros: there is no hidden state to carry from call to call"
        )
    states: list[State] = []
    steps = []
    for step in program.steps:
        if step in hidden:
            number = f"{hidden.index(step) + 1}" if len(hidden) > 1 else ""
            step = _opened(step, program, scope, zeros, batch, number, taken, states)
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
    program: Program,
    scope: Mapping[str, Any],
    zeros: set[str],
    batch: Any,
    number: str,
    taken: set[str],
    states: list[State],
) -> Step:
    """Returns a recurrent step that starts from inputs, and notes them."""
    if step.node.get("direction", "forward") != "forward":
        raise ModelImportError(f"{step.node} runs backward, from the end of a sequence, so its state has no next value")
    inputs = [*step.inputs, *[""] * (7 - len(step.inputs))]
    outputs = [*step.outputs, *[""] * (3 - len(step.outputs))]
    name = step.inputs[6 if step.form == "recurrent" else 2]
    weight: Any = {**scope, **program.constants}[name]
    size = int(weight.shape[-1])
    shape = (batch, 1, size) if step.node.get("layout", 0) else (1, batch, size)
    for place, letter in _hidden(step, zeros).items():
        state, output = _fresh(f"{letter}{number}", taken), _fresh(f"{letter}{number}_next", taken)
        at = 1 if letter == "h" else 2
        inputs[place], outputs[at] = state, outputs[at] or output
        states.append(State(state, output, outputs[at], shape, np.dtype(weight.dtype)))
    count = 3 if step.node.op_type == "LSTM" else 2
    node = step.node._replace(outputs=count)
    return step._replace(inputs=tuple(inputs), outputs=tuple(outputs[:count]), node=node)


def _hidden(step: Step, zeros: set[str]) -> dict[int, str]:
    """Returns the places of the initial states that are missing or zero, each with its letter."""
    start = 2 if step.form == "recurrent" else 5
    places = {start: "h", start + 1: "c"} if step.node.op_type == "LSTM" else {start: "h"}
    names = [*step.inputs, *[""] * 7]
    return {place: letter for place, letter in places.items() if not names[place] or names[place] in zeros}


def _known(program: Program, scope: Mapping[str, Any], arguments: Sequence[Tensor]) -> tuple[set[str], set[str]]:
    """Returns the values that depend on constants and sizes alone: those that are zero, and the others."""
    values = {**scope, **program.constants, **dict(zip(program.inputs, arguments, strict=True))}
    known = {*scope, *program.constants}
    with no_grad():
        for step in program.steps:
            results = computed(step, values)
            values.update({name: value for name, value in zip(step.outputs, results, strict=False) if name})
            by_sizes = all(not name or name in known or isinstance(values[name], Sizes) for name in step.inputs)
            if by_sizes and not step.node.op_type.startswith("Random"):
                known.update(step.outputs)
    known &= values.keys()
    zeros = {name for name in known if _is_zero(values[name])}
    return zeros, known - zeros


def _is_zero(value: Any) -> bool:
    array = value._data if isinstance(value, Tensor) else value
    return isinstance(array, np.ndarray) and not array.any()


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
