"""Layout: which axis of a model's inputs and outputs counts rows, and what one row of each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import LucidError
from ..session.formula import compute
from ..session.session import Session
from ..session.spec import Spec, evaluate

__all__ = ["Field", "Layout", "lay_out", "lengths_of"]


class Field(NamedTuple):
    """One row of an input or output.

    Attributes:
        name: the name of the input or output.
        dtype: the dtype of its elements.
        shape: the shape of a row: for each axis its size, its name if it is free, or None if it is unknown.
        axis: the axis of the input or output that counts rows.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]
    axis: int

    @property
    def dims(self) -> str:
        """The shape as text."""
        return f"({', '.join('?' if n is None else str(n) for n in self.shape)})"


class Layout(NamedTuple):
    """The rows of a model's inputs and outputs.

    Attributes:
        batch: the name of the axis that counts rows.
        proved: whether the file says that rows do not depend on one another; otherwise the user does.
        inputs: a row of each input.
        outputs: a row of each output.
    """

    batch: str
    proved: bool
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


def lay_out(session: Session, batch: str | None) -> Layout:
    """Finds the axis that counts rows.

    Args:
        session: the model.
        batch: the name of that axis; if None, the one along which the file says that nothing mixes.

    Raises:
        LucidError: there is none, or there are several, or an input or output does not have it.
    """
    separable = session.interface.separable
    if batch is None:
        batch = _chosen(session, separable)
    elif batch not in session.axes:
        raise LucidError(f"score: the model has no free axis {batch!r}; there is {', '.join(session.axes) or 'none'}")
    outputs = separable.get(batch)
    inputs = [_field(spec, "input", batch, None) for spec in session.inputs]
    made = [_field(spec, "output", batch, None if outputs is None else outputs[spec.name]) for spec in session.outputs]
    return Layout(batch, outputs is not None, tuple(inputs), tuple(made))


def _chosen(session: Session, separable: Mapping[str, Mapping[str, int]]) -> str:
    """Returns the axis called batch; or, if no axis is, the only one along which nothing mixes, but never the time."""
    names, named = list(separable), "batch" in session.axes
    if "batch" in names:
        return "batch"
    if len(names) == 1 and not named and names != ["time"]:
        return names[0]
    if names and not named:
        raise LucidError(
            f"score: nothing mixes along {' and '.join(map(repr, names))}, so any could count rows; say which does: "
            f"batch={names[0]!r}, or --batch-axis {names[0]}"
        )
    axes = ", ".join(session.axes)
    how = (
        f"if an axis counts independent rows all the same, name it, of {axes}: batch=, or --batch-axis; then the first "
        "rows of each file are compared with what each gives alone"
        if axes
        else "no axis is free; export the model with dynamic='auto'"
    )
    raise LucidError(
        "score: the file does not prove that the rows of a batch do not depend on one another: the model mixes them, "
        f"adds them up, or draws random numbers, or lucid did not write the file; {how}"
    )


def _field(spec: Spec, kind: str, batch: str, axis: int | None) -> Field:
    if axis is None:
        if spec.shape.count(batch) != 1:
            raise LucidError(
                f"score: {kind} {spec} does not have the axis {batch!r} once, so it is not one of each row; export a "
                f"function whose inputs and outputs all have it"
            )
        axis = spec.shape.index(batch)
    return Field(spec.name, spec.dtype, (*spec.shape[:axis], *spec.shape[axis + 1 :]), axis)


def lengths_of(session: Session, field: Field, sizes: Mapping[str, int]) -> int | None:
    """Returns what an input that holds the lengths of sequences is for whole sequences, without padding.

    Args:
        session: the model.
        field: the input.
        sizes: the sizes of the free axes of a row.

    Returns:
        The length; None if the input does not hold lengths, or if it does not follow.
    """
    if field.shape:
        return None
    steps = {**session.interface.counts, **session.interface.lengths}.get(field.name)
    if steps is not None:
        return evaluate(steps, sizes)
    formulas = [(formula, most) for name, formula, most in session.interface.computed if name == field.name]
    # Before arithmetic, the length of a whole sequence is the size of an axis; the formula must make all steps of it.
    fitting = {n for n in sizes.values() if _all_steps(formulas, n, sizes)}
    return fitting.pop() if formulas and len(fitting) == 1 else None


def _all_steps(formulas: Sequence[tuple[str, str | int]], length: int, sizes: Mapping[str, int]) -> bool:
    return all(compute(formula, {**sizes, "length": length}) == evaluate(most, sizes) for formula, most in formulas)
