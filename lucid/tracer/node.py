"""Node and Value: the vertices and edges of a recorded graph."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .hooks import Hooks
from .location import Location

if TYPE_CHECKING:
    from .op import Op

__all__ = ["FREED", "Node", "Note", "Spec", "TensorLike", "Value"]


class TensorLike(Protocol):
    """The part of Tensor's interface that the tracer uses."""

    grad: Any
    _base: Any
    _data: np.ndarray[Any, Any]
    _value: Value | None

    @property
    def requires_grad(self) -> bool: ...

    def _leaf_value(self) -> Value: ...


class Spec(NamedTuple):
    """The shape and dtype of one output of a node."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Value:
    """A value in a graph: shape and dtype, but no data.

    A value that a node produced is identified by (node, index). It can be recreated from the node, so a node does not
    keep its outputs alive. A value without a node is a leaf: a parameter, an input or a constant.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "index", "leaf", "node", "requires_grad", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        requires_grad: bool = False,
        node: Node | None = None,
        index: int = 0,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.requires_grad = requires_grad
        self.node = node
        self.index = index
        # For leaves only: the tensor whose `grad` accumulates, and its hooks.
        self.leaf: weakref.ref[Any] | None = None
        self.hooks: Hooks | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether gradients stop here: no node produced it, or one that was recorded for a trace only."""
        return self.node is None or not self.node.needs_grad

    def hook_table(self) -> Hooks:
        """Returns the hooks on its gradient, created on first use."""
        if self.is_leaf:
            if self.hooks is None:
                self.hooks = Hooks()
            return self.hooks
        assert self.node is not None
        if self.node.hooks is None:
            self.node.hooks = {}
        return self.node.hooks.setdefault(self.index, Hooks())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Value) and self.node is not None and self.node is other.node and self.index == other.index
        )

    def __hash__(self) -> int:
        return object.__hash__(self) if self.node is None else hash((self.node, self.index))

    def __repr__(self) -> str:
        kind = "leaf" if self.node is None else f"{self.node.op.name}[{self.index}]"
        return f"<Value {self.dtype}{list(self.shape)} {kind}>"


class Note(NamedTuple):
    """What a layer says of a value that it takes.

    Attributes:
        value: the value.
        axes: a name for each of its axes that the layer knows, and None for the others.
        next: the value that continues it, if it is the state of a layer that computes one step.
    """

    value: Value
    axes: tuple[str | None, ...] = ()
    next: Value | None = None


class _Freed:
    """Replaces a node's saved arrays after backward has used them."""


FREED = _Freed()


class Node:
    """One run of an op: the op, its inputs and attributes, and what its gradient rule saved.

    Attributes:
        inputs: one entry per input: a Value, a Python number, or None for an input that was omitted or that, outside a
            trace, receives no gradient.
        saved: what the gradient rule needs: (arrays of inputs by position, arrays of outputs, shapes of inputs).
        stamp: the time at which it was recorded: the number of writes in place until then.
        hooks: the hooks on the gradient of each output, if any.
        needs_grad: whether gradients flow through; False for a node that was recorded for a trace only.
        trace: the trace that recorded this node, if any; `scope` and `location` are known only then.
        sizes: the shapes of the outputs, with formulas in them, if the trace is symbolic.
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "hooks",
        "inputs",
        "location",
        "needs_grad",
        "op",
        "outputs",
        "saved",
        "scope",
        "sizes",
        "stamp",
        "trace",
    )

    def __init__(
        self,
        op: Op[Any, Any],
        inputs: tuple[Any, ...],
        attrs: dict[str, Any],
        outputs: tuple[Spec, ...],
        needs_grad: bool = False,
        saved: Any = None,
        stamp: int = 0,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.outputs = outputs
        self.needs_grad = needs_grad
        self.saved = saved
        self.stamp = stamp
        self.hooks: dict[int, Hooks] | None = None
        self.trace: Any = None
        self.sizes: tuple[tuple[Any, ...], ...] | None = None
        self.scope = ""
        self.location: Location | None = None

    def value(self, index: int = 0) -> Value:
        """Returns the node's output number `index`."""
        shape, dtype = self.outputs[index]
        return Value(shape, dtype, self.needs_grad and dtype.kind == "f", self, index)

    def __repr__(self) -> str:
        return f"<Node {self.op.name} -> {', '.join(f'{s.dtype}{list(s.shape)}' for s in self.outputs)}>"
