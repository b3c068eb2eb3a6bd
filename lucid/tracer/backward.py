"""Reverse-mode differentiation: one traversal of the recorded nodes.

Un-broadcasting, casting, accumulation, freeing and all checks are done by the traversal, once; gradient rules do none
of them. A traversal that is recorded itself computes with Tensors, here; any other one with arrays, in `plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..malloc import before_backward
from .graph import walk
from .mode import GradMode, current_trace
from .node import FREED, Node, TensorLike, Value
from .op import OPS
from .plain import run_plain, with_hooks
from .pull import run_rule

__all__ = ["backward"]

Wrap = Callable[..., Any]


def backward(
    roots: Sequence[tuple[Value, TensorLike]],
    *,
    wrap: Wrap,
    targets: Sequence[Value] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Value, Any]:
    """Computes the gradients of `targets`, or of all leaves and retained values that `roots` depend on.

    Args:
        roots: pairs of a value and the gradient that arrives at it.
        wrap: makes a Tensor from an array, with its Value if the gradients must be differentiable themselves.
        targets: the values to differentiate with respect to; every leaf that requires a gradient if not given.
        retain_graph: keep what the rules saved, so that backward can run again.
        create_graph: record the gradient computation as well.

    Raises:
        GradientError: the graph was freed by an earlier backward, or a tensor that it needs has since been overwritten.
    """
    before_backward()
    order = walk((value for value, _ in roots), _flows)
    wanted = None if targets is None else set(targets)
    live = None if wanted is None else _reaching(order, wanted)
    recorded = create_graph or current_trace() is not None
    # A branch that `where` then discards often yields inf and nan.
    with GradMode(create_graph), np.errstate(all="ignore"):
        if not recorded:
            return run_plain(roots, order, wanted, live, wrap, retain_graph)
        return _run_recorded(roots, order, wanted, live, wrap, retain_graph, create_graph)


def _run_recorded(
    roots: Sequence[tuple[Value, TensorLike]],
    order: list[Node],
    wanted: set[Value] | None,
    live: set[Node] | None,
    wrap: Wrap,
    retain_graph: bool,
    create_graph: bool,
) -> dict[Value, Any]:
    """Runs the gradient rules on Tensors.

    Args:
        order: the nodes, each after those that it depends on.
        wanted: the targets; all leaves if None.
        live: the nodes through which a gradient reaches a target.
        roots, wrap, retain_graph, create_graph: those of `backward`.
    """
    trace = current_trace()
    sizes = None if trace is None else trace.sizes
    if sizes is not None:
        wrap = sizes.wrap
    arrived: dict[Node, list[Any]] = {}
    leaves: dict[Value, Any] = {}
    found: dict[Value, Any] = {}

    def deliver(value: Value, g: Any) -> None:
        if g._data.shape != value.shape:
            g = OPS["sum_to"](g, shape=value.shape if sizes is None else sizes.shape_of(value))
        if g._data.dtype != value.dtype:
            g = OPS["astype"](g, dtype=value.dtype)
        node = value.node
        if node is None or not node.needs_grad:
            leaves[value] = g if value not in leaves else OPS["add"](leaves[value], g)
            return
        slots = arrived.setdefault(node, [None] * len(node.outputs))
        before = slots[value.index]
        slots[value.index] = g if before is None else OPS["add"](before, g)

    for value, g in roots:
        deliver(value, g)
    for node in reversed(order):
        gradients = arrived.pop(node, None)
        if gradients is None:
            continue
        found |= with_hooks(node, gradients, wanted)
        if live is not None and node not in live:
            continue
        given = run_rule(node, gradients, wrap, create_graph or node.trace is not None)
        for input, g in zip(node.inputs, given, strict=True):
            if g is not None and type(input) is Value and input.requires_grad:
                deliver(input, g)
        if not retain_graph:
            node.saved = FREED
    for value, g in leaves.items():
        if wanted is None or value in wanted:
            found[value] = value.hooks.run(g) if value.hooks else g
    return found


def _flows(value: Value) -> bool:
    return value.requires_grad and value.node is not None and value.node.needs_grad


def _reaching(order: list[Node], wanted: set[Value]) -> set[Node]:
    """Returns the nodes through which a gradient reaches a wanted value."""
    live: set[Node] = set()
    for node in order:
        for value in node.inputs:
            if type(value) is Value and value.requires_grad and (value in wanted or value.node in live):
                live.add(node)
                break
    return live
