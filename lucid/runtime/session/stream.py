"""Stream: runs sequences piece by piece, and keeps the recurrent state between calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import LucidError, ShapeError
from .arguments import ordered
from .bounded import LIMIT, are_bounded
from .buffer import Binding, Buffer
from .fork import watch
from .html import html_of_stream
from .outputs import Outputs
from .pieces import check_pieces
from .spec import Shape, as_array, check_shapes, evaluate, resolve
from .states import batch_of, check_whole, pair

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Stream"]

Array = np.ndarray[Any, Any]

_KEPT = 8
"""The number of different input shapes for which buffers are kept."""


class Stream:
    """Runs sequences piece by piece; made by `Session.stream`. Any division into pieces gives the results of the whole.

    Sequences are cut along `time`. An input without that axis is given with every piece, and must be the same each
    time. A sequence with a length may end in its last piece alone.

    The state stays on the device: each call reads it from one buffer and writes it to another, and the next call swaps
    the two. A stream is for one thread; several streams of a session can run at once.

    Attributes:
        pairs: for each input that is a state, the output that is its next value.
        batch: the number of sequences that run side by side.
        time: the name of the axis along which sequences are cut; None if each call is one step.
    """

    def __init__(self, session: Session, batch: int | None = None, state: Mapping[str, str] | None = None) -> None:
        self.session = session
        declared = session.interface.states if state is None else state
        self.pairs = pair(session.inputs, session.outputs, declared, session.streaming.why)
        check_whole(session.recurrence, self.pairs)
        check_pieces(session.streaming, self.pairs, session.inputs)
        self.time = session.streaming.time
        states = [spec for spec in session.inputs if spec.name in self.pairs]
        self._inputs = [spec for spec in session.inputs if spec.name not in self.pairs]
        self._names = tuple(name for name in session.output_names if name not in self.pairs.values())
        self._sizes, self._axes, self.batch = batch_of(states, batch)
        if not self.batch:
            raise ShapeError("stream: the model has a fixed batch of 0; a stream needs at least one sequence")
        self._shapes = {spec.name: resolve(spec, self._sizes) or () for spec in states}
        self._specs = {spec.name: spec for spec in states}
        # Two buffers for each state: one that the next call reads, and one that it writes.
        self._states = {
            spec.name: [Buffer(session.device, self._shapes[spec.name], spec.dtype) for _ in range(2)]
            for spec in states
        }
        # The rows that ended in the last piece: their lengths were below its number of steps.
        self._ended: set[int] = set()
        self._turn = False
        # The states that must be bounded, as the model then runs without its guards; and whether they are.
        guarded = {session.inputs[i].name for i in session.guarded}
        self._held = tuple([name for name in self._states if name in guarded])
        self._bounded = True
        self._kept: dict[tuple[Shape, ...], _Pieces] = {}
        self._pieces = _Pieces((), ())
        watch(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Outputs:
        """Runs the next piece of all sequences.

        Args:
            args: the inputs that are not states, in order.
            kwargs: inputs by name.

        Returns:
            The outputs that are not states; the states are in `state`.

        Raises:
            TypeError: an input is missing, given twice or unknown.
            ShapeError, DtypeError: an input does not fit, or has another batch size.
            LucidError: a sequence ended in the last piece, and was not reset.
        """
        pieces = self._pieces
        if len(args) == 1 and pieces.only is not None and not kwargs:
            # The fast path for one step at a time, where checks and indirections would cost as much as the model.
            (x,) = args
            shape, dtype, source, squares, target, runs = pieces.only
            fits = self._bounded and type(x) is np.ndarray and x.shape == shape and x.dtype == dtype
            if fits:
                source[...] = x
                for squared in squares:
                    fits = squared() < LIMIT
            if fits:
                try:
                    runs[self._turn]()
                except Exception as error:  # onnxruntime raises its own exception types
                    raise _failed(pieces.shapes, error) from error
                self._turn = not self._turn
                outputs = Outputs((target.copy(),))
                outputs.names = self._names
                return outputs
        given = args if not kwargs and len(args) == len(self._inputs) else self._ordered(args, kwargs)
        arrays = [as_array(x, spec) for x, spec in zip(given, self._inputs, strict=True)]
        shapes = tuple([array.shape for array in arrays])
        if shapes != pieces.shapes or not pieces.bindings:
            self._pieces = pieces = self._kept.get(shapes) or self._bind(shapes)
        if self.session.ranges:
            self.session.check_ranges(self._all(arrays))
        ended = self._check_lengths(arrays) if self.session.interface.lengths else set()
        try:
            results = pieces.bindings[self._turn](arrays) if self._bounded else None
            bounded = results is not None
            if results is None:
                results = self._with_guards(pieces)[self._turn](arrays)
        except Exception as error:  # onnxruntime raises its own exception types
            raise _failed(shapes, error) from error
        assert results is not None  # the model with its guards accepts all numbers
        self._turn = not self._turn
        self._ended = ended
        if not bounded:
            self._check_states()
        return Outputs.of(results, self._names)

    @property
    def state(self) -> dict[str, Array]:
        """A copy of each state, by the name of the input. Assign some or all of them to continue from there.

        Raises:
            KeyError: at the assignment, there is no state of that name.
            ShapeError, DtypeError: at the assignment, one does not fit; then none is changed.
        """
        return {name: buffers[self._turn].get() for name, buffers in self._states.items()}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        arrays = {}
        for name, x in state.items():
            if name not in self._specs:
                raise KeyError(f"there is no state {name!r}; there is {', '.join(self._specs)}")
            arrays[name] = as_array(x, self._specs[name])
            if arrays[name].shape != self._shapes[name]:
                raise ShapeError(f"state {name!r} must have shape {self._shapes[name]}; got {arrays[name].shape}")
        for name, array in arrays.items():
            self._states[name][self._turn].put(array)
        self._ended = set()
        self._check_states()

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Resets the states of all sequences to zero, or of some, given by their positions in the batch.

        Raises:
            IndexError: there is no such row.
        """
        chosen = range(self.batch) if rows is None else list(rows)
        if not all(-self.batch <= row < self.batch for row in chosen):
            raise IndexError(f"rows must be places in a batch of {self.batch}; got {chosen}")
        for name, array in self.state.items():
            if rows is None:
                array[...] = 0
            else:
                np.moveaxis(array, self._axes[name], 0)[chosen] = 0
            self._states[name][self._turn].put(array)
        self._ended -= {row % self.batch for row in chosen}
        self._check_states()

    def _check_states(self) -> None:
        """Notes whether the states are bounded; those that follow from bounded states and inputs are."""
        states = [self._states[name][self._turn].get() for name in self._held]
        self._bounded = are_bounded(states, range(len(states)))

    def _check_lengths(self, arrays: Sequence[Array]) -> set[int]:
        """Checks the lengths of a piece's sequences; returns the rows that end in it."""
        session = self.session
        session.check_lengths(self._all(arrays))
        if self._ended:
            raise LucidError(
                f"stream: the sequences of rows {sorted(self._ended)} ended in the last piece: their lengths were "
                "below its number of steps; before other sequences take their place, call stream.reset(rows=...)"
            )
        shapes = [array.shape for array in self._all(arrays)]
        sizes = check_shapes(session.inputs, shapes)
        ended: set[int] = set()
        for spec, array in zip(self._inputs, arrays, strict=True):
            if spec.name in session.interface.lengths:
                steps = evaluate(session.interface.lengths[spec.name], sizes)
                ended.update(np.flatnonzero(array < steps if steps is not None else array > 0).tolist())
        return ended

    def _ordered(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        for name in self.pairs.keys() & kwargs.keys():
            raise TypeError(f"input {name!r} is a state, which the stream keeps; assign it to stream.state")
        return ordered(self._inputs, args, kwargs)

    def _all(self, arrays: Sequence[Array]) -> list[Array]:
        """Returns the arrays of all inputs in the model's order, with placeholders for the states."""
        given = iter(arrays)
        return [
            np.broadcast_to(spec.dtype.type(0), self._shapes[spec.name]) if spec.name in self.pairs else next(given)
            for spec in self.session.inputs
        ]

    def _bind(self, shapes: tuple[Shape, ...]) -> _Pieces:
        while len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[shapes] = pieces = _Pieces(shapes, self._bindings(shapes), fast=not self.session.ranges)
        return pieces

    def _with_guards(self, pieces: _Pieces) -> tuple[Binding, ...]:
        """Returns the bindings of the model with its guards for pieces of these shapes."""
        if not pieces.whole:
            pieces.whole = self._bindings(pieces.shapes, whole=True)
        return pieces.whole

    def _bindings(self, shapes: tuple[Shape, ...], whole: bool = False) -> tuple[Binding, ...]:
        """Returns a binding for each direction; `whole`: of the model with its guards."""
        session = self.session
        given = iter(shapes)
        every = [self._shapes[s.name] if s.name in self.pairs else next(given) for s in session.inputs]
        sizes = session.check(every, self._sizes)
        inputs = {s.name: Buffer(session.device, shape, s.dtype) for s, shape in zip(self._inputs, shapes, strict=True)}
        outputs = {name: buffer for name, buffer in session.output_buffers(sizes).items() if name in self._names}
        bindings = []
        for turn in range(2):
            read = {name: buffers[turn] for name, buffers in self._states.items()}
            written = {self.pairs[name]: buffers[1 - turn] for name, buffers in self._states.items()}
            bindings.append(session.bind(inputs, outputs, read, written, whole=whole))
        return tuple(bindings)

    def _forked(self) -> None:
        """Drops the bindings, which do not work in a forked child; the states are there, so the stream goes on."""
        self._kept = {}
        self._pieces = _Pieces((), ())

    def __repr__(self) -> str:
        states = ", ".join(f"{name} -> {output}" for name, output in self.pairs.items())
        return f"Stream of batch {self.batch} on {self.session.device}: {states}"

    _repr_html_ = html_of_stream


_Only = tuple[Shape, "np.dtype[Any]", Array, list[Callable[[], float]], Array, list[Callable[[], None]]]


class _Pieces:
    """The bindings for pieces of the same shape: one for each direction between the two buffers of a state.

    Attributes:
        shapes: the shapes of the inputs.
        bindings: the two bindings.
        whole: those of the model with its guards, once they are needed.
        only: if there is one input and one output, both are on a CPU, and no element is to be checked: shape, dtype and
            memory of the input, what adds up its squares if it must be bounded, memory of the output, and the functions
            that run the bindings.
    """

    __slots__ = ("bindings", "only", "shapes", "whole")

    def __init__(self, shapes: tuple[Shape, ...], bindings: tuple[Binding, ...], fast: bool = False) -> None:
        self.shapes = shapes
        self.bindings = bindings
        self.whole: tuple[Binding, ...] = ()
        self.only: _Only | None = None
        if fast and bindings and (memory := bindings[0].memory) and len(memory[0]) == len(memory[1]) == 1:
            (x,), (y,) = memory
            self.only = x.shape, x.dtype, x, bindings[0].squares, y, [binding.run for binding in bindings]


def _failed(shapes: Sequence[Shape], error: Exception) -> LucidError:
    return LucidError(f"onnxruntime failed on inputs of shapes {list(shapes)}: {error}")
