"""The recording of one run of an op."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from .node import Node, Spec, Value

if TYPE_CHECKING:
    from .op import Op
    from .trace import Trace

__all__ = ["NUMBERS", "record"]

NUMBERS = (bool, int, float)
"""The types of the inputs that an op takes beside tensors."""

# A named tuple's own constructor takes three times as long.
_spec = functools.partial(tuple.__new__, Spec)


def record(
    op: Op[Any, Any],
    inputs: tuple[Any, ...],
    arrays: list[Any],
    attrs: dict[str, Any],
    results: tuple[Any, ...],
    needs_grad: bool,
    trace: Trace | None,
) -> Node:
    """The node that a run of an op leaves behind.

    Args:
        op: the op that ran.
        inputs: its inputs as the node has them: values, numbers or None.
        arrays: the same as the op got them: arrays, numbers or None.
        attrs: its attributes.
        results: the arrays it gave.
        needs_grad: whether gradients will be asked for.
        trace: the trace under way, if there is one.
    """
    saved, stamp = None, 0
    if needs_grad:
        kept = {}
        partners = op.partners
        for i in op.kept(len(arrays)) if op.keeps_star else op.keeps_inputs:
            if i in partners:
                other = inputs[partners[i]]
                if type(other) is not Value or not other.requires_grad:
                    continue
            kept[i] = arrays[i]
            value = inputs[i]
            if type(value) is Value:
                stamp += value.version if value.node is None else value.owner().version
        shapes = tuple([a.shape if type(a) is np.ndarray else () for a in arrays]) if op.keeps_shapes else ()
        saved = (kept, results if op.keeps_out else (), shapes)
    first = results[0]
    if len(results) == 1:
        specs: tuple[Spec, ...] = (_spec((first.shape, first.dtype)),)
    else:
        specs = tuple([_spec((r.shape, r.dtype)) for r in results])
    node = Node(op, inputs, attrs, specs, needs_grad, saved, stamp)
    if first.base is not None and type(inputs[0]) is Value:
        node.views = np.may_share_memory(first, arrays[0])
    if trace is not None:
        trace.record(node)
    return node
