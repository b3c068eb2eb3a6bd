"""Joins small parameters, so that they are updated together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import is_
from typing import Any

import numpy as np

from ..tensor import Tensor

__all__ = ["NUMBERS", "Joined"]

NUMBERS = frozenset({"step", "mu_product"})
"""The parts of a state that are numbers, the same for all elements; all others are tensors."""

Array = np.ndarray[Any, Any]


class Joined:
    """Several small parameters as one: an array for all data, one for all gradients, and one for each state slot.

    The state tensors become views of the slots. A parameter keeps its own array, which others may refer to, so its data
    is copied in and out, and its gradient is copied in.
    """

    def __init__(self, params: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> None:
        self.params = params
        self._places = list(pairwise(accumulate((p._data.size for p in params), initial=0)))
        size = self._places[-1][1]
        self._data = np.empty(size, params[0]._data.dtype)
        self._gradient = np.empty(size, params[0].grad._data.dtype)  # type: ignore[union-attr]
        self._data_views, self._gradient_views = self._views(self._data), self._views(self._gradient)
        self._slots: list[Array] = []
        self._known: list[tuple[int, str, Array]] = []
        for name in states[0]:
            if name in NUMBERS:
                continue
            slot = np.concatenate([state[name]._data for state in states], axis=None)
            self._slots.append(slot)
            for i, view in enumerate(self._views(slot)):
                states[i][name]._data = view
                self._known.append((i, name, view))

    def _views(self, joined: Array) -> list[Array]:
        """Returns the view of each parameter's part."""
        return [
            joined[start:end].reshape(p._data.shape) for p, (start, end) in zip(self.params, self._places, strict=True)
        ]

    def holds(self, params: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> bool:
        """Returns whether it holds these parameters, and their states are still its views: none was loaded since."""
        first = params[0]
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and first._data.dtype == self._data.dtype
            and first.grad._data.dtype == self._gradient.dtype  # type: ignore[union-attr]
            and all(states[i][name]._data is view for i, name, view in self._known)
        )

    def gather(self) -> list[Array]:
        """Copies data and gradients in, and returns all data, all gradients and the slots, each as one array."""
        for p, data, gradient in zip(self.params, self._data_views, self._gradient_views, strict=True):
            data[...] = p._data
            gradient[...] = p.grad._data  # type: ignore[union-attr]
        return [self._data, self._gradient, *self._slots]

    def scatter(self) -> None:
        """Copies each parameter's part of the updated data back."""
        for p, data in zip(self.params, self._data_views, strict=True):
            p._data[...] = data
