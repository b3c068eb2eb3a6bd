"""Interface: what a caller must know of a model's inputs and outputs, besides their shapes and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ExportError
from ..ops.generator import begin_again
from ..tensor import Tensor
from ..tracer.graph import Graph
from ..tracer.mode import no_grad
from ..tracer.node import Node, Value
from ..tracer.size import Size, symbols_of
from ..tracer.tree import flatten
from .carried import Carried
from .example import CASTS, Axis, Example
from .proof import Proof

__all__ = ["Interface", "lengths_of", "with_optional", "with_states"]

_STATES: dict[str, tuple[tuple[int, int], ...]] = {"rnn": ((1, 1),), "gru": ((1, 1),), "lstm": ((1, 1), (2, 2))}
"""For each recurrent op and state: the input that is the initial state, and the output that is the last one."""

_COMPARISONS = ("lt", "le", "gt", "ge")


class Interface(NamedTuple):
    """What a caller must know of inputs and outputs.

    Attributes:
        lengths: for each input that a recurrent layer takes as the lengths of sequences, the number of steps: a formula
            of the free axes. Its elements must be from 1 to this number.
        computed: the same where integer arithmetic comes before the layer: the input, the formula of an element, called
            ``length``, and the number of steps.
        counts: for each input whose elements are only compared with positions along an axis, as in a mask, the size of
            that axis. They may be any numbers.
        states: for each input that is a state, the output that continues it.
        optional: the states that may be left out of a call, and then are zero, in groups: what is left out must be one
            or several whole groups.
        separable: for each free axis along which nothing mixes, so that parts give what the whole gives, the axis of
            each output: the axes that can be a batch of independent rows.
    """

    lengths: Mapping[str, str | int] = {}
    computed: tuple[tuple[str, str, str | int], ...] = ()
    counts: Mapping[str, str | int] = {}
    states: Mapping[str, str] = {}
    optional: tuple[tuple[str, ...], ...] = ()
    separable: Mapping[str, Mapping[str, int]] = {}

    def as_dict(self) -> dict[str, Any]:
        """Returns the record as JSON can hold it."""
        return self._asdict()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Interface:
        """Returns the record that `as_dict` wrote.

        Raises:
            ValueError, TypeError, AttributeError: it did not.
        """
        given = {**record}
        lengths, counts, states = (dict(given.pop(key, {})) for key in ("lengths", "counts", "states"))
        computed = tuple((name, formula, steps) for name, formula, steps in given.pop("computed", ()))
        optional = tuple(tuple(group) for group in given.pop("optional", ()))
        separable = {symbol: dict(axes) for symbol, axes in given.pop("separable", {}).items()}
        names = [*states.values(), *(name for group in optional for name in group)]
        names += [text for name, formula, _ in computed for text in (name, formula)]
        sizes = [*lengths.values(), *counts.values(), *(steps for _, _, steps in computed)]
        axes = [axis for outputs in separable.values() for axis in outputs.values()]
        right = all(isinstance(x, str) for x in names) and all(type(n) in (str, int) for n in sizes)
        if given or not right or not all(type(axis) is int and axis >= 0 for axis in axes):
            raise ValueError(f"it is not what a model's inputs and outputs are: {record}")
        return cls(lengths, computed, counts, states, optional, separable)


# --- lengths


def lengths_of(graph: Graph) -> Interface:
    """Returns the inputs that are lengths of recurrent layers, and those that masks compare with positions."""
    names = {value: name for name, value in graph.inputs.items()}
    lengths: dict[str, str | int] = {}
    computed: dict[tuple[str, str, str | int], None] = {}
    counts: dict[str, str | int] = {}
    for node in graph.nodes:
        if "lengths" in node.op.inputs:
            given, steps = node.inputs[node.op.inputs.index("lengths")], node.outputs[0].shape[0]
            found = None if given is None or steps is None else _formula(graph, given)
            if found is not None and found[1] == "length":
                lengths.setdefault(found[0], _written(steps))
            elif found is not None:
                computed[(*found, _written(steps))] = None
        elif node.op.name in _COMPARISONS:
            for x, y in (node.inputs, node.inputs[::-1]):
                name, size = names.get(_whole(x)), _positions(graph, _whole(y))
                if name is not None and size is not None and graph.inputs[name].dtype.kind in "iu":
                    counts.setdefault(name, size)
    taken = {*lengths, *(name for name, _, _ in computed)}
    return Interface(lengths, tuple(computed), {name: size for name, size in counts.items() if name not in taken})


_ARITHMETIC = {
    "add": "({}+{})",
    "sub": "({}-{})",
    "mul": "({}*{})",
    "floor_divide": "({}//{})",
    "remainder": "({}%{})",
    "neg": "(-{})",
    "maximum": "max({}, {})",
    "minimum": "min({}, {})",
    **dict.fromkeys(CASTS, "{}"),
}
"""The ops on integers that a formula can tell."""

_LONGEST = 500
"""The most characters of such a formula."""


def _formula(graph: Graph, value: Value) -> tuple[str, str] | None:
    """Returns the input that lengths are computed from, and the formula of one; None if no formula tells."""
    names = {value: name for name, value in graph.inputs.items()}
    sources: set[str] = set()

    def text(x: Any) -> str:
        if isinstance(x, int | Size) and not isinstance(x, bool):
            return str(x) if isinstance(x, int) else f"({x})"
        if x in names and x.dtype.kind in "iu":
            sources.add(names[x])
            return "length"
        if (known := graph.captured.get(x)) is not None and not known.ndim and known.dtype.kind in "iu":
            return str(int(known._data))
        node = x.node if type(x) is Value else None
        if node is None or x.dtype not in (np.int32, np.int64):
            raise LookupError
        if node.op.name == "clamp_to":
            low, high = (None if bound is None else text(bound) for bound in node.inputs[1:])
            found = text(node.inputs[0]) if low is None else f"max({text(node.inputs[0])}, {low})"
            return found if high is None else f"min({found}, {high})"
        found = _ARITHMETIC[node.op.name].format(*map(text, node.inputs))
        if len(found) > _LONGEST:
            raise LookupError
        return found

    try:
        found = text(value)
    except (LookupError, RecursionError):
        return None
    return (sources.pop(), found) if len(sources) == 1 else None


def _whole(value: Any) -> Any:
    """Returns the value before ops that only convert its elements or add axes, as lengths in a mask meet them."""
    while type(value) is Value and value.node is not None:
        index = value.node.attrs.get("index", ())
        added = value.node.op.name == "slice_at" and all(part in (None, slice(None)) for part in index)
        if not added and value.node.op.name not in _SPREAD:
            break
        value = value.node.inputs[0]
    return value


_SPREAD = (*CASTS, "unsqueeze", "reshape_to", "expand_to")


def _positions(graph: Graph, value: Any) -> str | int | None:
    """Returns n if a value is 0, 1, ..., n - 1; None if it is not."""
    if type(value) is not Value or len(value.shape) != 1:
        return None
    n: Any = value.shape[0]
    if value.node is not None:
        attrs = value.node.attrs
        counts = value.node.op.name == "count" and (attrs["start"], attrs["step"]) == (0, 1)
        return _written(n) if counts and n is not None else None
    known = graph.captured.get(value)
    return n if known is not None and np.array_equal(known._data, np.arange(n)) else None


def _written(size: Any) -> str | int:
    return str(size) if isinstance(size, Size) else int(size)


# --- states that may be left out


def with_optional(
    interface: Interface, model: Callable[..., Any], example: Example, graph: Graph, sizes: Mapping[Axis, int]
) -> Interface:
    """Adds the states that may be left out of a call, since the model starts from zeros without them.

    These are arguments whose default is None. The model runs without them and with zeros, and must give the same; that
    is a sample, at the example's sizes and at others. Several of them may have to be left out together.

    Args:
        interface: the lengths and states.
        model: the model.
        example: its arguments.
        graph: its graph.
        sizes: other sizes of the free axes.
    """
    groups = [group for group in example.optional() if all(name in interface.states for name in group)]
    runs = [example.arrays, *([example.resized(sizes)] if sizes else [])]

    def same(group: Sequence[str]) -> bool:
        return bool(group) and all(_starts_from_zeros(model, example, arrays, group) for arrays in runs)

    left = [name for group in groups for name in group]
    known = symbols_of(tuple(value.shape for name, value in graph.inputs.items() if name not in left))
    if symbols_of(tuple(graph.inputs[name].shape for name in left)) - known or not same(left):
        return interface
    alone = [group for group in groups if same(group)]
    return interface._replace(optional=(*alone, *([tuple(left)] if len(alone) < len(groups) else ())))


def _starts_from_zeros(
    model: Callable[..., Any], example: Example, arrays: Mapping[str, Any], left: Sequence[str]
) -> bool:
    """Returns whether a model gives the same without some arguments as with zeros for them."""
    zeros = {name: np.zeros_like(array) if name in left else array for name, array in arrays.items()}
    try:
        some = _results(model, example.arguments(zeros))
    except Exception:  # the user's code may reject other sizes
        return arrays is not example.arrays
    try:
        others = _results(model, example.arguments(zeros, left))
    except Exception:  # or demand its arguments
        return False
    return len(some) == len(others) and all(
        a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, 1e-5, 1e-6, equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )


def _results(model: Callable[..., Any], arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> list[Any]:
    args, kwargs = arguments
    begin_again()
    with no_grad():
        tensors, _ = flatten(model(*args, **kwargs), lambda x: isinstance(x, Tensor))
    return [tensor._data for tensor in tensors]


# --- states


def with_states(proof: Proof, asked: Mapping[str, str], free: bool) -> tuple[Proof, dict[str, str]]:
    """Finds which output continues which input, and fixes the axes of states that would be free by chance.

    A state has the shape of the output that continues it. Where that has a size of its own, such as the 2 of a stack of
    h and c, the same axis of the input is fixed.

    Args:
        proof: the proof.
        asked: states that are declared, besides those that layers say.
        free: whether the free axes were asked for, so that none of them may be fixed.

    Raises:
        ValueError: an input or output does not exist, or a layer says that another output continues the input.
        ExportError: the shapes or dtypes of a state and its next value differ.
    """
    _check_names(proof.graph, asked)
    for name, output in asked.items():
        proof = _fitted(proof, name, output, free)
    found = _continued(proof.graph)
    for name in () if free else _stacks(proof, {*found, *asked}):
        # An op that cuts a free axis, as one that takes h from a stack of h and c does, is not followed.
        pinned = proof.pinned(_own_symbols(proof, name), _STATE)
        states = _continued(pinned.graph)
        if name in states and _fits(pinned.graph, name, states[name]):
            proof, found = pinned, states
    for name, output in asked.items():
        if found.get(name, output) != output:
            raise ValueError(
                f"to_onnx: states says that output {output!r} continues input {name!r}, but the last state of the "
                f"layer that starts from it is {found[name]!r}"
            )
    states = {name: output for name, output in found.items() if output not in asked.values()} | dict(asked)
    return proof, {name: states[name] for name in proof.graph.inputs if name in states}


_STATE = "it is a state, and the output that continues it has this size"


def _check_names(graph: Graph, asked: Mapping[str, str]) -> None:
    for name, output in asked.items():
        if name not in graph.inputs or output not in graph.outputs:
            what = f"output {output!r}" if name in graph.inputs else f"input {name!r}"
            raise ValueError(
                f"to_onnx: states names {what}, which does not exist; the inputs are {', '.join(graph.inputs)}, the "
                f"outputs {', '.join(graph.outputs)}"
            )
    if len(set(asked.values())) != len(asked):
        raise ValueError(f"to_onnx: states must name an output of its own for each input; got {dict(asked)}")


def _fits(graph: Graph, name: str, output: str) -> bool:
    before, after = graph.inputs[name], graph.outputs[output]
    return before.dtype == after.dtype and before.shape == after.shape


def _fitted(proof: Proof, name: str, output: str, free: bool) -> Proof:
    """Returns the proof with a state's axes fixed where the output that continues it has a size of its own."""
    before, after = proof.graph.inputs[name], proof.graph.outputs[output]
    pairs = list(zip(before.shape, after.shape, strict=False))
    pinned = {str(a) for a, b in pairs if isinstance(a, Size) and isinstance(b, int) and proof.sizes[str(a)] == b}
    if pinned and not free:
        proof = proof.pinned(pinned, _STATE)
    if not _fits(proof.graph, name, output):
        before, after = proof.graph.inputs[name], proof.graph.outputs[output]
        raise ExportError(
            f"to_onnx: a state goes in as it came out, but {name} is {before.dtype}{_dims(before)}, and {output}, "
            f"which is to continue it, is {after.dtype}{_dims(after)}; axes that are equal need one name in dynamic="
        )
    return proof


