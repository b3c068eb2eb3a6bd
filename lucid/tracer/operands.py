"""What the generated calling functions of ops use: inputs as arrays, results as Tensors, and the node of a call."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DtypeError
from .described import described
from .node import Node, Spec, Value
from .promotion import number
from .writes import WRITES

if TYPE_CHECKING:
    from .op import Op
    from .trace import Trace

__all__ = [
    "NUMBERS",
    "as_array",
    "as_arrays",
    "captured",
    "lacks",
    "link",
    "number_of",
    "operand",
    "recorded",
    "wrap_array",
]

NUMBERS = frozenset((bool, int, float))
"""The types of input that an op accepts besides tensors and arrays."""

# A named tuple's own constructor takes three times as long.
_new = object.__new__
_spec = functools.partial(tuple.__new__, Spec)


def lacks(op: Op[Any, Any], name: str) -> None:
    """Raises the error of a required argument that was not given by either of its names."""
    raise TypeError(f"{op.name}() missing 1 required argument: {name!r}")


def as_array(op: Op[Any, Any], x: Any) -> Any:
    """Converts an input that is not a Tensor for the op's forward."""
    if x is None or type(x) in NUMBERS:
        return x
    if isinstance(x, (np.ndarray, np.generic)):
        # A NumPy scalar takes part in dtype promotion, as in NumPy 2; a Python number does not.
        return np.asarray(x)
    raise DtypeError(f"{op.name}: expected Tensors, arrays or numbers; got {described(x)}")


def operand(op: Op[Any, Any], x: Any) -> tuple[Any, Any, Any]:
    """Returns an input that is no tensor, what the forward gets for it, and its dtype or type."""
    x = number(x)
    array = as_array(op, x)
    return x, array, array.dtype if type(array) is np.ndarray else type(array)


def as_arrays(result: Any) -> Any:
    """Returns a forward's result as an array or a tuple of arrays: NumPy turns arrays without axes into scalars."""
    return tuple([np.asarray(part) for part in result]) if type(result) is tuple else np.asarray(result)


def number_of(x: Any) -> Any:
    """Returns an input that is a number; None for anything else."""
    return x if type(x) in NUMBERS else None


def captured(op: Op[Any, Any], x: Any, trace: Trace) -> Any:
    """Returns an input as a traced node stores it: a value for a tensor or array, a number, or None."""
    if x is None or type(x) in NUMBERS:
        return x
    return trace.value_of(x if isinstance(x, op.tensor) else op.tensor._wrap(np.asarray(x)))


def wrap_array(op: Op[Any, Any], array: Any) -> Any:
    """Returns the tensor that a view of an array is a view of."""
    return op.tensor._wrap(np.asarray(array))


def link(results: Any, base: Any) -> None:
    """Notes of which tensor results are views."""
    for result in results if type(results) is tuple else (results,):
        result._base = base


def recorded(
    op: Op[Any, Any],
    inputs: tuple[Any, ...],
    attrs: dict[str, Any],
    result: Any,
    saved: Any,
    trace: Trace | None,
) -> Any:
    """Records a node and returns the op's results as Tensors.

    Args:
        op: the op that ran.
        inputs: its inputs as the node stores them: values, numbers or None.
        attrs: its attributes.
        result: the array that it returned, or a tuple of them.
        saved: what the gradient rule needs; None if no gradients are recorded.
        trace: the active trace, if any.
    """
    needs, stamp = saved is not None, WRITES.now
    results: Any
    if type(result) is tuple:
        node = Node(op, inputs, attrs, tuple([_spec((part.shape, part.dtype)) for part in result]), needs, saved, stamp)
        results = tuple([op.tensor._wrap(part, node.value(i)) for i, part in enumerate(result)])
    else:
        # The same for one result, inlined: the calls would take as long as everything else here.
        shape, dtype = spec = _spec((result.shape, result.dtype))
        node = _new(Node)
        node.op, node.inputs, node.attrs, node.outputs = op, inputs, attrs, (spec,)
        node.needs_grad, node.saved, node.stamp = needs, saved, stamp
        node.hooks = node.trace = node.sizes = node.location = None
        node.scope = ""
        results = _new(op.tensor)
        results._data, results.grad, results._axes, results._base = result, None, None, None
        results._requires_grad = needs = needs and dtype.kind == "f"
        results._value = value = _new(Value)
        value.shape, value.dtype, value.requires_grad, value.node, value.index = shape, dtype, needs, node, 0
        value.leaf = value.hooks = None
    if trace is not None:
        trace.record(node)
    return results
