"""States: inputs that have the shape of a parameter, as those of an optimizer."""

from __future__ import annotations

from ..tracer.graph import Graph
from ..tracer.node import Value
from .placement.elementwise import ELEMENTWISE

__all__ = ["parameter_states"]


def parameter_states(graph: Graph) -> set[str]:
    """Returns the names of the inputs that elementwise ops combine with a parameter of the same shape.

    None of their axes can vary: the parameter's do not.
    """
    # Values that elementwise ops combine, and that have one shape, are in one class.
    above: dict[Value, Value] = {}

    def root(value: Value) -> Value:
        while (up := above.get(value, value)) != value:
            value = up
        return value

    for node in graph.nodes:
        if node.op.name in ELEMENTWISE:
            out = node.value()
            for operand in node.inputs:
                if type(operand) is Value and operand.shape == out.shape:
                    above[root(operand)] = root(out)
    parameters = {root(value) for value, tensor in graph.captured.items() if tensor.requires_grad and value.shape}
    return {name for name, value in graph.inputs.items() if value.shape and root(value) in parameters}
