"""Flatten and Unflatten: layers that merge axes, and split them."""

from __future__ import annotations

from collections.abc import Sequence

from ..ops.shape import flatten, unflatten
from ..tensor import Tensor
from .module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Merges axes into one (torch.nn.Flatten).

    Args:
        start_dim: the first of these axes.
        end_dim: the last.

    Example:
        >>> nn.Flatten()(lucid.ones(2, 3, 4)).shape
        (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits one axis into several (torch.nn.Unflatten).

    Args:
        dim: the axis.
        unflattened_size: the sizes that it is split into; one may be -1, and is inferred.

    Raises:
        TypeError: an argument is no int, or not a sequence of them. ShapeError: the sizes do not fit.

    Example:
        >>> nn.Unflatten(1, (3, -1))(lucid.ones(2, 12)).shape
        (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(f"Unflatten: dim must be an int; got {dim!r}: axes have no names")
        if not isinstance(unflattened_size, (tuple, list)) or not all(isinstance(n, int) for n in unflattened_size):
            raise TypeError(f"Unflatten: unflattened_size must be a tuple of ints; got {unflattened_size!r}")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
