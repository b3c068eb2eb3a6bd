"""Small parameters that are updated together, as if they were one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import is_
from typing import Any

import numpy as np

from ..tensor import Tensor

__all__ = ["Joined"]


class Joined:
    """Several small parameters, and one array for each slot of their states.

    The tensors of the states become views of it. A parameter stays where it is, since others may know its array, so it
    is copied in and out, as its gradient is copied in.
    """

    def __init__(self, params: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> None:
        self.params = params
        self.slots: list[np.ndarray[Any, Any]] = []
        self._places = list(pairwise(accumulate((p._data.size for p in params), initial=0)))
        self._views: list[tuple[int, str, np.ndarray[Any, Any]]] = []
        for name in states[0]:
            if name == "step":
                continue
            slot = np.concatenate([state[name]._data for state in states], axis=None)
            self.slots.append(slot)
            for i, (start, end) in enumerate(self._places):
                view = slot[start:end].reshape(params[i].shape)
                states[i][name]._data = view
                self._views.append((i, name, view))

    def holds(self, params: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> bool:
        """Whether it is of these parameters, and their states still are what the slots show: none was loaded since."""
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and all(states[i][name]._data is view for i, name, view in self._views)
        )

    def gather(self) -> list[np.ndarray[Any, Any]]:
        """All data, all gradients and the slots, each as one array."""
        data = np.concatenate([p._data for p in self.params], axis=None)
        gradient = np.concatenate([p.grad._data for p in self.params], axis=None)  # type: ignore[union-attr]
        return [data, gradient, *self.slots]

    def scatter(self, data: np.ndarray[Any, Any]) -> None:
        """Give each parameter its part."""
        for p, (start, end) in zip(self.params, self._places, strict=True):
            p._data[...] = data[start:end].reshape(p._data.shape)
