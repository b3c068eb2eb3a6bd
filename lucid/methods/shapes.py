"""The methods that change shapes and select elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Shapes"]

Dims = int | tuple[int, ...] | list[int] | None


class Shapes:
    """Mixin: changes of shape, and indexing. They are documented at the functions of the same names."""

    __slots__ = ()

    # --- shape

    def reshape(self, *shape: Any) -> Tensor:
        return F["reshape"](self, *shape)

    def view(self, *shape: Any) -> Tensor:
        return F["reshape"](self, *shape)

    def view_as(self, other: Any) -> Tensor:
        return F["view_as"](self, other)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return F["flatten"](self, start_dim, end_dim)

    def unflatten(self, dim: int, sizes: Any) -> Tensor:
        return F["unflatten"](self, dim, sizes)

    def squeeze(self, dim: Dims = None) -> Tensor:
        return F["squeeze"](self, dim)

    def unsqueeze(self, dim: Any) -> Tensor:
        return F["unsqueeze"](self, dim)

    def expand(self, *shape: Any) -> Tensor:
        return F["expand"](self, *shape)

    def expand_as(self, other: Any) -> Tensor:
        return F["expand_as"](self, other)

    def broadcast_to(self, shape: Any) -> Tensor:
        return F["broadcast_to"](self, shape)

    # --- order of axes

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return F["transpose"](self, dim0, dim1)

    def swapaxes(self, axis0: int, axis1: int) -> Tensor:
        return F["swapaxes"](self, axis0, axis1)

    def movedim(self, source: Any, destination: Any) -> Tensor:
        return F["movedim"](self, source, destination)

    def permute(self, *dims: Any) -> Tensor:
        """Permutes the axes: ``x.permute(2, 0, 1)`` or ``x.permute((2, 0, 1))``."""
        return F["permute"](self, dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)

    def t(self) -> Tensor:
        """Transposes a matrix; a vector or a scalar stays as it is."""
        return F["t"](self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - PyTorch's name
        """The tensor with its last two axes transposed."""
        return F["transpose"](self, -2, -1)

    def flip(self, *dims: Any) -> Tensor:
        """Reverses axes: ``x.flip(0, 1)`` or ``x.flip((0, 1))``."""
        return F["flip"](self, dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)

    # --- parts

    def split(self, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
        return F["split"](self, split_size_or_sections, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        return F["chunk"](self, chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        return F["unbind"](self, dim)

    def repeat(self, *repeats: Any) -> Tensor:
        return F["repeat"](self, *repeats)

    def tile(self, *dims: Any) -> Tensor:
        """Repeats the tensor along its last axes: ``x.tile(2, 3)`` or ``x.tile((2, 3))``."""
        return F["tile"](self, dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)

    def repeat_interleave(self, repeats: int, dim: int | None = None) -> Tensor:
        return F["repeat_interleave"](self, repeats, dim)

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        return F["roll"](self, shifts, dims)

    # --- indexing

    def gather(self, dim: int, index: Any) -> Tensor:
        return F["gather"](self, dim, index)

    def scatter(self, dim: int, index: Any, src: Any) -> Tensor:
        return F["scatter"](self, dim, index, src)

    def scatter_add(self, dim: int, index: Any, src: Any) -> Tensor:
        return F["scatter_add"](self, dim, index, src)

    def take(self, index: Any) -> Tensor:
        return F["take"](self, index)

    def index_select(self, dim: int, index: Any) -> Tensor:
        return F["index_select"](self, dim, index)

    def masked_select(self, mask: Any) -> Tensor:
        return F["masked_select"](self, mask)

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        return F["nonzero"](self, as_tuple=as_tuple)

    # --- new tensors

    def new_zeros(self, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
        return F["new_zeros"](self, *shape, dtype=dtype, requires_grad=requires_grad, device=device)

    def new_ones(self, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
        return F["new_ones"](self, *shape, dtype=dtype, requires_grad=requires_grad, device=device)

    def new_full(
        self, size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
    ) -> Tensor:
        return F["new_full"](self, size, fill_value, dtype, requires_grad, device=device)
