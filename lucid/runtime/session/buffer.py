"""Buffers that onnxruntime reads and writes in place, on any device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from .bounded import LIMIT, are_bounded, square
from .device import Device, allocate, holds_memory, turn

__all__ = ["OPTIONS", "Binding", "Buffer", "caller"]

Array = np.ndarray[Any, Any]

OPTIONS = onnxruntime.RunOptions()
"""The options of every run: onnxruntime's defaults. Creating them in each call would take a microsecond."""


class Buffer:
    """Memory of one shape and dtype on a device, initially zeros: the CPU's where the device has none to offer.

    Attributes:
        value: the memory as an OrtValue.
        array: the memory as a NumPy array; None if it is not the CPU's.
    """

    __slots__ = ("_turn", "array", "value")

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        zeros = np.zeros(shape, dtype)
        value = allocate(device, zeros)
        self._turn = turn(device)
        # On a CPU the OrtValue shares the array's memory, so filling it needs no call into onnxruntime.
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(zeros) if value is None else value
        self.array = zeros if value is None else None

    def put(self, x: Array) -> None:
        """Copies an array of the same shape and dtype into the buffer."""
        if self.array is not None:
            self.array[...] = x
        else:
            with self._turn:
                self.value.update_inplace(np.ascontiguousarray(x))

    def get(self) -> Array:
        """Returns a copy of the buffer's contents."""
        if self.array is not None:
            return self.array.copy()
        with self._turn:
            return np.asarray(self.value.numpy())


class Binding:
    """A session's inputs and outputs, bound to buffers.

    Args:
        session: onnxruntime's session.
        device: where the model runs.
        inputs: the buffers that each call fills.
        outputs: the buffers that each call returns copies of; None for an output whose shape is known only at run time.
        read: the buffers of inputs that calls do not fill.
        written: the buffers of outputs that calls do not return.
        guarded: the names of the inputs that must be bounded.

    Attributes:
        run: runs the model on the contents of the buffers.
        memory: the arrays of the inputs and those of the outputs, if all buffers are on a CPU.
        squares: for each input that must be bounded, what adds up the squares of its buffer, if all are on a CPU.
    """

    __slots__ = ("_place", "guarded", "inputs", "io", "memory", "outputs", "run", "squares", "unknown")

    def __init__(
        self,
        session: Any,
        device: Device,
        inputs: Mapping[str, Buffer],
        outputs: Mapping[str, Buffer | None],
        read: Mapping[str, Buffer] | None = None,
        written: Mapping[str, Buffer] | None = None,
        guarded: Collection[str] = (),
    ) -> None:
        self.inputs = tuple(inputs.values())
        self.outputs = tuple(outputs.values())
        self.io = session.io_binding() if device.kind == "cpu" or holds_memory(device) else _Unbound(session)
        # What is not allocated beforehand comes back from a plugin's memory in the CPU's.
        self._place = (device.kind, device.number) if device.kind == "cuda" else ("cpu", 0)
        self.unknown = [name for name, output in outputs.items() if output is None]
        with turn(device):
            for name, buffer in {**inputs, **(read or {})}.items():
                self.io.bind_ortvalue_input(name, buffer.value)
            for name, output in {**outputs, **(written or {})}.items():
                if output is None:
                    self.io.bind_output(name, *self._place)
                else:
                    self.io.bind_ortvalue_output(name, output.value)
        # onnxruntime copies an input to where the model takes it when it is bound, not when the model runs.
        taken = _taken(session)
        elsewhere = {
            name: buffer.value
            for name, buffer in {**inputs, **(read or {})}.items()
            if device.kind != "cpu" and taken.get(name) != ("cpu" if buffer.array is not None else "device")
        }
        run = caller(session, self.io)
        self.run = run if device.kind == "cpu" else partial(_bound_anew, self.io, elsewhere, run, turn(device))
        sources = [buffer.array for buffer in self.inputs if buffer.array is not None]
        targets = [buffer.array for buffer in self.outputs if buffer is not None and buffer.array is not None]
        seen = len(sources) == len(self.inputs) and len(targets) == len(self.outputs)
        self.memory = (sources, targets) if seen else None
        self.guarded = [i for i, name in enumerate(inputs) if name in guarded]
        self.squares = [square(sources[i].reshape(-1)) for i in self.guarded] if seen else []

    def __call__(self, arrays: Sequence[Array]) -> list[Array] | None:
        """Runs the model, or returns None if an input that must be bounded is not.

        The results are copies, so no later call overwrites them.
        """
        if self.memory is not None:
            sources, targets = self.memory
            for source, x in zip(sources, arrays, strict=True):
                source[...] = x
            for squared in self.squares:
                if not squared() < LIMIT:
                    return None
            self.run()
            return [target.copy() for target in targets]
        if not are_bounded(arrays, self.guarded):
            return None
        for buffer, x in zip(self.inputs, arrays, strict=True):
            buffer.put(x)
        if not self.unknown:
            self.run()
            return [buffer.get() for buffer in self.outputs]  # type: ignore[union-attr]
        for name in self.unknown:
            # Bound again: onnxruntime would reuse the memory of the last run, which may be too small.
            self.io.bind_output(name, *self._place)
        self.run()
        return [np.array(value.numpy()) for value in self.io.get_outputs()[: len(self.outputs)]]


def _taken(session: Any) -> dict[str, str]:
    """Returns where a session takes each input, on the "cpu" or the "device"; {} where onnxruntime does not say."""
    infos: list[Any] = getattr(session, "get_input_memory_infos", list)()
    names = [spec.name for spec in session.get_inputs()]
    # "CudaPinned" is the CPU's memory, but not the one that buffers lie in.
    places = {"Cpu": "cpu", "CudaPinned": "pinned"}
    return {name: places.get(info.name, "device") for name, info in zip(names, infos, strict=False)}


def _bound_anew(io: Any, values: Mapping[str, Any], run: Callable[[], None], turn: Any) -> None:
    """Runs a session on a device, with these inputs bound anew."""
    with turn:
        for name, value in values.items():
            io.bind_ortvalue_input(name, value)
        run()


class _Unbound:
    """What stands for onnxruntime's binding where a provider has no memory for buffers.

    The build onnxruntime-webgpu 1.27 ends the process when a binding is freed.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._results: list[Array] = []

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self._inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        self._outputs[name] = value

    def bind_output(self, name: str, kind: str, number: int) -> None:
        self._outputs[name] = None

    def run(self) -> None:
        feeds = {name: value.numpy() for name, value in self._inputs.items()}
        self._results = [np.asarray(result) for result in self._session.run(list(self._outputs), feeds, OPTIONS)]
        for value, result in zip(self._outputs.values(), self._results, strict=True):
            if value is not None:
                value.update_inplace(result)

    def get_outputs(self) -> list[Any]:
        return [onnxruntime.OrtValue.ortvalue_from_numpy(result) for result in self._results]


def caller(session: Any, io: Any) -> Callable[[], None]:
    """Returns a function that runs a session on a binding."""
    if isinstance(io, _Unbound):
        return io.run
    try:
        # The public method does the same, but its Python call takes a tenth of the time of one step of a model.
        return partial(session._sess.run_with_iobinding, io._iobinding, OPTIONS)
    except AttributeError:
        return partial(session.run_with_iobinding, io, OPTIONS)
