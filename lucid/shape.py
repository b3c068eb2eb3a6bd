"""Size: the shape of a tensor."""

from __future__ import annotations

from .tracer.size import total

__all__ = ["Size"]


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
