"""The recording of one run of an op."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .node import Node, Spec, Value

if TYPE_CHECKING:
    from .op import Op
    from .trace import Trace

__all__ = ["NUMBERS", "record"]

NUMBERS = (bool, int, float)
"""The types of the inputs that an op takes beside tensors."""


def record(
    op: Op[Any, Any],
    args: tuple[Any, ...],
    arrays: list[Any],
    attrs: dict[str, Any],
    results: tuple[Any, ...],
    needs_grad: bool,
    trace: Trace | None,
) -> Node:
    """The node that a run of an op leaves behind.

    Args:
        op: the op that ran.
        args: its inputs: tensors, numbers or None; arrays and NumPy scalars too, unless there is a trace.
        arrays: the same, tensors as their arrays.
        attrs: its attributes.
        results: the arrays it gave.
        needs_grad: whether gradients will be asked for.
        trace: the trace under way, if there is one.
    """
    inputs: list[Any] = []
    for a in args:
        if a is None or type(a) in NUMBERS:
            inputs.append(a)
        elif trace is not None:
            inputs.append(trace.value_of(a))
        elif not isinstance(a, (np.ndarray, np.generic)) and a.requires_grad:
            inputs.append(a._value or a._leaf_value())
        else:
            inputs.append(None)
    saved, stamp = None, 0
    if needs_grad:
        kept = {i: arrays[i] for i in op.kept(len(arrays))}
        for i in kept:
            value = inputs[i]
            if type(value) is Value:
                stamp += value.owner().version
        shapes = tuple([a.shape if type(a) is np.ndarray else () for a in arrays]) if op.keeps_shapes else ()
        saved = (kept, results if op.keeps_out else (), shapes)
    specs = tuple([Spec(r.shape, r.dtype) for r in results])
    node = Node(op, tuple(inputs), attrs, specs, needs_grad, saved, stamp)
    if results[0].base is not None and type(inputs[0]) is Value:
        node.views = np.may_share_memory(results[0], arrays[0])
    if trace is not None:
        trace.record(node)
    return node
