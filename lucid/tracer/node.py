"""Node and Value: what a run of an op leaves behind."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .hooks import Hooks

if TYPE_CHECKING:
    from .op import Op

__all__ = ["FREED", "Location", "Node", "Spec", "TensorLike", "Value"]


class TensorLike(Protocol):
    """What the tracer knows of a Tensor."""

    grad: Any
    _data: np.ndarray[Any, Any]
    _value: Value | None

    @property
    def requires_grad(self) -> bool: ...


class Location(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function})"


class Spec(NamedTuple):
    """The shape and dtype of one output of a node."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Value:
    """A value in a graph: shape and dtype, but no data.

    A value made by a node is known by (node, index), so it can be made anew from the node, and a node need not keep its
    outputs alive. A value without a node is a leaf: a parameter, an input, a constant.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "index", "leaf", "node", "requires_grad", "shape", "version")

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
        # Only leaves have these: the tensor whose `grad` collects, how often its data were overwritten, its hooks.
        self.leaf: weakref.ref[Any] | None = None
        self.version = 0
        self.hooks: Hooks | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether gradients end here: no node made it, or one that only a trace asked for."""
        return self.node is None or not self.node.needs_grad

    def owner(self) -> Value:
        """The value whose memory this one shows: itself, or what it is a view of."""
        value = self
        while value.node is not None and value.node.views:
            value = value.node.inputs[0]
        return value

    def hook_table(self) -> Hooks:
        """The hooks on its gradient; made when first asked for."""
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


class _Freed:
    """Stands where a node's saved arrays were, once backward has used them."""


FREED = _Freed()


class Node:
    """One run of an op: the op, where its inputs came from, its attributes, and what its gradient rule asked to keep.

    Attributes:
        inputs: one entry an input: a Value; a Python number; or None, for an input that was not given or, outside a
            trace, that no gradient flows to.
        saved: what the gradient rule asked for: (arrays of inputs by position, arrays of outputs, shapes of inputs).
        stamp: the sum of the versions of the leaves kept; it differs once one of them was overwritten.
        views: whether the outputs show the memory of the first input, and so change when it is overwritten.
        hooks: the hooks on the gradient of each output, if there are any.
        needs_grad: whether gradients flow through; a node that only a trace asked for has False.
        trace: the trace that recorded this node, if any; `scope` and `location` are known only then.
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
        "stamp",
        "trace",
        "views",
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
        self.views = False
        self.hooks: dict[int, Hooks] | None = None
        self.trace: Any = None
        self.scope = ""
        self.location: Location | None = None

    def value(self, index: int = 0) -> Value:
        """The node's output number `index`."""
        shape, dtype = self.outputs[index]
        return Value(shape, dtype, self.needs_grad and dtype.kind == "f", self, index)

    def __repr__(self) -> str:
        return f"<Node {self.op.name} -> {', '.join(f'{s.dtype}{list(s.shape)}' for s in self.outputs)}>"
