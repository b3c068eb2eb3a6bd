"""How a Tensor lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Layout"]


class Layout:
    """Mixin: the counts of elements and bytes, and the order of elements in memory."""

    __slots__ = ()

    _data: np.ndarray[Any, Any]

    def numel(self) -> int:
        """Returns the number of elements."""
        return self._data.size

    def nelement(self) -> int:
        """Returns the number of elements, like `numel`."""
        return self.numel()

    def ndimension(self) -> int:
        """Returns the number of axes, like `dim`."""
        return self._data.ndim

    def element_size(self) -> int:
        """Returns the number of bytes of an element."""
        return self._data.itemsize

    @property
    def itemsize(self) -> int:
        """The number of bytes of an element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """The number of bytes of all elements."""
        return self.numel() * self._data.itemsize

    def stride(self, dim: int | None = None) -> int | tuple[int, ...]:
        """Returns how many elements lie between neighbours along each axis in memory, or along one axis."""
        steps = tuple([n // self._data.itemsize for n in self._data.strides])
        return steps if dim is None else steps[dim]

    def is_contiguous(self) -> bool:
        """Returns whether the elements lie in memory in the order of the axes; no op depends on it."""
        return bool(self._data.flags.c_contiguous)
