"""CompiledModule: the base class of compiled modules."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ...devices import device as Place
from ...errors import GradientError
from ...nn.guards import Guards
from ...nn.module import Module
from ...tensor import Tensor
from ...tracer.mode import MODE, Mode
from ...tracer.tree import Structure, flatten, key_of
from ..session.device import Device, find_device
from ..session.fork import watch
from . import facts
from .candidate import Candidate
from .dispatch import Signature, Tuned
from .flattened import Flattened, is_tensor
from .kept import Kept
from .parts import Shapes

__all__ = ["CompiledModule"]

Array = np.ndarray[Any, Any]
C = TypeVar("C", bound="CompiledModule")

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

    def __init__(
        self,
        model: Module,
        device: str | Place | Device,
        threads: int | None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(
                f"{self.name}: expected a Module, whose parameters can be watched for changes; got "
                f"{type(model).__name__}"
            )
        self.model = model
        self.device = find_device(device)
        self._asked = self.device if isinstance(device, Place) else device
        self._threads = threads
        self._kept = None if cache is None else Kept(cache, self.name)
        self._lock = threading.RLock()
        self._cache = self._empty()
        # Kept when parameters change: none of it depends on them.
        self._tuned: dict[Any, Tuned] = {}
        watch(self)

    def _forked(self) -> None:
        """Replaces the lock, which a thread of the parent may have held; sessions and workers replace themselves.

        A choice that such a thread was making begins anew.
        """
        self._lock = threading.RLock()
        for known in self._tuned.values():
            known.choices.clear()

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

    def _facts(self) -> dict[str, Any]:
        """Returns what the choice of the fastest way depends on, beside the inputs and the machine, as JSON."""
        return {
            "call": type(self).__name__,
            "model": facts.of_function(type(self.model)),
            "modules": facts.of_model(self.model),
            "device": str(self._asked),
            "threads": self._threads,
            "versions": facts.versions(),
        }

    @property
    def lowerings(self) -> dict[Shapes, str]:
        """The lowering in use for each of the latest input shapes."""
        return {shapes: candidate.lowering for candidate, shapes in self._cache.in_use()}

    def tune(self: C, *args: Any, **kwargs: Any) -> C:
        """Chooses the fastest way for arguments like these now, instead of piece by piece in the next calls.

        For the start of a service, and for a benchmark. The model, its optimizer and random numbers stay as they are.

        Args:
            args: what a call takes.
            kwargs: the same by name.

        Returns:
            The compiled module itself.
        """
        self._tune(args, kwargs)
        return self

    def _tune(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._find(self._current(), MODE.get(), args, kwargs, whole=True)

    def _current(self) -> Cache:
        """Returns the cache; an empty one if the model has changed."""
        if not self._cache.guards.holds():
            self._cache = self._empty()
        return self._cache

    def _empty(self) -> Cache:
        """Returns an empty cache for the model as it is now."""
        return Cache(Guards(self.model, self.trains), {}, {}, {})

    def _find(
        self, cache: Cache, mode: Mode, args: tuple[Any, ...], kwargs: dict[str, Any], whole: bool = False
    ) -> tuple[Candidate, list[Array], Shapes]:
        """Returns the candidate for these arguments, the arrays in them and their shapes.

        If the choice of it does not stand yet, it makes a piece of it, or all that is left if `whole`.
        """
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
                found = self._serve(
                    cache, tuple(key), structure or flatten((args, kwargs), is_tensor)[1], arrays, whole
                )
        return found[0], arrays, found[1]

    def _serve(
        self, cache: Cache, key: tuple[Any, ...], structure: Structure, arrays: Sequence[Array], whole: bool
    ) -> tuple[Candidate, Shapes]:
        """Returns the candidate for arguments of this structure with these arrays, and the shapes of the arrays."""
        kind = key_of(structure), tuple([(array.dtype, array.ndim) for array in arrays])
        signature = cache.signatures.get(kind)
        if signature is None:
            signature = cache.signatures[kind] = self.signature(structure, self._tuned.setdefault(kind, Tuned()))
        shapes = tuple([array.shape for array in arrays])
        in_use = [candidate for candidate, _ in cache.served.values()]
        candidate, stands = signature.candidate(arrays, shapes, in_use, whole)
        if stands:
            cache.tried.clear()
        table = cache.served if stands else cache.tried
        while len(table) >= _KEPT:
            table.pop(next(iter(table)))
        table[key] = candidate, shapes
        return candidate, shapes

    def __repr__(self) -> str:
        return f"{type(self).__name__} on {self.device}: {self.model!r}"


class Cache(NamedTuple):
    """The exports of a model in one state. They are one record, so that no thread mixes those of two states.

    Attributes:
        guards: the guards of the model.
        signatures: by the structure of the arguments, and the dtype and rank of each array.
        served: the candidates for the latest arguments, with the shapes of the arrays; by the shape and dtype of each
            array, and the names of keyword arguments or the structure.
        tried: the same where a choice does not stand yet.
        modes: whether each module is in training mode; () if none is, or if the guards watch that.
    """

    guards: Guards
    signatures: dict[Any, Signature]
    served: dict[tuple[Any, ...], tuple[Candidate, Shapes]]
    tried: dict[tuple[Any, ...], tuple[Candidate, Shapes]]
    modes: tuple[bool, ...] = ()

    def in_use(self) -> list[tuple[Candidate, Shapes]]:
        """Returns the candidates for the latest arguments, with the shapes of the arrays."""
        return [*self.tried.values(), *self.served.values()]

    def forget(self) -> None:
        """Forgets which candidates the latest arguments had."""
        self.served.clear()
        self.tried.clear()
