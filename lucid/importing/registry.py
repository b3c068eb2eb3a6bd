"""The registry of imports: for each ONNX operator the function that computes it with lucid's ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["IMPORTS", "Import", "Operation", "imports"]


class Operation(NamedTuple):
    """A node of an ONNX graph, without its inputs.

    Attributes:
        op_type: the operator.
        name: the node's name, for messages.
        attributes: its attributes by name; texts as str, tensors as arrays, graphs as `Program`s.
        opset: the version of the operator set.
        outputs: how many outputs it has.
        scope: the path of the module that it comes from, as far as its exporter noted one.
    """

    op_type: str
    name: str
    attributes: Mapping[str, Any]
    opset: int
    outputs: int
    scope: str = ""

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an attribute, or the default."""
        return self.attributes.get(name, default)

    def __str__(self) -> str:
        return f"{self.op_type} {self.name!r}" if self.name else self.op_type


class Import(NamedTuple):
    """How an operator is computed.

    Attributes:
        function: called as ``function(node, *inputs)``; it returns a value, or a tuple of them.
        plain: whether it takes constants and sizes as they are; otherwise each input becomes a Tensor.
        scoped: whether it is called as ``function(node, scope, *inputs)``, since its graphs read values around it.
        sizes: what it does with Python's numbers, for operators by which a graph computes with sizes.
    """

    function: Callable[..., Any]
    plain: bool
    scoped: bool
    sizes: Callable[..., Any] | None


IMPORTS: dict[str, Import] = {}
"""The import of each ONNX operator, by its name; forms that several operators share have names in lower case."""


def imports(
    *op_types: str, plain: bool = False, scoped: bool = False, sizes: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers the decorated function as the import of ONNX operators.

    The function gets the node, with its attributes, and its inputs, None for one that is left out.

    Args:
        op_types: the operators.
        plain: whether it takes constants, which are arrays, and `Sizes` as they are.
        scoped: whether it also gets the values around the node.
        sizes: what the operator does with Python's numbers.

    Example:
        >>> from lucid.importing.registry import IMPORTS
        >>> IMPORTS["Tanh"].function(None, lucid.zeros(1))
        tensor([0.])
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for op_type in op_types:
            if op_type in IMPORTS:
                raise ValueError(f"the operator {op_type!r} already has an import")
            IMPORTS[op_type] = Import(function, plain or scoped, scoped, sizes)
        return function

    return register