def _dims(value: Value) -> str:
    return f"({', '.join(map(str, value.shape))})"


def _stacks(proof: Proof, known: Container[str]) -> Iterator[str]:
    """Yields the inputs that layers start from and that have free sizes of their own, except those that are known."""
    firsts = {first for states in _layers(proof.graph).values() for first, _ in states}
    reaching = _reaching(proof.graph, firsts)
    for name, value in proof.graph.inputs.items():
        if name not in known and value in reaching and _own_symbols(proof, name):
            yield name


def _own_symbols(proof: Proof, name: str) -> set[str]:
    """Returns the free sizes of an input that no other input has."""
    others = tuple(value.shape for other, value in proof.graph.inputs.items() if other != name)
    return symbols_of(proof.graph.inputs[name].shape) - symbols_of(others)


def _continued(graph: Graph) -> dict[str, str]:
    """Returns, for each input that a layer starts from, the output that is its last state."""
    layers = _layers(graph)
    moved = _reaching(graph, {first for states in layers.values() for first, _ in states})
    if moved.isdisjoint(graph.inputs.values()):
        return {}
    carried = Carried(graph)
    refused: set[Value] = set()
    for node in graph.nodes:
        for first, last in layers.get(node, ()):
            if carried.begin(node, first, last) is not None:
                refused.add(first)
        if node not in layers and any(value in moved or carried.last(value) for value in _values(node)):
            carried.move(node, {})
    # Where two layers start from one state, neither of their last states is its next value.
    twice = {name for value in refused for name in carried.sources(value)}
    found = {carried.next_of(value): name for name, value in graph.outputs.items()}
    return {name: output for name, output in found.items() if name is not None and name not in twice}


