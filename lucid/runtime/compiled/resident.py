"""Resident: the state of a training step stays on its device until somebody reads it."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from ...errors import LucidError
from ...export.training.state import PREFIX
from ...tensor import Tensor, around
from ...tracer.writes import touch
from ..session.buffer import Buffer, caller
from ..session.device import Device, turn
from ..session.fork import watch
from ..session.session import Session
from .parts import Shapes

__all__ = ["Memory", "Place", "Resident"]

Array = np.ndarray[Any, Any]


class Place:
    """The memory of one part of a state on a device: a buffer that the next step reads, and one that it writes.

    While a tensor is `away`, its elements are here, and its own array is out of date. Whoever reads the tensor brings
    them home (`lucid.Tensor` asks `bring` for the array that it lacks).

    Args:
        memory: the memory that it belongs to.
        array: an array of the part's shape and dtype.

    Attributes:
        kind: shape and dtype.
        stand_in: an array of this kind, without memory of its own.
        read: the buffer that the next step reads.
        written: the buffer that it writes.
    """

    def __init__(self, memory: Memory, array: Array) -> None:
        self._memory = memory
        self.kind = array.shape, array.dtype
        self.stand_in = np.broadcast_to(np.zeros((), array.dtype), array.shape)
        self.read, self.written = (Buffer(memory.device, array.shape, array.dtype) for _ in range(2))
        self._tenant: weakref.ref[Tensor] | None = None
        self._home: Array | None = None

    def enter(self, tensor: Tensor) -> None:
        """Makes the place hold the elements that a tensor has now."""
        if self._tenant is None or self._tenant() is not tensor:
            self.clear()
            self._tenant = weakref.ref(tensor)
        if not self._is_away(tensor):
            self.read.put(tensor._data)

    def turn(self) -> None:
        """Makes what the step wrote what the next one reads."""
        self.read, self.written = self.written, self.read

    def leave(self, tensor: Tensor) -> None:
        """Makes the elements that the place holds those of its tensor.

        A tensor whose array, or a view of it, somebody else has gets them at once: nobody can tell when that one reads.
        """
        if self._is_away(tensor):
            return
        if _is_alone(tensor):
            self._home = tensor._data
            del tensor._data
            tensor._away = self
        else:
            np.copyto(tensor._data, self.read.get())
            touch(tensor)

    def bring(self, tensor: Tensor) -> Array:
        """Returns the array of a tensor that is away, and gives it back to the tensor."""
        with self._memory.lock:
            if self._home is not None and self._is_away(tensor):
                np.copyto(self._home, self.read.get())
                tensor._data, self._home = self._home, None
                touch(tensor)
            return tensor._data

    def clear(self) -> None:
        """Brings the tensor that is here home."""
        if self._home is not None:
            tenant = None if self._tenant is None else self._tenant()
            if tenant is not None and self._is_away(tenant):
                self.bring(tenant)
            self._home = None

    def _is_away(self, tensor: Tensor) -> bool:
        return tensor._is_away() and tensor._away is self


class Memory:
    """The parts of a state that are on a device, by name; one for all graphs of a training step.

    Attributes:
        device: the device.
        lock: held while a step runs, so that nobody reads what is half written.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.lock = threading.RLock()
        self._places: dict[str, Place] = {}
        watch(self)

    def enter(self, name: str, tensor: Tensor) -> Place:
        """Returns the place of a part, which holds the elements that the part's tensor has now."""
        place = self._places.get(name)
        if not tensor._is_away() and (place is None or place.kind != (tensor._data.shape, tensor._data.dtype)):
            if place is not None:
                place.clear()
            place = self._places[name] = Place(self, tensor._data)
        if place is None or (tensor._is_away() and tensor._away is not place):
            tensor._away.bring(tensor)  # from the memory of another step
            return self.enter(name, tensor)
        place.enter(tensor)
        return place

    def _forking(self) -> None:
        """Brings everything home before a fork: a device's memory does not survive it."""
        with self.lock:
            for place in self._places.values():
                place.clear()

    def _forked(self) -> None:
        """Begins anew in a forked child."""
        self.lock = threading.RLock()
        self._places = {}


