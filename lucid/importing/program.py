"""Program: the steps of an imported graph."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ..errors import LucidError, ModelImportError
from ..tracer.mode import current_trace
from .registry import IMPORTS, Operation
from .values import as_tensor, constant, elementwise, has_sizes

__all__ = ["Program", "Step", "computed"]

Scope = MutableMapping[str, Any]


class Step(NamedTuple):
    """One node of a graph.

    Attributes:
        form: how it is computed, a name in `IMPORTS`.
        node: the operator and its attributes.
        inputs: the names of its inputs; "" for one that is left out.
        outputs: the names of its outputs.
        dead: the values that no later step reads.
    """

    form: str
    node: Operation
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dead: tuple[str, ...] = ()


class Program(NamedTuple):
    """A graph as steps in the order in which they run.

    Attributes:
        inputs: the names of its inputs.
        outputs: the names of its outputs.
        steps: the steps.
        constants: the constants that they read, by name.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]
    constants: Mapping[str, Any]

    @property
    def read(self) -> set[str]:
        """The names that its steps and its outputs read, graphs within steps included."""
        names = {name for step in self.steps for name in step.inputs} | {*self.outputs}
        for step in self.steps:
            for inner in step.node.attributes.values():
                if isinstance(inner, Program):
                    names |= inner.read
        return names - {""}

    def run(self, scope: Mapping[str, Any], *arguments: Any, named: bool = False) -> list[Any]:
        """Computes the outputs.

        Args:
            scope: the values around it, such as parameters, by name.
            arguments: the values of its inputs.
            named: whether a trace notes the module that each step comes from.
        """
        values = {**scope, **self.constants, **dict(zip(self.inputs, arguments, strict=True))}
        trace = current_trace() if named else None
        for step in self.steps:
            with nullcontext() if trace is None or not step.node.scope else trace.scope(step.node.scope):
                results = computed(step, values)
            for name, result in zip(step.outputs, results, strict=False):
                if name:
                    values[name] = result
            for name in step.dead:
                values.pop(name, None)
        return [values[name] for name in self.outputs]


def computed(step: Step, values: Scope) -> Sequence[Any]:
    """Computes one step; returns its outputs.

    Raises:
        ModelImportError: lucid cannot compute it; the message names the node.
        LucidError: its inputs do not fit.
    """
    importer = IMPORTS[step.form]
    node = step.node
    given = [values[name] if name else None for name in step.inputs]
    try:
        if importer.scoped:
            results = importer.function(node, values, *given)
        elif importer.plain:
            results = importer.function(node, *given)
        elif importer.sizes is not None and has_sizes(given):
            results = elementwise(importer.sizes, given)
        else:
            results = importer.function(node, *[as_tensor(x) for x in given])
            if all(map(constant, given)):
                results = _constants(results)
    except (LucidError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        raise _located(error, node) from error
    return results if isinstance(results, tuple) else (results,)


def _constants(results: Any) -> Any:
    if isinstance(results, tuple):
        return tuple([_constants(result) for result in results])
    return np.asarray(as_tensor(results)._data)


def _located(error: Exception, node: Operation) -> Exception:
    """Returns an error of the same kind that names the node; one that names a node already stays."""
    if isinstance(error, ModelImportError) and error.node is not None:
        return error
    located = (type(error) if isinstance(error, LucidError) else ModelImportError)(f"{node}: {error}")
    if isinstance(located, ModelImportError):
        located.node = node
    return located