def _layers(graph: Graph) -> dict[Node, list[tuple[Value, int]]]:
    """Returns, for each node that ends a layer, its initial states, and which of its results continue them."""
    layers: dict[Node, list[tuple[Value, int]]] = {}
    for node in graph.nodes:
        if node.op.name in _STATES and not _reversed(node.inputs[0]):
            states = [(node.inputs[first], last) for first, last in _STATES[node.op.name]]
            layers[node] = [(value, last) for value, last in states if type(value) is Value]
        elif node.op.name == "scan" and not node.attrs["reverse"]:
            layers[node] = [(node.inputs[i], i) for i in range(node.attrs["states"]) if type(node.inputs[i]) is Value]
    for note in graph.notes:
        if note.next is not None and note.next.node is not None:
            layers.setdefault(note.next.node, []).append((note.value, note.next.index))
    return layers


def _reversed(value: Value) -> bool:
    """Returns whether a sequence was reversed: its layer ends where the next piece does not begin."""
    while value.node is not None and value.node.op.name not in _BACKWARDS and value.node.inputs:
        if type(value.node.inputs[0]) is not Value:
            return False
        value = value.node.inputs[0]
    return value.node is not None and value.node.op.name in _BACKWARDS


_BACKWARDS = ("flip", "reverse_sequence")


def _reaching(graph: Graph, states: set[Value]) -> set[Value]:
    """Returns the values that initial states are made of."""
    found = set(states)
    for node in reversed(graph.nodes):
        if any(node.value(i) in found for i in range(len(node.outputs))):
            found.update(_values(node))
    return found


def _values(node: Node) -> Iterable[Value]:
    return (value for value in node.inputs if type(value) is Value)
