"""Proves whether a sequence can be cut along time: whether its pieces, in turn, give what the whole gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.size import Size, symbols_of
from .carried import Carried
from .example import CASTS, origin
from .placement import InseparableError, Placement
from .proof import Proof
from .separation import counts, place_input, place_results

__all__ = ["Streaming", "prove_streaming", "single_steps"]

_LAYERS: dict[str, tuple[tuple[int, int], ...]] = {"rnn": ((1, 1),), "gru": ((1, 1),), "lstm": ((1, 1), (2, 2))}
"""For each recurrent op and state: the input that is the initial state, and the output that is the last one."""

_COUNTED = "it depends on the number of steps of a piece; pass what it gives as an input"
_MIXED = "it does not take each step by itself; call the session on whole sequences, or do this outside of the model"
_BACKWARDS = (
    "a bidirectional layer starts from the end of a sequence, which a piece does not have; call the session on whole "
    "sequences, or use a layer of one direction"
)
_NO_LAYER = "no recurrent layer runs over a free axis of the inputs; use nn.scan for a loop of your own"


class Streaming(NamedTuple):
    """How the pieces of a sequence give what the whole gives.

    An input without the time axis is the same for every piece. It may have other free axes if the states have them or
    nothing mixes elements along them.

    Attributes:
        time: the name of the time axis; None if there is none along which pieces give the whole.
        states: for each input that a recurrent layer starts from, the outputs that are its next value. All of these
            inputs must be carried over.
        lengths: the inputs that hold sequence lengths; a sequence may end in its last piece alone.
        steps: the inputs whose axes are all free, or such that the function accepts no other size. If all inputs but
            the states are, and have no free axis of their own, then a call is one step.
        why: why there is no time axis.
    """

    time: str | None = None
    states: Mapping[str, tuple[str, ...]] = {}
    lengths: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the record as JSON can hold it."""
        made = self._asdict()
        return {key: value for key, value in made.items() if value}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Streaming:
        """Returns the record that `as_dict` wrote.

        Raises:
            ValueError, TypeError, AttributeError: it did not.
        """
        given = {**record}
        time, why = given.pop("time", None), given.pop("why", "")
        states = {name: _names(outputs) for name, outputs in given.pop("states", {}).items()}
        lengths, steps = (_names(given.pop(key, ())) for key in ("lengths", "steps"))
        if given or not isinstance(time, str | None) or not isinstance(why, str):
            raise ValueError(f"it is not how a model streams: {record}")
        return cls(time, states, lengths, steps, why)


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"it is no list of names: {names}")
    return tuple(names)


class _NotStreamableError(Exception):
    """Pieces do not give what the whole gives, or no rule says so."""


def prove_streaming(proof: Proof) -> Streaming:
    """Finds the axis along which a sequence can be cut.

    Each op must treat every step by itself, which the rules in `placement` say: they say it of a batch, and hold for
    any axis. The recurrent ops are the exception. They pass a state along time, so each must start from an input whose
    next value is an output: exactly the last state, element by element.

    Args:
        proof: a graph that holds at all sizes of its free axes.

    Returns:
        The axis and the states; or the reason why there are none.
    """
    graph = proof.graph
    why: list[str] = []
    for symbol in dict.fromkeys(s for node in graph.nodes if _runs(node) for s in sorted(symbols_of(_length(node)))):
        try:
            _check_directions(graph, symbol)
            states, lengths = _Walk(graph, symbol).run()
            if not states:
                raise _NotStreamableError(f"no layer carries a state along {symbol!r}")
            _check_others(graph, symbol, states)
        except _NotStreamableError as error:
            why.append(str(error))
        else:
            return Streaming(symbol, states, lengths)
    return Streaming(why=why[0] if why else _NO_LAYER)


def _check_directions(graph: Graph, symbol: str) -> None:
    """Checks that no layer runs backward from the end of a sequence, which a piece does not have.

    Raises:
        _NotStreamableError: one does.
    """
    for node in graph.nodes:
        if node.op.name == "reverse_sequence" and symbol in symbols_of(node.inputs[0].shape[0]):
            raise _refused(node, _BACKWARDS)


