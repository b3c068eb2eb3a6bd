"""Traces of models that are only looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn.call import example_of
from ..nn.module import Module
from ..proof.example import as_tensors
from ..proof.isolation import isolated
from ..tracer.graph import Graph
from ..tracer.trace import Call, record

__all__ = ["traced"]


def traced(
    model: Callable[..., Any], inputs: tuple[Any, ...], named: dict[str, Any], calls: list[Call] | None = None
) -> Graph | None:
    """Returns the graph of a model in evaluation mode; the run changes nothing that the model can reach.

    Args:
        model: a Module or a function of Tensors.
        inputs, named: its arguments, tensors or arrays; those of a Module's last call if there are none.
        calls: a list to which the calls of modules are added.

    Returns:
        The graph; None if there are no arguments, and no last call.
    """
    if inputs or named:
        example: Any = as_tensors(inputs), as_tensors(named)
    else:
        example = example_of(model) if isinstance(model, Module) else None
    if example is None:
        return None
    args, kwargs = example
    with isolated(model, evaluation=True):
        return record(model, args, kwargs, calls=calls)
