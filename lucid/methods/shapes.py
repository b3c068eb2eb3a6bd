"""The methods that change shapes and select elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F, numpy_names

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Shapes"]

Dims = int | tuple[int, ...] | list[int] | None


class Shapes:
    """Mixin: changes of shape, and indexing. `docstrings` says where their docstrings come from."""

    __slots__ = ()

    # --- shape

    def reshape(self, *shape: Any) -> Tensor:
        return F["reshape"](self, *shape)

    def view(self, *shape: Any) -> Tensor:
        """Returns the elements in another shape, as `reshape` does: it copies where the memory does not allow a view.

        >>> lucid.arange(6).view(2, -1)
        tensor([[0, 1, 2],
                [3, 4, 5]])
        """
        return F["reshape"](self, *shape)

    def view_as(self, other: Any) -> Tensor:
        return F["view_as"](self, other)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return F["flatten"](self, start_dim, end_dim)

    @numpy_names
    def unflatten(self, dim: int, sizes: Any) -> Tensor:
        return F["unflatten"](self, dim, sizes)

    def squeeze(self, dim: Dims = None, *, axis: Dims = None) -> Tensor:
        return F["squeeze"](self, dim if axis is None else axis)

    def unsqueeze(self, dim: Any = None, *, axis: Any = None) -> Tensor:
        return F["unsqueeze"](self, dim) if axis is None else F["unsqueeze"](self, axis)

    def ravel(self) -> Tensor:
        return F["ravel"](self)

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

    def swapdims(self, dim0: int, dim1: int) -> Tensor:
        return F["swapdims"](self, dim0, dim1)

    def permute(self, *order: Any, dims: Any = None) -> Tensor:
        """Permutes the axes: ``x.permute(2, 0, 1)`` or ``x.permute((2, 0, 1))``.

        >>> lucid.zeros(2, 3, 4).permute(2, 0, 1).shape
        (4, 2, 3)
        """
        return F["permute"](self, _joined(order, dims))

    def t(self) -> Tensor:
        """Transposes a matrix; a vector or a scalar stays as it is.

        >>> lucid.zeros(2, 3).t().shape
        (3, 2)
        """
        return F["t"](self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - PyTorch's name
        """The tensor with its last two axes transposed.

        >>> lucid.zeros(2, 3, 4).mT.shape
        (2, 4, 3)
        """
        return F["transpose"](self, -2, -1)

    def flip(self, *axes: Any, dims: Any = None) -> Tensor:
        """Reverses axes: ``x.flip(0, 1)`` or ``x.flip((0, 1))``; the result is a copy.

        >>> lucid.arange(6).reshape(2, 3).flip(0)
        tensor([[3, 4, 5],
                [0, 1, 2]])
        """
        return F["flip"](self, _joined(axes, dims))

    # --- parts

    @numpy_names
    def narrow(self, dim: int, start: Any, length: int) -> Tensor:
        return F["narrow"](self, dim, start, length)

    @numpy_names
    def select(self, dim: int, index: int) -> Tensor:
        return F["select"](self, dim, index)

    def unfold(self, dimension: int, size: int, step: int) -> Tensor:
        return F["unfold"](self, dimension, size, step)

    def split(self, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
        return F["split"](self, split_size_or_sections, dim)

    @numpy_names
    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        return F["chunk"](self, chunks, dim)

    @numpy_names
    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        return F["unbind"](self, dim)

    def repeat(self, *repeats: Any) -> Tensor:
        return F["repeat"](self, *repeats)

    def tile(self, *repeats: Any, dims: Any = None) -> Tensor:
        """Repeats the tensor along its last axes: ``x.tile(2, 3)`` or ``x.tile((2, 3))``.

        >>> lucid.tensor([1, 2]).tile(2)
        tensor([1, 2, 1, 2])
        """
        return F["tile"](self, _joined(repeats, dims))

    @numpy_names
    def repeat_interleave(
        self, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
    ) -> Tensor:
        return F["repeat_interleave"](self, repeats, dim, output_size=output_size)

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        return F["roll"](self, shifts, dims)

    # --- indexing

    @numpy_names
    def gather(self, dim: int, index: Any) -> Tensor:
        return F["gather"](self, dim, index)

    @numpy_names
    def scatter(self, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Tensor:
        return F["scatter"](self, dim, index, src, value=value, reduce=reduce)

    @numpy_names
    def scatter_add(self, dim: int, index: Any, src: Any) -> Tensor:
        return F["scatter_add"](self, dim, index, src)

    def take(self, index: Any) -> Tensor:
        return F["take"](self, index)

    @numpy_names
    def index_select(self, dim: int, index: Any) -> Tensor:
        return F["index_select"](self, dim, index)

    def masked_select(self, mask: Any) -> Tensor:
        return F["masked_select"](self, mask)

    @numpy_names
    def index_fill(self, dim: int, index: Any, value: Any) -> Tensor:
        return F["index_fill"](self, dim, index, value)

    @numpy_names
    def index_add(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
        return F["index_add"](self, dim, index, source, alpha=alpha)

    @numpy_names
    def take_along_dim(self, indices: Any, dim: int | None = None) -> Tensor:
        return F["take_along_dim"](self, indices, dim)

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        return F["nonzero"](self, as_tuple=as_tuple)

    def diag(self, diagonal: int = 0) -> Tensor:
        return F["diag"](self, diagonal)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        return F["diagonal"](self, offset, dim1, dim2)

    # --- new tensors

    def new(self, *data: Any) -> Tensor:
        return F["new"](self, *data)

    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
        return F["new_tensor"](self, data, dtype, requires_grad, device=device)

    def new_empty(self, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
        return F["new_empty"](self, *shape, dtype=dtype, requires_grad=requires_grad, device=device)

    def new_zeros(self, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
        return F["new_zeros"](self, *shape, dtype=dtype, requires_grad=requires_grad, device=device)

    def new_ones(self, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
        return F["new_ones"](self, *shape, dtype=dtype, requires_grad=requires_grad, device=device)

    def new_full(
        self, size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
    ) -> Tensor:
        return F["new_full"](self, size, fill_value, dtype, requires_grad, device=device)


def _joined(given: tuple[Any, ...], dims: Any) -> Any:
    """Returns arguments that are given one by one, as one sequence, or by name."""
    if dims is not None:
        return dims
    return given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