def _check_others(graph: Graph, symbol: str, states: Iterable[str]) -> None:
    """Checks the free axes that are not of the states: another sequence may be cut along them, too.

    Raises:
        _NotStreamableError: something mixes the elements along one.
    """
    carried = symbols_of(tuple(graph.inputs[name].shape for name in states))
    for other in sorted(symbols_of(tuple(value.shape for value in graph.inputs.values())) - carried - {symbol}):
        try:
            more, _ = _Walk(graph, other).run()
        except _NotStreamableError as error:
            why = f"along {other!r}, which is free as well, {error}; or make that axis fixed"
            raise _NotStreamableError(why) from None
        if more:
            raise _NotStreamableError(f"layers run along {symbol!r} and {other!r}; make one of these axes fixed")


def single_steps(proof: Proof) -> tuple[str, ...]:
    """Returns the inputs whose axes are all free, or such that the function accepts no other size.

    There are none if a layer runs over several steps.
    """
    if any(_runs(node) and _length(node) != 1 for node in proof.graph.nodes):
        return ()
    return tuple(
        name
        for name, value in proof.graph.inputs.items()
        if all((name, axis) in proof.axes or (name, axis) in proof.tight for axis in range(len(value.shape)))
    )


def _runs(node: Node) -> bool:
    """Returns whether an op is recurrent."""
    return node.op.name in _LAYERS or node.op.name == "scan"


def _length(node: Node) -> Any:
    """Returns the number of steps of a recurrent op."""
    return node.inputs[node.attrs["states"] if node.op.name == "scan" else 0].shape[0]


