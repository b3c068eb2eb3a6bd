"""Size: the shape of a tensor, and how a constructor gets one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tracer.size import total

__all__ = ["Size", "sizes_given"]


class Size(tuple[int, ...]):
    """The size of each axis: a tuple that also counts the elements (torch.Size).

    >>> lucid.ones(2, 3).shape.numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """Returns the number of elements."""
        count: int = total(self)
        return count


def sizes_given(data: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Returns the sizes that a constructor gets, one by one or as a shape; None if it gets elements."""
    if len(data) == 1 and isinstance(data[0], Size):
        return data[0]
    if len(data) == 1 and not isinstance(data[0], (int, np.integer)):
        return None
    if not all(isinstance(n, (int, np.integer)) for n in data):
        raise TypeError(f"Tensor() takes sizes or one sequence of numbers; got {data}; use lucid.tensor()")
    return data or (0,)
