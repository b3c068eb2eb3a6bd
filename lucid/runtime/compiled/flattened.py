"""Flattened: a model as a function from tensors to a tuple of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...nn.module import Module
from ...tensor import Tensor
from ...tracer.tree import LEAF, Structure, flatten, key_of, unflatten
from ..session.session import Session

__all__ = ["Flattened", "is_tensor"]


class Flattened(Module):
    """A model, or another function, as one from tensors to a tuple of tensors.

    Attributes:
        example: the arrays that it was exported with.
        results: the nested structures of the model's results so far; more than one if they differed.
    """

    _notes = frozenset({"example", "results", "_row"})

    def __init__(self, model: Callable[..., Any], structure: Structure) -> None:
        super().__init__()
        self.model: Any = model
        self.structure = structure
        self.example: list[np.ndarray[Any, Any]] = []
        self.results: dict[Any, Structure] = {}
        self._row: int | None = None

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        args, kwargs = unflatten(self.structure, iter(tensors))
        return tuple(self.leaves(args, kwargs))

    def leaves(self, args: Any, kwargs: Any) -> list[Tensor]:
        """Calls the model and returns the tensors in its result."""
        return self.noted(self.model(*args, **kwargs))

    def noted(self, result: Any) -> list[Tensor]:
        """Returns the tensors in a result, and notes its structure."""
        leaves, structure = flatten(result, is_tensor)
        self.results[key_of(structure)] = structure
        if len(self.results) == 1 and structure.kind is tuple and all(part is LEAF for part in structure.parts):
            self._row = len(leaves)
        return leaves

    def keep_first(self) -> bool:
        """Forgets all structures of results but the first; returns whether there were others."""
        _, *others = self.results
        for other in others:
            del self.results[other]
        return bool(others)

    def returned(self, arrays: Sequence[np.ndarray[Any, Any]]) -> Any:
        """Rebuilds the model's result from these arrays; further arrays are ignored."""
        tensors = [Tensor._wrap(array) for array in arrays]
        if self._row is not None:
            # The usual result needs no traversal: this overhead follows each call.
            return tuple(tensors[: self._row])
        return unflatten(next(iter(self.results.values())), iter(tensors))

    def runner(self, session: Session, parameters: Mapping[str, Tensor]) -> Any:
        """Returns what runs a session in place of itself; None here."""
        return None

    def rehearse(self, results: Sequence[np.ndarray[Any, Any]]) -> None:
        """Does what follows a call and takes time, without any effect, for autotuning; nothing here."""


def is_tensor(x: Any) -> bool:
    """Returns whether an object is a leaf of the arguments, not a constant."""
    return isinstance(x, Tensor)