class Resident:
    """Runs a session of a training step on the memory of its state.

    Args:
        session: the session.
        memory: the memory.
        parameters: the inputs beside the batch and a seed, by name; some of them are parts of the state.
        owners: returns the tensors that hold the parts of the state now, by name.
    """

    def __init__(
        self,
        session: Session,
        memory: Memory,
        parameters: Mapping[str, Tensor],
        owners: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        self._session = session
        self._memory = memory
        self._parameters = dict(parameters)
        self._owners = owners
        self._io: Any = None
        self._call: Callable[[], None]
        watch(self)

    def _forked(self) -> None:
        """Drops what is bound: it belongs to a session of the parent."""
        self._io = None

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """Takes a step, and returns the results that are no part of the state.

        Args:
            arrays: the arrays of the batch, and a seed where the step draws.
            shapes: the shapes of all inputs.

        Raises:
            ShapeError: an input does not fit. LucidError: onnxruntime failed.
        """
        session = self._session
        session.check(shapes)
        with self._memory.lock:
            owners = self._owners()
            given = iter(arrays)
            inputs: dict[str, Any] = {
                spec.name: owners.get(spec.name, self._parameters[spec.name])
                if spec.name in self._parameters
                else next(given)
                for spec in session.inputs
            }
            # An empty batch, and elements that must be bounded, are for the session, which has other graphs for them.
            if session.guarded or any(0 in array.shape for array in arrays):
                return self._on_host(inputs, owners, shapes)
            places = {name: self._memory.enter(name, tensor) for name, tensor in owners.items()}
            held = {name: x._data for name, x in inputs.items() if isinstance(x, Tensor) and name not in places}
            fed = {name: held.get(name, x) for name, x in inputs.items() if name not in places}
            session.check_elements([fed[s.name] if s.name in fed else places[s.name].stand_in for s in session.inputs])
            try:
                results = self._stepped(places, fed)
            except Exception as error:  # onnxruntime raises its own exception types
                self._io = None
                raise LucidError(f"onnxruntime failed on inputs of shapes {list(shapes)}: {error}") from error
            for place in places.values():
                place.turn()
            for name, tensor in owners.items():
                places[name].leave(tensor)
        return results

    def _on_host(self, inputs: Mapping[str, Any], owners: Mapping[str, Tensor], shapes: Shapes) -> list[Array]:
        """Takes a step as a session takes inputs: from the host, and back to it."""
        arrays = [x._data if isinstance(x, Tensor) else x for x in inputs.values()]
        found = dict(zip(self._session.output_names, self._session.run(arrays, shapes), strict=True))
        for name, tensor in owners.items():
            np.copyto(tensor._data, found.pop(PREFIX + name))
        touch(*owners.values())
        return list(found.values())

    def _stepped(self, places: Mapping[str, Place], fed: Mapping[str, Array]) -> list[Array]:
        """Runs the session from what the places read into what they write; returns the other outputs.

        Everything is bound in each step: onnxruntime copies an input to where the model takes it when it is bound.
        """
        session = self._session
        with turn(session.device):
            if self._io is None:
                self._io = session._session.io_binding()
                self._call = caller(session._session, self._io)
            kept = {name: np.asarray(array, order="C") for name, array in fed.items()}  # onnxruntime does not keep them
            for name in session.input_names:
                held = places[name].read.value if name in places else _value(kept[name])
                self._io.bind_ortvalue_input(name, held)
            free = []
            for name in session.output_names:
                if (place := places.get(name.removeprefix(PREFIX))) is None:
                    self._io.bind_output(name)
                    free.append(name)
                else:
                    self._io.bind_ortvalue_output(name, place.written.value)
            self._call()
            values = dict(zip(session.output_names, self._io.get_outputs(), strict=True))
            return [np.array(values[name].numpy()) for name in free]


def _value(array: Array) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _references(tensor: Tensor) -> int:
    return sys.getrefcount(tensor._data)


_ALONE = _references(around(np.zeros(1)))
"""The references to the array of a tensor that nobody else has; Python's versions count differently."""


def _is_alone(tensor: Tensor) -> bool:
    """Returns whether nobody but a tensor has its array or a view of it."""
    return tensor._data.base is None and _references(tensor) <= _ALONE
