"""Reverse-mode differentiation: one traversal of the recorded nodes.

Un-broadcasting, casting, accumulation, freeing and all checks are done here, once; gradient rules do none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..errors import GradientError
from ..malloc import before_backward
from .graph import walk
from .mode import GradMode, current_trace
from .node import FREED, Node, TensorLike, Value
from .op import OPS
from .writes import WRITES

__all__ = ["backward"]

Wrap = Callable[..., Any]

_PLAIN = frozenset((np.ndarray, np.float32, np.float64, bool, int, float))
"""The types that a gradient rule must not return: a graph does not record them."""


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
    arrived: dict[Node, list[Any]] = {}
    leaves: dict[Value, Any] = {}
    found: dict[Value, Any] = {}

    trace = current_trace()
    sizes = None if trace is None else trace.sizes
    if sizes is not None:
        wrap = sizes.wrap

    # The nodes whose only gradient so far is in memory of its own, and the leaves whose gradient is a sum made here.
    owned: set[Node] = set()
    sums: set[Value] = set()

    def deliver(value: Value, g: Any, fresh: bool = False) -> None:
        if g._data.shape != value.shape:
            g = OPS["sum_to"](g, shape=value.shape if sizes is None else sizes.shape_of(value))
        if g._data.dtype != value.dtype:
            g = OPS["astype"](g, dtype=value.dtype)
        node = value.node
        if node is None or not node.needs_grad:
            before = leaves.get(value)
            if before is not None and value in sums:
                # Nobody else has seen it yet. A weight used at each step of a loop gets as many gradients.
                np.add(before._data, g._data, out=before._data)
                return
            leaves[value] = g if before is None else OPS["add"](before, g)
            if before is not None and trace is None and not create_graph:
                sums.add(value)
            return
        slots = arrived.get(node)
        if slots is None:
            slots = arrived[node] = [None] * len(node.outputs)
        if slots[value.index] is None:
            slots[value.index] = g
        else:
            slots[value.index], fresh = OPS["add"](slots[value.index], g), True
        if fresh:
            owned.add(node)

    def put_back(node: Node, g: Any, own: bool) -> None:
        """Does what the rule of `slice_put` does, without a copy where the gradient is nobody else's: many writes into
        one tensor would copy it as many times."""
        x, value = node.inputs
        index = node.attrs["index"]
        if type(value) is Value and value.requires_grad:
            deliver(value, wrap(np.array(g._data[index])), True)
        if type(x) is Value and x.requires_grad:
            if not own:
                g = wrap(g._data.copy())
            g._data[index] = 0
            deliver(x, g, True)

    # A branch that `where` then discards often yields inf and nan.
    with GradMode(create_graph), np.errstate(all="ignore"):
        for value, g in roots:
            deliver(value, g)
        for node in reversed(order):
            gradients = arrived.pop(node, None)
            if gradients is None:
                continue
            own = trace is None and not create_graph and node.op.name == "slice_put" and node in owned
            if node.hooks is not None:
                own = False
                for index, hooks in node.hooks.items():
                    if gradients[index] is not None:
                        gradients[index] = g = hooks.run(gradients[index])
                        if wanted is None and hooks.keeper is not None:
                            value = node.value(index)
                            value.leaf = hooks.keeper
                            found[value] = g
            if wanted is not None:
                for index, g in enumerate(gradients):
                    if g is not None and (value := node.value(index)) in wanted:
                        found[value], own = g, False
                if live is not None and node not in live:
                    continue
            if node.op.name == "slice_put" and trace is None and not create_graph and node.saved is not FREED:
                put_back(node, gradients[0], own)
                if not retain_graph:
                    node.saved = FREED
                continue
            for input, g in zip(node.inputs, _run_rule(node, gradients, wrap, create_graph), strict=True):
                if g is not None and type(input) is Value and input.requires_grad:
                    deliver(input, g)
            if not retain_graph:
                node.saved = FREED
        for value, g in leaves.items():
            if value.hooks and (wanted is None or value in wanted):
                leaves[value] = value.hooks.run(g)
    found.update(leaves if wanted is None else {value: g for value, g in leaves.items() if value in wanted})
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


def _run_rule(node: Node, gradients: list[Any], wrap: Wrap, create_graph: bool) -> tuple[Any, ...]:
    op = node.op
    if node.saved is FREED:
        raise GradientError(
            f"backward: the graph of {op.name} was freed by an earlier backward; call that one with retain_graph=True "
            "to go through it again"
        )
    if op.rule is None:
        raise GradientError(
            f"backward: {op.name}, declared in {op.__module__}, has no gradient rule; write one under @{op.name}.vjp, "
            "or say why there is none, with @lucid.op(no_gradient=...)"
        )
    kept, outputs, shapes = node.saved
    read = kept if not op.unread else {i: array for i, array in kept.items() if i not in op.unread}
    if node.stamp != WRITES.now and (gone := WRITES.since(node.stamp, chain(read.values(), outputs))):
        raise GradientError(
            f"backward: a tensor that the gradient of {op.name} needs was overwritten after the forward pass ("
            f"{', '.join(f'{array.dtype}{list(array.shape)}' for array in gone)}); run the forward pass again, or "
            "change parameters and buffers only after backward"
        )
    link = create_graph or node.trace is not None
    args: list[Any] = []
    for kind, key in op.plan:
        if kind == "g":
            args.append(gradients[0] if len(gradients) == 1 else tuple(gradients))
        elif kind == "input":
            args.append(_rebuilt(node, key, kept.get(key), wrap, link))
        elif kind == "out":
            outs = tuple(wrap(a, node.value(i) if link else None) for i, a in enumerate(outputs))
            args.append(outs[0] if len(outs) == 1 else outs)
        elif kind == "needs":
            args.append(tuple([type(v) is Value and v.requires_grad for v in node.inputs]))
        elif kind == "shapes":
            args.append(shapes)
        elif kind == "star":
            args.append(tuple(_rebuilt(node, i, kept[i], wrap, link) for i in range(key, len(node.inputs))))
        else:
            args.append(node.attrs[key])
    result = op.rule(*args)
    given = result if type(result) is tuple else (result,)
    if len(given) != len(node.inputs):
        raise GradientError(
            f"backward: the gradient rule of {op.name} gave {len(given)} gradients for {len(node.inputs)} inputs "
            f"({', '.join(op.inputs)}); return one each, None where there is none"
        )
    for g in given:
        if type(g) in _PLAIN:
            raise GradientError(
                f"backward: the gradient rule of {op.name} gave a {type(g).__name__}; compute with its tensors, by "
                "ops, and not with NumPy, so that the gradient can be differentiated and exported itself"
            )
    return given


def _rebuilt(node: Node, index: int, saved: Any, wrap: Wrap, link: bool) -> Any:
    """Returns a node's input as the gradient rule sees it: a Tensor, or the number or None that was given."""
    if saved is None or isinstance(saved, (bool, int, float)):
        return saved
    value = node.inputs[index]
    return wrap(saved, value if link and type(value) is Value else None)