class _Walk:
    """Walks a graph along one symbol, the number of time steps."""

    def __init__(self, graph: Graph, symbol: str) -> None:
        self.graph = graph
        self.symbol = symbol
        self.whole = Size.symbol(symbol)
        self.carried = Carried(graph)
        self.found: dict[Value, Placement] = dict.fromkeys(graph.captured, Placement())
        self.sequences: dict[Value, Placement] = {}
        self.lengths: dict[str, None] = {}
        # What ops compute with, and what they only move, before it is known which inputs are states and lengths.
        self.reads: list[tuple[Node, Value]] = []
        self.moves: list[tuple[Node, Value]] = []
        self.names = {value: name for name, value in graph.inputs.items()}

    def run(self) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
        """Returns, for each state, the outputs that are its next value; and the inputs that hold lengths.

        Raises:
            _NotStreamableError: pieces do not give what the whole gives.
        """
        for name, value in self.graph.inputs.items():
            try:
                self._note(value, place_input(value.shape, self.symbol))
            except InseparableError:
                raise _NotStreamableError(f"input {name!r} has the axis {self.symbol!r} twice") from None
        for node in self.graph.nodes:
            self._node(node)
        for node, value in self.reads:
            if (state := self.carried.first(value)) is not None:
                raise _refused(node, f"it computes with the state {state!r}, which differs between pieces")
        for node, value in (*self.reads, *self.moves):
            if (lengths := self._origin(value)) in self.lengths and node.op.name not in CASTS:
                raise _refused(node, f"it computes with the lengths {lengths!r}, which differ between pieces")
        return self._states(), tuple(self.lengths)

    def _note(self, value: Value, place: Placement) -> None:
        self.found[value] = place
        if place.kind != "replicate":
            self.sequences[value] = place

    def _node(self, node: Node) -> None:
        for value in node.inputs:
            if type(value) is not Value:
                continue
            if value not in self.found:
                raise _refused(node, "it reads what a layer keeps for its gradient")
        if node.op.name == "scan" and any(value in self.sequences for value in node.inputs):
            return self._scan(node)
        if node.op.name in _LAYERS and self._runs_along(node.inputs[0]):
            return self._layer(node)
        if counts(node, self.symbol):
            raise _refused(node, _COUNTED)
        longer = self.symbol in symbols_of(tuple(spec.shape for spec in node.outputs))
        if not longer and self.carried.move(node, self.sequences):
            self.moves += [(node, value) for value in node.inputs]
            for i in range(len(node.outputs)):
                self._note(node.value(i), Placement())
            return None
        self._read(node, node.inputs)
        try:
            results = place_results(node, self.found, self.symbol)
        except InseparableError:
            raise _refused(node, _MIXED) from None
        for i, place in enumerate(results):
            if not place.plain:
                raise _refused(node, _COUNTED if node.op.name == "size" else _MIXED)
            self._note(node.value(i), place)
        return None

    def _read(self, node: Node, operands: Iterable[Any]) -> None:
        for value in operands:
            if type(value) is Value:
                if self.carried.last(value):
                    raise _refused(node, "it computes with the last state of a layer, which differs between pieces")
                self.reads.append((node, value))

    def _runs_along(self, x: Value) -> bool:
        """Returns whether the first axis of a value is the time axis, whole and by itself."""
        place = self.found[x]
        # An order of None, all steps alike, is fine, too.
        alone = place.order in (None, Placement().order)
        return place.kind == "shard" and place.axis == 0 and alone and self._is_whole(x.shape[0])

    def _is_whole(self, size: Any) -> bool:
        return bool(size == self.whole)

    def _layer(self, node: Node) -> None:
        """Places the results of `rnn`, `lstm` and `gru`: a sequence, then last states, then what a gradient reads."""
        states = _LAYERS[node.op.name]
        lengths = node.inputs[-1]
        weights = node.inputs[1 + len(states) : -1]
        self._read(node, weights)
        if any(value in self.sequences for value in weights if type(value) is Value):
            raise _refused(node, _MIXED)
        if lengths is not None:
            if (name := self._origin(lengths)) is None:
                raise _refused(node, "the lengths of its sequences are no input")
            self.lengths[name] = None
        for first, last in states:
            self._begin(node, first, last)
        self._note(node.value(0), Placement("shard", 0))

    def _scan(self, node: Node) -> None:
        """Places the results of `scan`: last states, sequences, then what a gradient reads."""
        states, scanned, body = node.attrs["states"], node.attrs["scanned"], node.attrs["body"]
        moving, rest = node.inputs[states : states + scanned], node.inputs[states + scanned :]
        if node.attrs["reverse"]:
            raise _refused(node, "it reads time backwards")
        if not all(self._runs_along(value) for value in moving) or any(value in self.sequences for value in rest):
            raise _refused(node, _MIXED)
        if self.symbol in symbols_of(body):
            raise _refused(node, _COUNTED)
        self._read(node, rest)
        for i in range(states):
            self._begin(node, i, i)
        for i in range(states, len(body.outputs)):
            self._note(node.value(i), Placement("shard", 0))

    def _begin(self, node: Node, first: int, last: int) -> None:
        state = node.inputs[first]
        if state is None:
            raise _refused(node, "it starts from zeros with every piece")
        why = "starts from a sequence" if state in self.sequences else self.carried.begin(node, state, last)
        if why is not None:
            raise _refused(node, f"it {why}; export the model with its states as inputs and outputs")
        self.moves.append((node, state))
        self._note(node.value(last), Placement())

    def _origin(self, value: Value) -> str | None:
        """Returns the input that a value is, before casts."""
        return self.names.get(origin(value, CASTS))

    def _states(self) -> dict[str, tuple[str, ...]]:
        """Returns the outputs that are the next value of each state, once it is checked what the others are."""
        states: dict[str, tuple[str, ...]] = {}
        for name, value in self.graph.outputs.items():
            place = self.found.get(value)
            if place is None:
                raise _NotStreamableError(f"output {name!r} is what a layer keeps for its gradient")
            if (state := self.carried.next_of(value)) is not None:
                states[state] = (*states.get(state, ()), name)
            elif self.carried.last(value) or self.carried.first(value):
                raise _NotStreamableError(
                    f"output {name!r} has elements of a state, but is not the whole next value of one; return the "
                    "states of the layers as they are"
                )
            elif place.kind == "shard" and not self._joins(value, place):
                raise _NotStreamableError(
                    f"output {name!r} has the axis {self.symbol!r} as a part of another one; return it as an axis of "
                    "its own"
                )
        for state, node in self.carried.began.items():
            if state not in states:
                raise _refused(node, f"no output is the last state that follows from {state!r}; return it")
        return states

    def _joins(self, value: Value, place: Placement) -> bool:
        """Returns whether the parts of an output, joined along its axis, are the whole."""
        if place.order is None:
            return self._is_whole(value.shape[place.axis])
        return place.order[0] == (1, ())


def _refused(node: Node, why: str) -> _NotStreamableError:
    place = node.location
    # A file must not say in which folder it was made.
    where = f" at {place._replace(file=PurePath(place.file).name)}" if place is not None else ""
    return _NotStreamableError(f"{node.op.name}{where}: {why}")
