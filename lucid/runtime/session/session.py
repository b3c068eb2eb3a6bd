"""Session: an ONNX model, run in onnxruntime."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from ...errors import FileError, LucidError, RuntimeUnavailableError, ShapeError
from ...export.exported import Exported
from ...export.file.empty import aborts, without_aborts
from .arguments import ordered
from .bounded import are_bounded, without_guards
from .buffer import OPTIONS, Binding, Buffer
from .device import Device, find_device, load_libraries, require
from .formula import compute, conditions_of
from .outputs import Outputs
from .pieces import streaming_of
from .recurrence import recurrence_of
from .source import Source, read_model
from .spec import Shape, as_array, check_shapes, evaluate, resolve, sample, specs_of
from .stream import Stream

__all__ = ["Session"]

Array = np.ndarray[Any, Any]

_KEPT = 8
"""The number of different input shapes for which buffers are kept."""

_SMALL = 1 << 15
"""The most bytes of inputs and outputs for which buffers are used on a CPU: they save overhead, but cost copies."""


class Session:
    """An ONNX model, ready to run; safe to call from several threads at once.

    Inputs, and the conditions on their sizes, are checked before onnxruntime sees them. From the second call with the
    same shapes on, small inputs and outputs, and all on a GPU, use buffers that are bound to onnxruntime once, one set
    for each concurrent thread. No call overwrites the results of an earlier one.

    Args:
        model: the path of a model, the result of `lucid.export.to_onnx`, or the bytes of a file.
        device: "cpu", "cuda", "cuda:1" and so on, or "auto": CUDA if it starts, otherwise the CPU.
        threads: the number of threads per operator; if None, onnxruntime's default.
        verify: whether to check a file that lucid wrote against its digests.
        arena: whether onnxruntime keeps the CPU memory of a call for the next one, as much as the largest call needed;
            otherwise all of it is freed.

    Attributes:
        device: the device that it runs on.
        inputs: name, dtype and shape of each input; a free size is a name.
        outputs: the same for each output.
        metadata: the metadata in the file.
        conditions: what sizes must satisfy, such as ``time >= 2``; a call raises ShapeError where one does not hold.
        streaming: how the pieces of a sequence give what the whole gives, or why they do not.

    Raises:
        FileError: the file does not exist, is damaged, is not a model, or refers to data outside its folder.
        VerificationError: it was altered after lucid wrote it.
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
        lucid.errors.ShapeError: axis 2 of input 'x' must be 3; got 2, shape (7, 6, 2), expected (time, batch, 3)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Exported | bytes,
        device: str | Device = "cpu",
        *,
        threads: int | None = None,
        verify: bool = True,
        arena: bool = True,
    ) -> None:
        if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
            raise ValueError(f"Session: threads must be a positive int or None; got {threads!r}")
        self.device = find_device(device)
        source = read_model(model, verify)
        bare = without_guards(source.proto) if isinstance(source.model, bytes) else None
        whole = source
        if bare is not None:
            source = source._replace(proto=bare.proto, model=bare.proto.SerializeToString())
        try:
            self._session = _load(source, self.device, threads, arena)
        except RuntimeUnavailableError:
            if device != "auto":
                raise
            self.device = Device("cpu")
            self._session = _load(source, self.device, threads, arena)
        self.inputs = specs_of(self._session.get_inputs(), "input")
        self.outputs = specs_of(self._session.get_outputs(), "output")
        self.input_names = tuple(spec.name for spec in self.inputs)
        self.output_names = tuple(spec.name for spec in self.outputs)
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.conditions = conditions_of(self.metadata)
        self.recurrence = recurrence_of(source.proto)
        self.streaming = streaming_of(source)
        # The positions of the inputs that must be bounded: the model runs without its guards.
        self.guarded = tuple([i for i, spec in enumerate(self.inputs) if bare is not None and spec.name in bare.inputs])
        # What to read the model from once more, to run it on other inputs, or on a batch that ends the process.
        self._again = (model, threads, verify, arena)
        self._aborts = aborts(whole.proto)
        self._whole: Any = None
        self._lengths = [
            (i, spec.name, self.recurrence.lengths[spec.name])
            for i, spec in enumerate(self.inputs)
            if spec.name in self.recurrence.lengths
        ]
        # By the shapes of inputs: the idle bindings, or None if buffers are not used. The most recently used come last.
        self._bindings: dict[tuple[Shape, ...], list[Binding] | None] = {}
        self._lock = threading.Lock()
        # Whether the shapes of outputs are those that the model declares.
        self._known = True

    def __call__(self, *args: Any, **kwargs: Any) -> Outputs:
        """Runs the model.

        Args:
            args: the inputs in order: arrays or Tensors of the model's dtype, or lists, which are converted.
            kwargs: inputs by name.

        Raises:
            TypeError: an input is missing, given twice or unknown.
            ShapeError, DtypeError: an input does not fit; the message names it and the axis at fault.
        """
        given = args if not kwargs and len(args) == len(self.inputs) else ordered(self.inputs, args, kwargs)
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
        kept = self._bindings.get(shapes)
        new = kept is None and shapes not in self._bindings
        if new:
            self.check(shapes)
        if self._lengths:
            self.check_lengths(arrays)
        try:
            results: list[Array] | None = None
            if kept is not None:
                results = self._run_bound(shapes, arrays, kept)
            elif not (new and self._aborts and any(0 in shape for shape in shapes)):
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
        session = session or self._session
        results = session.run(self.output_names, dict(zip(self.input_names, arrays, strict=True)), OPTIONS)
        return [np.asarray(result) for result in results]

    def _with_guards(self) -> Any:
        """Returns onnxruntime's session of the model with its guards, whose operators also accept an empty batch."""
        with self._lock:
            if self._whole is None:
                model, threads, verify, arena = self._again
                source = read_model(model, verify)
                made = source._replace(model=without_aborts(source.proto).SerializeToString())
                self._whole = _load(made, self.device, threads, arena, source.folder)
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
        """
        unknown = sizes.keys() - self.axes
        if unknown:
            names = ", ".join(self.axes) or "none"
            raise ValueError(f"there is no free axis {', '.join(sorted(unknown))}; there is {names}")
        whole = dict.fromkeys(self.axes, 1) | sizes
        lengths = {name: evaluate(steps, whole) or 1 for _, name, steps in self._lengths}
        return sample(self.inputs, whole, lengths)

    def stream(self, batch: int | None = None, state: Mapping[str, str] | None = None) -> Stream:
        """Returns a `Stream`, which runs sequences piece by piece and keeps the recurrent state on the device.

        It was proved at export that pieces give what the whole gives. For a file that lucid did not write, or that was
        not verified, it is proved from the nodes.

        Args:
            batch: the number of sequences that run side by side; 1 if None.
            state: for each input that is a state, the output that is its next value, such as ``{"h": "h_n"}``. If None,
                the pairs with names such as ``h0`` and ``h_n``, ``c0`` and ``c_n``, ``hidden_0`` and ``hidden_n``.

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
                axis = next(
                    (
                        f"axis {spec.shape.index(steps)} of input {spec.name!r}"
                        for spec in self.inputs
                        if steps in spec.shape
                    ),
                    f"axis {steps!r}",
                )
                raise ShapeError(f"{axis} is {n}, but a recurrent layer runs over it: at least one step is needed")
        return sizes

    def check_lengths(self, arrays: Sequence[Array]) -> None:
        """Checks sequence lengths: onnxruntime accepts some that have no meaning.

        Raises:
            ShapeError: a length is below one or beyond the number of steps, or there are no sequences.
        """
        sizes = check_shapes(self.inputs, [array.shape for array in arrays])
        for i, name, steps in self._lengths:
            values, most = arrays[i], evaluate(steps, sizes)
            if not values.size:
                raise ShapeError(f"input {name!r} must hold the length of at least one sequence; got none")
            if values.min() < 1 or (most is not None and values.max() > most):
                limit = "the number of steps" if most is None else most
                raise ShapeError(f"input {name!r} must hold lengths from 1 to {limit}; got {values.tolist()}")

    def _remember(self, shapes: tuple[Shape, ...], size: int) -> None:
        """Enables buffers for further calls with these shapes; on a CPU, only if they are small enough to pay off."""
        with self._lock:
            while len(self._bindings) >= _KEPT:
                self._bindings.pop(next(iter(self._bindings)))
            self._bindings.setdefault(shapes, [] if size <= _SMALL or self.device.kind != "cpu" else None)

    def _bind(self, shapes: tuple[Shape, ...]) -> Binding:
        with self._lock:  # the most recently used shapes are dropped last
            if (bindings := self._bindings.pop(shapes, None)) is not None:
                self._bindings[shapes] = bindings
        sizes = check_shapes(self.inputs, shapes)
        inputs = {
            spec.name: Buffer(self.device, shape, spec.dtype) for spec, shape in zip(self.inputs, shapes, strict=True)
        }
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

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, specs)) for specs in (self.inputs, self.outputs))
        return f"Session on {self.device}: ({inputs}) -> ({outputs})"


def _load(source: Source, device: Device, threads: int | None, arena: bool, folder: str | None = None) -> Any:
    """Loads a model in onnxruntime; `folder` has its external data, if it is given as bytes."""
    options = onnxruntime.SessionOptions()
    # Errors are raised as exceptions; logging would show them a second time.
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    said = load_libraries(device)
    try:
        session = onnxruntime.InferenceSession(source.model, options, providers=device.providers)
    except Exception as error:  # onnxruntime raises its own exception types
        raise FileError(f"{source.name} cannot be loaded by onnxruntime: {error}") from error
    require(device, session, said)
    return session
