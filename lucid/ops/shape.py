"""Ops that change shapes and rearrange elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AxisError, ShapeError
from ..tensor import Tensor, op
from ..tracer.extent import whole
from ..tracer.op import OPS, Array, function

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "t",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
]

Dims = int | tuple[int, ...] | list[int] | None


def sizes_of(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Returns a shape that is given as separate sizes or as one sequence of them."""
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    return tuple([whole(n) for n in sizes])


def normal_axis(dim: int, ndim: int, scalar: bool = False) -> int:
    """Returns a non-negative axis number; with `scalar`, a tensor without axes counts as one with a single axis."""
    span = 1 if scalar and not ndim else ndim
    if not -span <= dim < span:
        raise AxisError(f"axis {dim} is out of range for a tensor with {ndim} axes")
    return dim % span


# --- reshape


@op(view="maybe")
def reshape_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """Returns the elements in another shape (ONNX Reshape)."""
    return np.reshape(x, shape)


@reshape_to.vjp
def _(g: Tensor, shapes: Any) -> Any:
    return reshape_to(g, shape=shapes[0])


@function
def reshape(x: Tensor, *shape: Any) -> Tensor:
    """Returns the elements in another shape; one size may be -1, and is inferred (torch.reshape).

    >>> lucid.reshape(lucid.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    return reshape_to(x, shape=sizes_of(shape))


@function
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merges the axes from `start_dim` to `end_dim` into one (torch.flatten).

    >>> lucid.flatten(lucid.ones(2, 3, 4), 1).shape
    (2, 12)
    """
    if not x.ndim:
        return reshape_to(x, shape=(1,))
    first, last = normal_axis(start_dim, x.ndim), normal_axis(end_dim, x.ndim)
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    merged = 1
    for n in x._extent[first : last + 1]:
        merged *= n
    return reshape_to(x, shape=(*x._extent[:first], merged, *x._extent[last + 1 :]))


