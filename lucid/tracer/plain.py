"""The traversal of a backward pass that nothing records: it computes with arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .node import FREED, Node, TensorLike, Value
from .op import OPS
from .pull import as_gradient, pull_of

__all__ = ["run_plain", "with_hooks"]

Array = np.ndarray[Any, Any]


def run_plain(
    roots: Sequence[tuple[Value, TensorLike]],
    order: list[Node],
    wanted: set[Value] | None,
    live: set[Node] | None,
    wrap: Callable[..., Any],
    retain_graph: bool,
) -> dict[Value, Any]:
    """Runs the gradient rules on arrays; returns Tensors, one for each array.

    Args:
        order: the nodes, each after those that it depends on.
        wanted: the targets; all leaves if None.
        live: the nodes through which a gradient reaches a target.
        roots, wrap, retain_graph: those of `backward`.
    """
    ndarray, add, asarray, sum_to = np.ndarray, np.add, np.asarray, OPS["sum_to"].forward
    # The gradient of each node; a list of them if it has several results.
    arrived: dict[Node, Any] = {}
    # By identity, since the hash of a Value is computed in Python: the value, its gradient, and whether that is a sum
    # made here, which nobody else has seen. A weight used at each step of a loop gets as many gradients.
    leaves: dict[int, list[Any]] = {}
    # The nodes whose gradient is in memory of its own.
    owned: set[Node] = set()
    found: dict[Value, Any] = {}
    # Whoever gets several gradients sees by their Tensors which are the same array.
    tensors: dict[int, Any] = {id(g._data): g for _, g in roots}

    def tensor(g: Array) -> Any:
        if (made := tensors.get(id(g))) is None:
            made = tensors[id(g)] = wrap(g)
        return made

    def deliver(value: Value, g: Any, fresh: bool = False) -> None:
        if g.shape != value.shape:
            g = sum_to(g, shape=value.shape)
        if g.dtype != value.dtype:
            g = g.astype(value.dtype)
        node = value.node
        if node is None or not node.needs_grad:
            leaf = leaves.get(id(value))
            if leaf is None:
                leaves[id(value)] = [value, g, False]
            elif leaf[2]:
                add(leaf[1], g, leaf[1])
            else:
                leaf[1:] = asarray(add(leaf[1], g)), True
            return
        before = arrived.get(node)
        if len(node.outputs) > 1:
            if before is None:
                before = arrived[node] = [None] * len(node.outputs)
            slot = before[value.index]
            before[value.index] = g if slot is None else asarray(add(slot, g))
        elif before is None:
            arrived[node] = g
            if fresh:
                owned.add(node)
        elif node in owned:
            add(before, g, before)
        else:
            arrived[node] = asarray(add(before, g))
            owned.add(node)

    def put_back(node: Node, g: Array, own: bool) -> None:
        """Does what the rule of `slice_put` does, without a copy where the gradient is nobody else's: many writes into
        one tensor would copy it as many times."""
        x, value = node.inputs
        index = node.attrs["index"]
        if type(value) is Value and value.requires_grad:
            deliver(value, np.array(g[index]), True)
        if type(x) is Value and x.requires_grad:
            g = g if own else g.copy()
            g[index] = 0
            deliver(x, g, True)

    for value, root in roots:
        deliver(value, root._data)
    for node in reversed(order):
        g = arrived.pop(node, None)
        if g is None:
            continue
        own = node in owned
        if node.hooks is not None or wanted is not None:
            given = [None if one is None else tensor(one) for one in (g if type(g) is list else [g])]
            noted = with_hooks(node, given, wanted)
            found |= noted
            own = own and not noted and node.hooks is None
            if live is not None and node not in live:
                continue
            g = [None if one is None else one._data for one in given]
            g = g if len(g) > 1 else g[0]
        op = node.op
        if op.name == "slice_put" and node.saved is not FREED:
            put_back(node, g, own)
        else:
            pull = op.pull or pull_of(op)
            for input, part in zip(node.inputs, pull(node, g), strict=True):
                if part is not None and type(input) is Value and input.requires_grad:
                    deliver(input, part if type(part) is ndarray else as_gradient(op, part))
        if not retain_graph:
            node.saved = FREED
    for value, g, _ in leaves.values():
        if wanted is None or value in wanted:
            found[value] = value.hooks.run(tensor(g)) if value.hooks else tensor(g)
    return found


def with_hooks(node: Node, gradients: list[Any], wanted: set[Value] | None) -> dict[Value, Any]:
    """Runs the hooks of a node on the gradients of its results, in place, and returns those that are to be kept.

    Args:
        node: the node.
        gradients: Tensors, or None.
        wanted: the targets; if None, values whose gradients are retained.
    """
    found = {}
    for index, hooks in (node.hooks or {}).items():
        if gradients[index] is not None:
            gradients[index] = g = hooks.run(gradients[index])
            if wanted is None and hooks.keeper is not None:
                value = node.value(index)
                value.leaf = hooks.keeper
                found[value] = g
    for index, g in enumerate(gradients if wanted is not None else ()):
        if g is not None and (value := node.value(index)) in wanted:  # type: ignore[operator]
            found[value] = g
    return found
