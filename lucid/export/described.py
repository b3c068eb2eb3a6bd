"""Describes a file's inputs and outputs in its doc strings: what each is, and what its axes are."""

from __future__ import annotations

import onnx_ir as ir

from ..proof.example import CASTS, origin
from .lowering.plan import SEED, Plan

__all__ = ["describe"]


def describe(model: ir.Model, plan: Plan) -> None:
    """Writes the doc strings of a model's inputs and outputs."""
    ids = _ids(plan)
    continued = {output: name for name, output in plan.interface.states.items()}
    for value in model.graph.inputs:
        value.doc_string = f"{_input(str(value.name), plan, ids)}. {_axes(value)}"
    for value in model.graph.outputs:
        name = str(value.name)
        if name in continued:
            what = f"The state after the last step: the next value of input {continued[name]!r}"
        else:
            what = "A result, step by step" if "time" in _names(value) else "A result"
        value.doc_string = f"{what}. {_axes(value)}"


def _input(name: str, plan: Plan, ids: dict[str, str]) -> str:
    """Says what an input is."""
    lengths, computed, counts, states, optional, _ = plan.interface
    if name in plan.parameters:
        return "A parameter of the model"
    if name == SEED and plan.seed is not None:
        return "The seed of all random numbers"
    if name in lengths:
        return f"The number of steps of each sequence, from 1 to {lengths[name]}"
    if formulas := [f"{formula} from 1 to {steps}" for source, formula, steps in computed if source == name]:
        return f"Lengths of sequences before arithmetic: {' and '.join(formulas)}"
    if name in counts:
        return f"Numbers of positions that a mask counts, up to {counts[name]}"
    if name in states:
        left = [group for group in optional if name in group]
        together = "" if not left or (name,) in left else f" together with {' and '.join(map(repr, left[0]))}"
        zeros = f"; zeros, if a caller leaves it out{together}" if left else "; zeros at the start of a sequence"
        return f"A state: give the output {states[name]!r} of one call to the next{zeros}"
    if name in ids:
        return f"Row numbers of {ids[name]}"
    value = plan.graph.inputs[name]
    return "A sequence" if "time" in map(str, value.shape) else "An argument of the model"


def _ids(plan: Plan) -> dict[str, str]:
    """Returns the inputs that select rows of tables, and which rows there are."""
    names = {value: name for name, value in plan.graph.inputs.items()}
    found = {}
    for node in plan.graph.nodes:
        if node.op.name == "take_rows" and (name := names.get(origin(node.inputs[1], CASTS))) is not None:
            table = plan.graph.labels.get(node.inputs[0], "a table")
            found[name] = f"{table}, from 0 to {node.inputs[0].shape[0] - 1}"
    return found


def _axes(value: ir.Value) -> str:
    return f"Axes: {', '.join(_names(value)) or 'none'}."


def _names(value: ir.Value) -> list[str]:
    return ["?" if str(n) == "None" else str(n) for n in value.shape or ()]
