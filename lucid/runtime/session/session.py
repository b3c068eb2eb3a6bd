"""Session: an ONNX model, run in onnxruntime."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...devices import device as Place
from ...errors import LucidError, RuntimeUnavailableError, ShapeError
from ...export.exported import Exported
from .arguments import INSTEAD, filled, ordered
from .bounded import are_bounded
from .buffer import OPTIONS, Binding, Buffer
from .device import Device, find_device, holds_memory, turn
from .fork import Unloaded, keep, watch
from .formula import compute, conditions_of
from .html import html_of_session
from .lengths import Lengths
from .loader import Loader
from .outputs import Outputs
from .pieces import interface_of, streaming_of
from .ranges import ranges_of
from .recurrence import recurrence_of
from .spec import Shape, as_array, axis_of, check_shapes, evaluate, resolve, sample, specs_of
from .stream import Stream

__all__ = ["Session"]

Array = np.ndarray[Any, Any]

_KEPT = 8
"""The number of different input shapes for which buffers are kept."""

_SMALL = 1 << 15
"""The most bytes of inputs and outputs for which buffers are used on a CPU: they save overhead, but cost copies."""


class Session:
    """An ONNX model, ready to run; safe to call from several threads at once.

    A forked child loads it anew, and so does a copy or a process that it is sent to by pickle: from the same path or
    bytes, with the same options. A file that has changed meanwhile is refused.

    Inputs, and the conditions on their sizes, are checked before onnxruntime sees them. From the second call with the
    same shapes on, small inputs and outputs, and all on a GPU, use buffers that are bound to onnxruntime once, one set
    for each concurrent thread. No call overwrites the results of an earlier one.

    Args:
        model: the path of a model, the result of `lucid.export.to_onnx`, or the bytes of a file.
        device: see `find_device`; "auto" is CUDA if it starts, otherwise the CPU.
        threads: the number of threads per operator; if None, onnxruntime's default.
        verify: whether to check a file that lucid wrote against its digests, and to refuse more nodes than onnxruntime
            loads in minutes. A file of another writer has no digests.
        arena: whether onnxruntime keeps the CPU memory of a call for the next one, as much as the largest call needed;
            otherwise all of it is freed.

    Attributes:
        device: the device that it runs on.
        inputs: name, dtype and shape of each input; a free size is a name.
        outputs: the same for each output.
        metadata: the metadata in the file.
        conditions: what sizes must satisfy, such as ``time >= 2``; a call raises ShapeError where one does not hold.
        streaming: how the pieces of a sequence give what the whole gives, or why they do not.
        ranges: the elements that inputs may hold, if they are indices, classes or probabilities.
        interface: which inputs are lengths, which output continues which state, and which states may be left out.

    Raises:
        FileError: the file does not exist, is damaged, is not a model, or refers to data outside its folder.
        VerificationError: it was altered after lucid wrote it, or lost its digests.
        RuntimeUnavailableError: there is no such device.

    Example:
        >>> rnn = nn.RNN(3, 4)
        >>> session = lucid.runtime.Session(lucid.export.to_onnx(rnn, lucid.randn(5, 2, 3)))
        >>> print(session)
        Session on cpu: (x: float32(time, batch, 3)) -> (output: float32(time, batch, 4), h_n: float32(1, batch, 4))
        >>> output, h_n = session(lucid.randn(7, 6, 3))
        >>> output.shape
        (7, 6, 4)
        >>> session(x=lucid.randn(7, 6, 3))["h_n"].shape
        (1, 6, 4)
        >>> session(lucid.randn(7, 6, 2))
        Traceback (most recent call last):
        lucid.errors.ShapeError: axis 2 of input 'x' must be 3; got 2, shape (7, 6, 2), expected (time, batch, 3) ...
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Exported | bytes,
        device: str | Place | Device = "cpu",
        *,
        threads: int | None = None,
        verify: bool = True,
        arena: bool = True,
    ) -> None:
        if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
            raise ValueError(f"Session: threads must be a positive int or None; got {threads!r}")
        self.device = find_device(device)
        self._loader = Loader(model, verify, threads, arena)
        source = self._loader.read()
        try:
            self._session = self._loader.load(source, self.device)
        except RuntimeUnavailableError:
            if device != "auto":
                raise
            self.device = Device("cpu")
            self._session = self._loader.load(source, self.device)
        self.inputs = specs_of(self._session.get_inputs(), "input")
        self.outputs = specs_of(self._session.get_outputs(), "output")
        self.input_names, self.output_names = (tuple(s.name for s in specs) for specs in (self.inputs, self.outputs))
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.conditions = conditions_of(self.metadata)
        self.recurrence = recurrence_of(source.proto)
        self.streaming = streaming_of(source)
        self.ranges = ranges_of(source, self.inputs)
        self._ranged = len(self.ranges) > 0
        self.interface = interface_of(source, self.recurrence, self.streaming)
        self._lengths = Lengths(self.interface, self.inputs)
        self._has_lengths = bool(self._lengths)
        # The positions of the inputs that must be bounded, since the model runs without its guards.
        self.guarded = tuple([i for i, spec in enumerate(self.inputs) if spec.name in self._loader.guarded])
        self._whole: Any = None
        self._turn = turn(self.device)
        # By the shapes of inputs: the idle bindings, or None if buffers are not used. The most recently used come last.
        self._bindings: dict[tuple[Shape, ...], list[Binding] | None] = {}
        self._lock = threading.Lock()
        # Whether the shapes of outputs are those that the model declares.
        self._known = True
        watch(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Outputs:
        """Runs the model.

        Args:
            args: the inputs in order: arrays or Tensors of the model's dtype, or lists, which are converted.
            kwargs: inputs by name. States in `interface.optional` may be left out, or None; they are zero then.

        Raises:
            TypeError: an input is missing, given twice or unknown.
            ShapeError, DtypeError: an input does not fit; the message names it and the axis at fault.
            AxisError, RangeError: an input that the model takes as indices, classes or probabilities is out of range.
        """
        optional = self.interface.optional
        whole = not kwargs and len(args) == len(self.inputs)
        given: Sequence[Any] = args if whole else ordered(self.inputs, args, kwargs, optional)
        if optional:
            given = filled(self.inputs, given, optional)
        arrays = [as_array(x, spec) for x, spec in zip(given, self.inputs, strict=True)]
        return Outputs.of(self.run(arrays, tuple([array.shape for array in arrays])), self.output_names)

    def run(self, arrays: Sequence[Array], shapes: tuple[Shape, ...]) -> list[Array]:
        """Runs the model on one array per input, of the input's dtype.

        Args:
            arrays: the inputs in order.
            shapes: their shapes.

        Raises:
            ShapeError: an input does not fit; the message names it and the axis at fault.
        """
        try:
            kept = self._bindings.get(shapes)
        except TypeError as error:  # a dict is not hashable
            raise TypeError(
                "Session: the inputs are arguments, by position or by name, and the outputs have names: "
                "session(**feeds)['output'], in place of onnxruntime's session.run(['output'], feeds)[0]"
            ) from error
        new = kept is None and shapes not in self._bindings
        if new:
            self.check(shapes)
        if self._has_lengths or self._ranged:
            self.check_elements(arrays)
        try:
            results: list[Array] | None = None
            if kept is not None:
                results = self._run_bound(shapes, arrays, kept)
            elif not (new and self._loader.aborts and any(0 in shape for shape in shapes)):
                results = self._run(arrays) if are_bounded(arrays, self.guarded) else None
            if results is None:
                return self._run(arrays, self._with_guards())
        except Exception as error:  # onnxruntime raises its own exception types
            raise LucidError(f"onnxruntime failed on inputs of shapes {list(shapes)}: {error}") from error
        if new:
            self._remember(shapes, sum(array.nbytes for array in (*arrays, *results)))
        return results

    def _run(self, arrays: Sequence[Array], session: Any = None) -> list[Array]:
        """Runs the model without buffers. onnxruntime returns results without axes as NumPy scalars."""
        feeds = dict(zip(self.input_names, arrays, strict=True))
        with self._turn:
            results = (session or self._session).run(self.output_names, feeds, OPTIONS)
        return [np.asarray(result) for result in results]

    def _with_guards(self) -> Any:
        """Returns onnxruntime's session of the model with its guards, whose operators also accept an empty batch."""
        with self._lock:
            if self._whole is None:
                self._whole = self._loader.load_whole(self.device)
            return self._whole

    def _run_bound(self, shapes: tuple[Shape, ...], arrays: Sequence[Array], kept: list[Binding]) -> list[Array] | None:
        """Runs the model in the buffers that are kept for inputs of these shapes; None if these are not bounded."""
        try:
            binding = kept.pop()
        except IndexError:  # other threads are using them, or there are none yet
            binding = self._bind(shapes)
        try:
            results = binding(arrays)
        except Exception:  # onnxruntime raises its own exception types
            # The shapes of outputs may depend on data, despite the model's declaration; then they cannot have buffers.
            results = self._run(arrays)
            self._known = False
            for made in list(self._bindings.values()):
                if made is not None:
                    made.clear()
            return results
        kept.append(binding)
        return results

    def warmup(self, **sizes: int) -> Session:
        """Runs the model on made-up inputs, so that the first call with these sizes is as fast as the others.

        Args:
            sizes: the sizes of free axes by name, such as ``batch=32, time=100``; those not given are 1.

        Returns:
            The session itself.

        Raises:
            ValueError: there is no free axis of that name.
        """
        arrays = self.sample(**sizes)
        for _ in range(2):  # the second call allocates the buffers
            self(*arrays)
        return self

    def sample(self, **sizes: int) -> list[Array]:
        """Returns made-up inputs of given sizes: random numbers; zeros for integers; full lengths.

        Raises:
            ValueError: there is no free axis of that name.
            ShapeError: an input is declared to be larger than any array.
        """
        unknown = sizes.keys() - self.axes
        if unknown:
            names = ", ".join(self.axes) or "none"
            raise ValueError(f"there is no free axis {', '.join(sorted(unknown))}; there is {names}")
        whole = dict.fromkeys(self.axes, 1) | sizes
        return self.ranges.clipped(sample(self.inputs, whole, self._lengths.full(whole)))

    def stream(self, batch: int | None = None, state: Mapping[str, str] | None = None) -> Stream:
        """Returns a `Stream`, which runs sequences piece by piece and keeps the recurrent state on the device.

        It was proved at export that pieces give what the whole gives. For a file that lucid did not write, or that was
        not verified, it is proved from the nodes.

        Args:
            batch: the number of sequences that run side by side; 1 if None.
            state: for each input that is a state, the output that is its next value, such as ``{"h": "h_n"}``. If None,
                the states that the file declares, `interface.states`.

        Raises:
            ValueError: the model has no such states.
            ShapeError: its batch is fixed at another size.
            LucidError: pieces would not give the results of the whole, or this was not proved: something mixes the
                steps of a sequence, or a layer has a state that is not carried over. The message names the op.

        Example:
            >>> rnn = nn.RNN(3, 4)
            >>> x = lucid.randn(10, 2, 3)
            >>> session = lucid.runtime.Session(lucid.export.to_onnx(rnn, x, lucid.zeros(1, 2, 4)))
            >>> stream = session.stream(batch=2)
            >>> pieces = [stream(x[:3])["output"], stream(x[3:4])["output"], stream(x[4:])["output"]]
            >>> bool(np.allclose(np.concatenate(pieces), rnn(x)[0].detach(), atol=1e-6))
            True
        """
        return Stream(self, batch, state)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the free axes."""
        return tuple(dict.fromkeys(n for spec in self.inputs for n in spec.shape if isinstance(n, str)))

    def check(self, shapes: Sequence[Shape], known: Mapping[str, int] | None = None) -> dict[str, int]:
        """Checks the shapes of the inputs and returns the sizes of the free axes.

        Raises:
            ShapeError: the shapes do not fit the inputs or each other, a condition does not hold, or a sequence has no
                steps.
        """
        sizes = check_shapes(self.inputs, shapes, known)
        for condition in self.conditions:
            if compute(condition, sizes) is False:
                raise ShapeError(
                    f"the model is for {condition}: the program that it was exported from fails or differs elsewhere; "
                    f"got {sizes}"
                )
        for steps in self.recurrence.time:
            # onnxruntime's RNN would return zeros for the state, and its Scan fails.
            if (n := evaluate(steps, sizes)) is not None and n < 1:
                axis = axis_of(self.inputs, steps)
                raise ShapeError(f"{axis} is {n}, but a recurrent layer runs over it: at least one step is needed")
        return sizes

    def check_elements(self, arrays: Sequence[Array]) -> None:
        """Checks sequence lengths, indices, classes and probabilities: see `check_lengths` and `check_ranges`."""
        if self._has_lengths:
            self.check_lengths(arrays)
        if self._ranged:
            self.check_ranges(arrays)

    def check_lengths(self, arrays: Sequence[Array]) -> None:
        """Checks sequence lengths: onnxruntime accepts some that have no meaning, below one or beyond the steps."""
        self._lengths.check(arrays, check_shapes(self.inputs, [array.shape for array in arrays]))

    def check_ranges(self, arrays: Sequence[Array]) -> None:
        """Checks indices, classes and probabilities: onnxruntime would count from the end, or give NaN.

        Raises:
            AxisError: an index or a class is out of range. RangeError: a probability is.
        """
        sizes = check_shapes(self.inputs, [array.shape for array in arrays]) if self.ranges.sized else {}
        self.ranges.check(arrays, sizes)

    def _remember(self, shapes: tuple[Shape, ...], size: int) -> None:
        """Enables buffers for further calls with these shapes; on a CPU, only if they are small enough to pay off."""
        with self._lock:
            while len(self._bindings) >= _KEPT:
                self._bindings.pop(next(iter(self._bindings)))
            self._bindings.setdefault(shapes, [] if size <= _SMALL or holds_memory(self.device) else None)

    def _bind(self, shapes: tuple[Shape, ...]) -> Binding:
        with self._lock:  # the most recently used shapes are dropped last
            if (bindings := self._bindings.pop(shapes, None)) is not None:
                self._bindings[shapes] = bindings
        sizes = check_shapes(self.inputs, shapes)
        inputs = {s.name: Buffer(self.device, shape, s.dtype) for s, shape in zip(self.inputs, shapes, strict=True)}
        return self.bind(inputs, self.output_buffers(sizes))

    def bind(
        self,
        inputs: Mapping[str, Buffer],
        outputs: Mapping[str, Buffer | None],
        read: Mapping[str, Buffer] | None = None,
        written: Mapping[str, Buffer] | None = None,
        *,
        whole: bool = False,
    ) -> Binding:
        """Returns a `Binding` of this session; `whole`: of the model with its guards."""
        session = self._with_guards() if whole else self._session
        guarded = () if whole else {self.inputs[i].name for i in self.guarded}
        return Binding(session, self.device, inputs, outputs, read, written, guarded)

    def output_buffers(self, sizes: Mapping[str, int]) -> dict[str, Buffer | None]:
        """Returns a buffer for each output whose shape follows from the sizes of the free axes; None for the others."""
        buffers: dict[str, Buffer | None] = {}
        for spec in self.outputs:
            shape = resolve(spec, sizes)
            known = self._known and shape is not None
            buffers[spec.name] = Buffer(self.device, shape or (), spec.dtype) if known else None
        return buffers

    def digest(self) -> str:
        """Returns the SHA-256 of the model's graph, metadata and weights; LucidError if its file has changed."""
        return self._loader.digest()

    def __reduce__(self) -> Any:
        return _again, (*self._loader.arguments, self.device, self.digest())

    def _forked(self) -> None:
        """Drops what does not work in a forked child; the first call there loads the model anew."""
        if not isinstance(self._session, Unloaded):
            keep(self._session)
            self._session = Unloaded(self)
        if self._whole is not None:
            keep(self._whole)
            self._whole = None
        self._bindings = {}
        self._lock = threading.Lock()

    def _loaded(self) -> Any:
        """Loads the model after `unload` or in a forked child, unless it is loaded; returns onnxruntime's session.

        Raises:
            LucidError: it ran on another device than the CPU, or its file has changed.
        """
        with self._lock:
            if isinstance(self._session, Unloaded):
                if self.device.kind != "cpu":
                    raise LucidError(
                        f"Session: a session on {self.device} does not survive a fork; create it in the child, or "
                        "start processes with multiprocessing.get_context('spawn')"
                    )
                self._session = self._loader.load(self._loader.read(), self.device)
            return self._session

    # Type checkers would assume that every attribute exists.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = INSTEAD.get(name)
            raise AttributeError(f"'Session' object has no attribute {name!r}" + (f"; {hint}" if hint else ""))

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, specs)) for specs in (self.inputs, self.outputs))
        return f"Session on {self.device}: ({inputs}) -> ({outputs})"

    _repr_html_ = html_of_session


def _again(model: Any, verify: bool, threads: int | None, arena: bool, device: Device, digest: str) -> Session:
    """Loads the model of a session that was copied or pickled; LucidError if its file is another one by now."""
    session = Session(model, device, threads=threads, verify=verify, arena=arena)
    if session.digest() != digest:
        raise LucidError(
            f"Session: {model if isinstance(model, str) else 'the model'} is not the model of the session that was "
            "copied or pickled: its file has changed, or is another one on this machine; create the session anew"
        )
    return session
