"""Symbolic traces: tensors whose sizes know how they follow from those of the inputs.

In a symbolic trace every op gets the numbers of this run, and the node that records it gets the formulas. The sizes of
the results follow from the op's own size rule, see `lucid.tracer.Op.sizes`; those that no rule gives are unknown.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LucidError, ShapeError
from .dim import Dim, Guard, concrete, formula
from .graph import Graph
from .location import Location, user_location
from .lookup import keys_in_sight
from .node import Node, Note, Spec, Value
from .promotion import promoted, refuse_unlike
from .size import Atom, Size, unknown
from .writes import WRITES, shares

if TYPE_CHECKING:
    from .op import Op
    from .trace import Trace

__all__ = ["Shape", "Sizes", "call_symbolic", "resolved"]

Shape = tuple[Any, ...]
"""The size of each axis: a number or a `Dim`."""


class Sizes:
    """What a symbolic trace knows of sizes.

    Attributes:
        tensor: the class Tensor.
        guards: what Python decided by sizes, and the line that did it first.
        hashed: whether Python took the hash of a size, as for a key of a dict.
        plain_keys: whether a size has the hash of its number, so that a table finds it. If not, every table lacks it,
            and a cache is filled anew.
        leaked: whether an array left the trace, and with it plain sizes.
        done: whether the trace is over, so that sizes are plain numbers.
        flipped: a guard that gets the opposite outcome.
        leaves: the shape of each leaf with formulas in it.
        unknowns: the value, and its axis, that each size which no rule gives is measured at.
        calling: the op whose size rule runs.
    """

    def __init__(self, tensor: Any, flipped: Guard | None = None, plain_keys: bool = False) -> None:
        self.plain_keys = plain_keys
        self.tensor = tensor
        self.guards: dict[Guard, Location | None] = {}
        self.hashed = False
        self.leaked = False
        self.done = False
        self.flipped = flipped
        self.leaves: dict[Value, Shape] = {}
        self.unknowns: dict[Atom, tuple[Value, int]] = {}
        self.calling = ""

    def guard(self, guard: Guard) -> bool:
        """Records a guard, and returns its outcome."""
        if guard.left == guard.right and guard.kind != "text":
            return guard.outcome
        self.guards.setdefault(guard, user_location())
        return not guard.outcome if guard == self.flipped else guard.outcome

    def looks_up(self, size: Dim) -> bool:
        """Records that Python took the hash of a size; returns whether it is known what this may be compared with.

        Each number among the keys in sight is a guard.
        """

        self.hashed = True
        keys = keys_in_sight()
        for key in keys or ():
            if key is not size:
                _ = size == key
        return keys is not None

    def require(self, left: Any, right: Any) -> None:
        """Records that two sizes are equal, since the op that runs raises an error otherwise."""
        self.guard(Guard("eq", formula(left), formula(right), True, self.calling, True))

    def fail(self, op: Op[Any, Any], inputs: Sequence[Any], attrs: dict[str, Any]) -> None:
        """Records that an op raised an error; if the program catches it, the sizes given decide something."""
        given = [n for x in inputs if x is not None for n in self._shape(x)]
        for n in (*given, *_dims_in((*inputs, *attrs.values()))):
            if type(n) is Dim:
                n._plain(f"catches an error of {op.name}, which depends on it")

    def shape_of(self, value: Value) -> Shape:
        """Returns the shape of a value."""
        node = value.node
        if node is not None:
            return value.shape if node.sizes is None else node.sizes[value.index]
        return self.leaves.get(value, value.shape)

    def dims(self, tensor: Any, shape: Sequence[Any]) -> Shape:
        """Returns the shape of a tensor, given the formula of each size."""
        pairs = zip(tensor._data.shape, shape, strict=True)
        return tuple([Dim(n, f, self) if isinstance(f, Size) else n for n, f in pairs])

    def leaf(self, tensor: Any, shape: Shape) -> Any:
        """Returns a new leaf with the data of a tensor, whose shape has formulas in it."""
        value = Value(tensor._data.shape, tensor._data.dtype, tensor._requires_grad)
        fresh = self.tensor._traced._of(tensor._data, value, shape, self)
        value.leaf = weakref.ref(fresh)
        self.leaves[value] = shape
        return fresh

    def wrap(self, data: np.ndarray[Any, Any], value: Value | None = None) -> Any:
        """Returns a tensor with data that the trace computed before, as that of a value."""
        if value is None:
            return self.tensor._wrap(data)
        return self.tensor._traced._of(data, value, self.shape_of(value), self)

    def call(self, op: Op[Any, Any], inputs: Sequence[Any], attrs: dict[str, Any], parts: Sequence[Any]) -> list[Shape]:
        """Returns the shape of each result of an op."""
        given = [None if x is None else self._shape(x) for x in inputs]
        actual = [part.shape for part in parts]
        if op.size_rule is None:
            varies = any(type(n) is Dim for shape in given if shape for n in shape) or any(
                formula(attr) is not attr and formula(attr) != attr for attr in attrs.values()
            )
            return [tuple([None] * len(shape)) if varies else shape for shape in actual]
        self.calling = op.name
        more = {"dtypes": [getattr(x, "dtype", None) for x in inputs]} if op.size_rule_needs_dtypes else {}
        found = op.size_rule(*given, **attrs, **more)
        shapes = found if type(found) is list else [found]
        numbers = [tuple(map(concrete, shape)) for shape in shapes]
        if len(numbers) != len(actual) or not all(map(_fits, numbers, actual)):
            raise ShapeError(
                f"{op.name}: its size rule gives {numbers} for {given} and {attrs}, but the results have the shapes "
                f"{actual}"
            )
        return shapes

    def _shape(self, x: Any) -> Shape:
        if type(x) is Dim:
            return ()
        shape = getattr(x, "_shape", None)
        return shape if shape is not None else np.shape(getattr(x, "_data", x))

    def measured(self, shapes: Sequence[Shape], node: Node) -> tuple[Shape, ...]:
        """Replaces each size that is not known, None, with one that is measured when the model runs."""
        found = []
        for index, shape in enumerate(shapes):
            if None in shape:
                shape = tuple(self._measured(node, index, axis) if n is None else n for axis, n in enumerate(shape))
            found.append(shape)
        return tuple(found)

    def _measured(self, node: Node, index: int, axis: int) -> Dim:
        value = node.value(index)
        size = unknown(len(self.unknowns))
        (((atom,), _),) = size.terms
        self.unknowns[atom] = (value, axis)
        return Dim(value.shape[axis], size, self)


def _dims_in(tree: Any) -> Iterator[Dim]:
    if type(tree) is Dim:
        yield tree
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _dims_in(item)
    elif isinstance(tree, slice):
        yield from _dims_in((tree.start, tree.stop, tree.step))


def _fits(numbers: Shape, actual: Shape) -> bool:
    return len(numbers) == len(actual) and all(n is None or n == m for n, m in zip(numbers, actual, strict=True))


def call_symbolic(
    op: Op[Any, Any], inputs: tuple[Any, ...], attrs: dict[str, Any], grad: bool, trace: Trace, as_array: Any
) -> Any:
    """Runs an op in a symbolic trace.

    Args:
        op: the op.
        inputs: tensors, arrays, numbers, sizes or None.
        attrs: the attributes, with sizes in them.
        grad: whether gradients are recorded.
        trace: the trace.
        as_array: converts an input that is not a tensor.
    """
    sizes = trace.sizes
    assert sizes is not None
    tensor = op.tensor
    if op.alike:
        refuse_unlike(op, inputs)
    inputs = promoted(op, inputs) or inputs
    arrays = [x._data if isinstance(x, tensor) else x.n if type(x) is Dim else as_array(op, x) for x in inputs]
    plain = {name: concrete(attr) for name, attr in attrs.items()}
    try:
        result = op.forward(*arrays, **plain)
    except LucidError:
        sizes.fail(op, inputs, attrs)
        raise
    except (ValueError, IndexError, TypeError) as error:
        sizes.fail(op, inputs, attrs)
        op.explain(arrays, plain, error)
    parts = tuple([np.asarray(part) for part in result]) if type(result) is tuple else (np.asarray(result),)
    shapes = sizes.call(op, inputs, attrs, parts)
    needs = grad and op.no_gradient is None and any(isinstance(x, tensor) and x._requires_grad for x in inputs)
    values = tuple([_operand(op, x, trace) for x in inputs])
    saved = _saved(op, inputs, arrays, values, parts, sizes) if needs else None
    node = Node(op, values, attrs, tuple([Spec(part.shape, part.dtype) for part in parts]), needs, saved, WRITES.now)
    node.sizes = sizes.measured(shapes, node)
    trace.record(node)
    made = [tensor._traced._of(part, node.value(i), node.sizes[i], sizes) for i, part in enumerate(parts)]
    if op.view and isinstance(inputs[0], tensor):
        for one, part in zip(made, parts, strict=True):
            if shares(part, arrays[0]):
                one._base = inputs[0]
    return tuple(made) if type(result) is tuple else made[0]


def _operand(op: Op[Any, Any], x: Any, trace: Trace) -> Any:
    if x is None or type(x) in (Dim, bool, int, float):
        return x
    return trace.value_of(x if isinstance(x, op.tensor) else op.tensor._wrap(np.asarray(x)))


def _saved(op: Op[Any, Any], inputs: Any, arrays: Any, values: Any, parts: Any, sizes: Sizes) -> tuple[Any, ...]:
    """Returns what the gradient rule needs."""
    kept: dict[int, Any] = {}
    for i in (*op.keeps_inputs, *(range(len(op.inputs) - 1, len(inputs)) if op.keeps_star else ())):
        if i in op.partners and not (type(other := values[op.partners[i]]) is Value and other.requires_grad):
            continue
        kept[i] = inputs[i] if type(inputs[i]) is Dim else arrays[i]
    shapes = tuple([sizes.shape_of(v) if type(v) is Value else () for v in values]) if op.keeps_shapes else ()
    return kept, parts if op.keeps_out else (), shapes


def resolved(graph: Graph, names: dict[Any, Any]) -> Graph:
    """Returns a graph with its symbols replaced by others, by sizes or by numbers, and formulas in place of `Dim`s.

    Args:
        graph: a symbolic trace, or a graph that this function returned. Nodes keep their order.
        names: for symbols what replaces them.
    """
    places: dict[Value, Value] = {}
    sizes = graph.sizes

    def attribute(old: Any) -> Any:
        if isinstance(old, Graph):
            return resolved(old, names)
        if type(old) is Dim:
            old = old.formula
        if isinstance(old, (tuple, list)) and not hasattr(old, "renamed"):
            return type(old)(map(attribute, old))
        if isinstance(old, slice):
            return slice(*map(attribute, (old.start, old.stop, old.step)))
        return old.renamed(names) if hasattr(old, "renamed") else old

    def shape(old: Shape) -> Shape:
        return tuple([None if isinstance(n, Size) and n.unknowns else n for n in map(attribute, old)])

    inputs = {}
    for name, value in graph.inputs.items():
        own = value.shape if sizes is None else sizes.shape_of(value)
        inputs[name] = places[value] = Value(shape(own), value.dtype, value.requires_grad)
    for node in graph.nodes:
        operands = tuple([places.get(v, v) if type(v) is Value else attribute(v) for v in node.inputs])
        shapes = [spec.shape for spec in node.outputs] if node.sizes is None else node.sizes
        outputs = tuple([Spec(shape(own), spec.dtype) for own, spec in zip(shapes, node.outputs, strict=True)])
        attrs = {name: attribute(attr) for name, attr in node.attrs.items()}
        new = Node(node.op, operands, attrs, outputs, node.needs_grad)
        new.scope, new.location = node.scope, node.location
        for i in range(len(outputs)):
            places[node.value(i)] = new.value(i)
    results = {name: places.get(value, value) for name, value in graph.outputs.items()}
    measured = {atom: (places[value], axis) for atom, (value, axis) in graph.measured.items()}
    notes = tuple(
        [
            Note(places[note.value], note.axes, note.next and places.get(note.next))
            for note in graph.notes
            if note.value in places
        ]
    )
    return graph._replace(inputs=inputs, outputs=results, measured=measured, sizes=None, notes=notes)
