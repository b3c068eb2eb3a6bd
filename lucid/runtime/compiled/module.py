"""CompiledModule: the base class of compiled modules."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...devices import device as Place
from ...errors import GradientError
from ...nn.guards import Guards
from ...nn.module import Module
from ...tensor import Tensor
from ...tracer.mode import Mode
from ...tracer.tree import Structure, flatten, key_of
from ..session.device import Device, find_device
from ..session.fork import watch
from .candidate import Candidate
from .dispatch import Signature, Tuned
from .flattened import Flattened, is_tensor
from .parts import Shapes

__all__ = ["CompiledModule"]

Array = np.ndarray[Any, Any]

_KEPT = 64
"""The number of shapes for which the candidate is cached."""


class CompiledModule(ABC):
    """A module that runs in onnxruntime: its exports are cached, and dispatched by the shapes of the inputs.

    Attributes:
        model: the eager model.
        device: the device that it runs on.
    """

    trains = False
    """Whether parameters may change from call to call."""

    def __init__(self, model: Module, device: str | Place | Device, threads: int | None) -> None:
        if not isinstance(model, Module):
            raise TypeError(
                f"{self.name}: expected a Module, whose parameters can be watched for changes; got "
                f"{type(model).__name__}"
            )
        self.model = model
        self.device = find_device(device)
        self._asked = self.device if isinstance(device, Place) else device
        self._threads = threads
        self._lock = threading.RLock()
        self._cache = self._empty()
        # Kept when parameters change: none of it depends on them.
        self._tuned: dict[Any, Tuned] = {}
        watch(self)

    def _forked(self) -> None:
        """Replaces the lock, which a thread of the parent may have held; sessions and workers replace themselves."""
        self._lock = threading.RLock()

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the function that creates it, for messages."""

    @abstractmethod
    def flat(self, structure: Structure) -> Flattened:
        """Returns the function to export for arguments of this structure."""

    def signature(self, structure: Structure, known: Tuned) -> Signature:
        """Returns what exports it for arguments of this structure."""
        return Signature(self, structure, known)

    @property
    def lowerings(self) -> dict[Shapes, str]:
        """The lowering in use for each of the latest input shapes."""
        return {shapes: candidate.lowering for candidate, shapes in self._cache.served.values()}

    def _current(self) -> Cache:
        """Returns the cache; an empty one if the model has changed."""
        if not self._cache.guards.holds():
            self._cache = self._empty()
        return self._cache

    def _empty(self) -> Cache:
        """Returns an empty cache for the model as it is now."""
        return Cache(Guards(self.model, self.trains), {}, {})

    def _find(
        self, cache: Cache, mode: Mode, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Candidate, list[Array], Shapes]:
        """Returns the candidate for these arguments, the arrays in them and their shapes."""
        structure = None
        leaves: Sequence[Tensor] = (*args, *kwargs.values()) if kwargs else args
        # The usual call has only tensors, by position or by name, and needs no flattening. Loops instead of
        # comprehensions: this overhead precedes each call.
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                leaves, structure = flatten((args, kwargs), is_tensor)
                break
        arrays: list[Array] = []
        key: list[Any] = []
        for leaf in leaves:
            if leaf._requires_grad and mode.grad:
                raise GradientError(
                    f"{self.name}: an input requires gradients, which onnxruntime does not record; call under "
                    "lucid.no_grad(), pass x.detach(), or use the eager model"
                )
            array = leaf._data
            arrays.append(array)
            key.append(array.shape)
            key.append(array.dtype)
        if structure is not None:
            key.append(key_of(structure))
        elif kwargs:
            key.append(tuple(kwargs))
        found = cache.served.get(tuple(key))
        if found is None:
            if not leaves:
                raise TypeError(f"{self.name}: there is no Tensor among the arguments, so nothing to run the model on")
            with self._lock:
                found = self._serve(cache, structure or flatten((args, kwargs), is_tensor)[1], arrays)
                while len(cache.served) >= _KEPT:
                    cache.served.pop(next(iter(cache.served)))
                cache.served[tuple(key)] = found
        return found[0], arrays, found[1]

    def _serve(self, cache: Cache, structure: Structure, arrays: Sequence[Array]) -> tuple[Candidate, Shapes]:
        """Returns the candidate for arguments of this structure with these arrays, and the shapes of the arrays."""
        key = key_of(structure), tuple([(array.dtype, array.ndim) for array in arrays])
        signature = cache.signatures.get(key)
        if signature is None:
            signature = cache.signatures[key] = self.signature(structure, self._tuned.setdefault(key, Tuned()))
        shapes = tuple([array.shape for array in arrays])
        in_use = [candidate for candidate, _ in cache.served.values()]
        return signature.candidate(arrays, shapes, in_use), shapes

    def __repr__(self) -> str:
        return f"{type(self).__name__} on {self.device}: {self.model!r}"


class Cache(NamedTuple):
    """The exports of a model in one state. They are one record, so that no thread mixes those of two states.

    Attributes:
        guards: the guards of the model.
        signatures: by the structure of the arguments, and the dtype and rank of each array.
        served: the candidates for the latest arguments, with the shapes of the arrays; by the shape and dtype of each
            array, and the names of keyword arguments or the structure.
        modes: whether each module is in training mode; () if none is, or if the guards watch that.
    """

    guards: Guards
    signatures: dict[Any, Signature]
    served: dict[tuple[Any, ...], tuple[Candidate, Shapes]]
    modes: tuple[bool, ...] = ()
