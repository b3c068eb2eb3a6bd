"""Buffers that onnxruntime reads and writes in place, on any device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from .bounded import LIMIT, are_bounded, square
from .device import Device

__all__ = ["OPTIONS", "Binding", "Buffer", "caller"]

Array = np.ndarray[Any, Any]

OPTIONS = onnxruntime.RunOptions()
"""The options of every run: onnxruntime's defaults. Creating them in each call would take a microsecond."""


class Buffer:
    """Memory of one shape and dtype on a device, initially zeros.

    Attributes:
        value: the memory as an OrtValue.
        array: the memory as a NumPy array; None if it is not on a CPU.
    """

    __slots__ = ("array", "value")

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        zeros = np.zeros(shape, dtype)
        # On a CPU the OrtValue shares the array's memory, so filling it needs no call into onnxruntime.
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(zeros, device.kind, device.number)
        self.array = zeros if device.kind == "cpu" else None

    def put(self, x: Array) -> None:
        """Copies an array of the same shape and dtype into the buffer."""
        if self.array is not None:
            self.array[...] = x
        else:
            self.value.update_inplace(np.ascontiguousarray(x))

    def get(self) -> Array:
        """Returns a copy of the buffer's contents."""
        return self.array.copy() if self.array is not None else np.asarray(self.value.numpy())


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

    __slots__ = ("device", "guarded", "inputs", "io", "memory", "outputs", "run", "squares", "unknown")

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
        self.io = session.io_binding()
        self.device = device
        self.unknown = [name for name, output in outputs.items() if output is None]
        for name, buffer in {**inputs, **(read or {})}.items():
            self.io.bind_ortvalue_input(name, buffer.value)
        for name, output in {**outputs, **(written or {})}.items():
            if output is None:
                self.io.bind_output(name, device.kind, device.number)
            else:
                self.io.bind_ortvalue_output(name, output.value)
        self.run = caller(session, self.io)
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
            self.io.bind_output(name, self.device.kind, self.device.number)
        self.run()
        return [np.array(value.numpy()) for value in self.io.get_outputs()[: len(self.outputs)]]


def caller(session: Any, io: Any) -> Callable[[], None]:
    """Returns a function that runs a session on a binding."""
    try:
        # The public method does the same, but its Python call takes a tenth of the time of one step of a model.
        return partial(session._sess.run_with_iobinding, io._iobinding, OPTIONS)
    except AttributeError:
        return partial(session.run_with_iobinding, io, OPTIONS)
