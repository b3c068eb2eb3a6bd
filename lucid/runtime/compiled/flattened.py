"""Flattened: a model as a function from a row of tensors to a row of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...nn.module import Module
from ...tensor import Tensor
from ...tracer.tree import LEAF, Structure, flatten, unflatten

__all__ = ["Flattened", "is_tensor", "key_of"]


class Flattened(Module):
    """A model as a function from a row of tensors to a row of tensors.

    Attributes:
        example: what it was exported with.
        results: how what the model returned nests, once it was called; several if that was not always the same.
    """

    def __init__(self, model: Module, structure: Structure) -> None:
        super().__init__()
        self.model = model
        self.structure = structure
        self.example: list[np.ndarray[Any, Any]] = []
        self.results: dict[Any, Structure] = {}
        self._row: int | None = None

    def forward(self, *tensors: Tensor) -> tuple[Any, ...]:
        args, kwargs = unflatten(self.structure, iter(tensors))
        return tuple(self.leaves(args, kwargs))

    def leaves(self, args: Any, kwargs: Any) -> list[Tensor]:
        """The tensors in what the model returns."""
        leaves, structure = flatten(self.model(*args, **kwargs), is_tensor)
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
        """What the model returns, of these arrays; there may be more of them, which are left out."""
        tensors = [Tensor(array) for array in arrays]
        if self._row is not None:
            # Nothing to walk through in the usual result: all of this stands behind each call.
            return tuple(tensors[: self._row])
        return unflatten(next(iter(self.results.values())), iter(tensors))


def key_of(structure: Structure) -> Any:
    """Something hashable that tells structures apart, constants of equal value but different type too."""
    kind, rest, parts = structure
    try:
        hash(rest)
    except TypeError:
        raise TypeError(
            "compiled modules: arguments and results must be Tensors, nested in tuples, lists or dicts, or plain "
            f"constants; got {type(rest).__name__}"
        ) from None
    return kind, type(rest), rest, tuple([key_of(part) for part in parts])


def is_tensor(x: Any) -> bool:
    """Whether it is a leaf of the arguments, and not a constant among them."""
    return isinstance(x, Tensor)
