"""The axes of a Tensor, and how its elements lie in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .shape import Size
from .tracer.op import FUNCTIONS, OPS

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Layout"]


class Layout:
    """Mixin: the counts of axes, elements and bytes, and the order of elements in memory."""

    __slots__ = ()

    _data: np.ndarray[Any, Any]

    @property
    def shape(self) -> Size:
        """The size of each axis (torch.Tensor.shape).

        >>> lucid.zeros(2, 3).shape
        (2, 3)
        """
        return Size(self._data.shape)

    @property
    def _extent(self) -> tuple[int, ...]:
        """The same as a plain tuple, which takes half the time; functions of several ops read it."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements; `lucid.float32` and the like are such dtypes.

        >>> lucid.tensor([1, 2]).dtype
        dtype('int64')
        """
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes.

        >>> lucid.zeros(2, 3).ndim
        2
        """
        return self._data.ndim

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's and PyTorch's name
        """The tensor with its axes in reversed order: shape (N, T, I) becomes (I, T, N). It is a view.

        >>> lucid.zeros(2, 3, 4).T.shape
        (4, 3, 2)
        """
        return OPS["permute"](self, dims=tuple(range(self.ndim))[::-1])

    def size(self, dim: int | None = None, *, axis: int | None = None) -> int | Size:
        """Returns the shape, or the size of one axis.

        >>> x = lucid.zeros(2, 3)
        >>> x.size(), x.size(-1)
        ((2, 3), 3)
        """
        dim = dim if axis is None else axis
        return self.shape if dim is None else self._extent[dim]

    def dim(self) -> int:
        """Returns the number of axes.

        >>> lucid.zeros(2, 3).dim()
        2
        """
        return self._data.ndim

    def is_floating_point(self) -> bool:
        """Returns whether the elements are floating-point numbers.

        >>> lucid.ones(2).is_floating_point(), lucid.arange(2).is_floating_point()
        (True, False)
        """
        return self._data.dtype.kind == "f"

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a tensor without axes")
        # One op for all parts: the gradients of indexing them one by one would each fill the whole shape.
        return iter(FUNCTIONS["unbind"](self))

    def numel(self) -> int:
        """Returns the number of elements.

        >>> lucid.zeros(2, 3).numel()
        6
        """
        return self._data.size

    def nelement(self) -> int:
        """Returns the number of elements, like `numel`.

        >>> lucid.zeros(2, 3).nelement()
        6
        """
        return self.numel()

    def ndimension(self) -> int:
        """Returns the number of axes, like `dim`.

        >>> lucid.zeros(2, 3).ndimension()
        2
        """
        return self._data.ndim

    def element_size(self) -> int:
        """Returns the number of bytes of an element.

        >>> lucid.zeros(2, 3).element_size()
        4
        """
        return self._data.itemsize

    @property
    def itemsize(self) -> int:
        """The number of bytes of an element.

        >>> lucid.zeros(2, dtype="float64").itemsize
        8
        """
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """The number of bytes of all elements.

        >>> lucid.zeros(2, 3).nbytes
        24
        """
        return self.numel() * self._data.itemsize

    def stride(self, dim: int | None = None) -> int | tuple[int, ...]:
        """Returns how many elements lie between neighbours along each axis in memory, or along one axis.

        >>> x = lucid.zeros(2, 3)
        >>> x.stride(), x.T.stride(), x.stride(0)
        ((3, 1), (1, 3), 3)
        """
        steps = tuple([n // self._data.itemsize for n in self._data.strides])
        return steps if dim is None else steps[dim]

    def is_contiguous(self) -> bool:
        """Returns whether the elements lie in memory in the order of the axes; no op depends on it.

        >>> x = lucid.zeros(2, 3)
        >>> x.is_contiguous(), x.T.is_contiguous()
        (True, False)
        """
        return bool(self._data.flags.c_contiguous)