@function
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Splits one axis into several; one of their sizes may be -1, and is inferred (torch.unflatten).

    >>> lucid.unflatten(lucid.ones(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    axis = normal_axis(dim, x.ndim)
    return reshape_to(x, shape=(*x._extent[:axis], *sizes_of((tuple(sizes),)), *x._extent[axis + 1 :]))


@op(view=True)
def squeeze(x: Array, /, dim: Dims = None) -> Array:
    """Removes axes of size one: those in `dim` that have it, or all (torch.squeeze).

    >>> lucid.squeeze(lucid.ones(1, 3, 1), 0).shape
    (3, 1)
    """
    if dim is None:
        return np.squeeze(x)
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if not x.ndim:
        for d in dims:
            normal_axis(d, 0, scalar=True)
        return x
    return np.squeeze(x, axis=tuple(d for d in dims if x.shape[d] == 1))


@squeeze.vjp
def _(g: Tensor, shapes: Any) -> Any:
    return reshape_to(g, shape=shapes[0])


@op(view=True)
def unsqueeze(x: Array, /, dim: int | tuple[int, ...]) -> Array:
    """Inserts an axis of size one at `dim`, or at each of several positions of the result (torch.unsqueeze).

    >>> lucid.unsqueeze(lucid.ones(3), 0).shape
    (1, 3)
    """
    return np.expand_dims(x, dim)


@unsqueeze.vjp
def _(g: Tensor, dim: int | tuple[int, ...]) -> Any:
    return squeeze(g, dim)


# --- order of axes


@op(view=True)
def permute(x: Array, /, dims: tuple[int, ...]) -> Array:
    """Permutes the axes (ONNX Transpose).

    >>> lucid.permute(lucid.ones(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return np.transpose(x, dims)


@permute.vjp
def _(g: Tensor, dims: tuple[int, ...]) -> Any:
    places = sorted(zip([d % len(dims) for d in dims], range(len(dims)), strict=True))
    return permute(g, dims=tuple([place for _, place in places]))


@function
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swaps two axes (torch.transpose).

    >>> lucid.transpose(lucid.ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    a, b = normal_axis(dim0, x.ndim, scalar=True), normal_axis(dim1, x.ndim, scalar=True)
    if a == b:
        return permute(x, dims=tuple(range(x.ndim)))
    a, b = min(a, b), max(a, b)
    return permute(x, dims=(*range(a), b, *range(a + 1, b), a, *range(b + 1, x.ndim)))


@function
def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """Swaps two axes, like `transpose` (torch.swapaxes).

    >>> lucid.swapaxes(lucid.ones(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return transpose(x, axis0, axis1)


@function
def t(x: Tensor) -> Tensor:
    """Transposes a matrix; a vector or a scalar stays as it is (torch.t).

    >>> lucid.t(lucid.ones(2, 3)).shape
    (3, 2)
    """
    if x.ndim > 2:
        raise ShapeError(f"t: expected at most two axes; got shape {x._extent}, so use transpose or permute")
    return transpose(x, 0, 1) if x.ndim == 2 else x


@function
def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    """Moves axes to other positions; the others keep their order (torch.movedim).

    >>> lucid.movedim(lucid.ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    froms = [source] if isinstance(source, int) else list(source)
    tos = [destination] if isinstance(destination, int) else list(destination)
    if len(froms) != len(tos):
        raise AxisError(f"movedim: as many destinations as sources; got {source} and {destination}")
    froms, tos = (
        [normal_axis(d, x.ndim, scalar=True) for d in froms],
        [normal_axis(d, x.ndim, scalar=True) for d in tos],
    )
    if len(set(froms)) < len(froms) or len(set(tos)) < len(tos):
        raise ShapeError(f"movedim: an axis can be moved once, and to a place of its own; got {source}, {destination}")
    if not x.ndim:
        return permute(x, dims=())
    order = [d for d in range(x.ndim) if d not in froms]
    for to, axis in sorted(zip(tos, froms, strict=True)):
        order.insert(to, axis)
    return permute(x, dims=tuple(order))


@op
def flip(x: Array, /, dims: Dims) -> Array:
    """Reverses the elements along `dims`; the result is a copy, as in PyTorch.

    >>> lucid.flip(lucid.arange(3), 0)
    tensor([2, 1, 0])
    """
    if not x.ndim and dims is not None:
        for d in dims if isinstance(dims, (tuple, list)) else (dims,):
            normal_axis(d, 0, scalar=True)
        return x.copy()
    return np.flip(x, tuple(dims) if isinstance(dims, list) else dims).copy()


@flip.vjp
def _(g: Tensor, dims: Dims) -> Any:
    return flip(g, dims)


# --- broadcasting


@op(view=True)
def expand_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """Broadcasts to a shape; the result is a read-only view (ONNX Expand)."""
    return np.broadcast_to(x, shape)


@expand_to.vjp
def _(g: Tensor, shapes: Any) -> Any:
    return OPS["sum_to"](g, shape=shapes[0])


@function
def expand(x: Tensor, *shape: Any) -> Tensor:
    """Broadcasts to a shape, in which -1 leaves an axis as it is (torch.Tensor.expand).

    >>> lucid.expand(lucid.tensor([[1.0], [2.0]]), -1, 3)
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    sizes = sizes_of(shape)
    extra = len(sizes) - x.ndim
    if extra < 0:
        raise ShapeError(f"expand: {len(sizes)} sizes for a tensor with {x.ndim} axes; got {sizes} for {x._extent}")
    if -1 in sizes[:extra]:
        raise ShapeError(f"expand: -1 stands for an axis that the tensor does not have; got {sizes} for {x._extent}")
    return expand_to(x, shape=tuple(x._extent[i - extra] if n == -1 else n for i, n in enumerate(sizes)))


@function
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """Broadcasts to the shape of another tensor (torch.Tensor.expand_as).

    >>> lucid.ones(3).expand_as(lucid.zeros(2, 3)).shape
    (2, 3)
    """
    return expand_to(x, shape=other.shape)


@function
def view_as(x: Tensor, other: Tensor) -> Tensor:
    """Returns the elements in the shape of another tensor (torch.Tensor.view_as).

    >>> lucid.ones(6).view_as(lucid.zeros(2, 3)).shape
    (2, 3)
    """
    return reshape_to(x, shape=other.shape)


@function
def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcasts to a shape (torch.broadcast_to).

    >>> lucid.broadcast_to(lucid.ones(3), (2, 3)).shape
    (2, 3)
    """
    return expand(x, tuple(shape))


# --- joining and splitting


@op
def concat(*tensors: Array, dim: int = 0) -> Array:
    """Joins tensors along an existing axis (ONNX Concat)."""
    return np.concatenate(tensors, axis=dim)


@concat.vjp
def _(g: Tensor, dim: int, shapes: Any) -> Any:
    return split_to(g, sizes=tuple(shape[dim] for shape in shapes), dim=dim)


@function
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Joins tensors along an existing axis (torch.cat).

    >>> lucid.cat([lucid.ones(2), lucid.zeros(1)])
    tensor([1., 1., 0.])
    """
    if not len(tensors):
        raise ShapeError("cat: expected at least one tensor; got none")
    if len({x.ndim for x in tensors}) > 1:
        # As in PyTorch: a tensor of shape (0,) fits any other.
        tensors = [x for x in tensors if x.ndim != 1 or x.shape[0] != 0]
    return concat(*tensors, dim=dim if axis is None else axis)


@function
def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Joins tensors along a new axis (torch.stack).

    >>> lucid.stack([lucid.ones(2), lucid.zeros(2)])
    tensor([[1., 1.],
            [0., 0.]])
    """
    if not len(tensors):
        raise ShapeError("stack: expected at least one tensor; got none")
    dim = dim if axis is None else axis
    return concat(*[unsqueeze(x, dim) for x in tensors], dim=dim)


@op(view=True)
def split_to(x: Array, /, sizes: tuple[int, ...], dim: int = 0) -> Array:
    """Splits along an axis into parts of the given sizes (ONNX Split)."""
    parts = []
    start = 0
    index: list[Any] = [slice(None)] * x.ndim
    if x.shape[dim] != sum(sizes):
        raise ValueError(f"the sizes add up to {sum(sizes)}, but axis {dim} has {x.shape[dim]}")
    for n in sizes:
        index[dim] = slice(start, start + n)
        parts.append(x[tuple(index)])
        start += n
    return tuple(parts)


@split_to.vjp
def _(g: Any, shapes: Any, sizes: tuple[int, ...], dim: int) -> Any:
    gradients = (g,) if isinstance(g, Tensor) else g
    dtype = next(p.dtype for p in gradients if p is not None)
    axis = dim % len(shapes[0])

    def zeros(n: int) -> Any:
        return OPS["fill"](shape=(*shapes[0][:axis], n, *shapes[0][axis + 1 :]), value=0, dtype=dtype)

    parts = [zeros(n) if p is None else p for p, n in zip(gradients, sizes, strict=True)]
    return concat(*parts, dim=dim)


@function
def split(
    x: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """Splits along an axis into parts of one size (the last may be smaller) or of the given sizes (torch.split).

    >>> [part.shape for part in lucid.split(lucid.ones(5), 2)]
    [(2,), (2,), (1,)]
    """
    dim = dim if axis is None else axis
    n = x._extent[normal_axis(dim, x.ndim)]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step <= 0:
            raise ShapeError(f"split: the size of a part must be positive; got {step}")
        sizes = tuple(min(step, n - i) for i in range(0, n, step)) or (0,)
    else:
        sizes = tuple(split_size_or_sections)
    parts: Any = split_to(x, sizes=sizes, dim=dim)
    return parts


@function
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Splits along an axis into at most `chunks` parts of equal size, except the last (torch.chunk).

    >>> [part.shape for part in lucid.chunk(lucid.ones(5), 2)]
    [(3,), (2,)]
    """
    if chunks <= 0:
        raise ShapeError(f"chunk: the number of parts must be positive; got {chunks}")
    return split(x, max(1, -(-x._extent[normal_axis(dim, x.ndim)] // chunks)), dim)


@function
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Returns the slices along an axis, without that axis (torch.unbind).

    >>> [part.item() for part in lucid.unbind(lucid.arange(3))]
    [0, 1, 2]
    """
    return tuple(squeeze(part, dim) for part in split(x, 1, dim)) if x._extent[normal_axis(dim, x.ndim)] else ()
