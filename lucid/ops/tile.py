"""Repetition and rotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.extent import is_negative
from ..tracer.op import Array, function
from .conversion import clone
from .reduce import sum
from .select import index_select
from .shape import cat, expand_to, flatten, normal_axis, reshape_to, sizes_of, unsqueeze

__all__ = ["repeat_interleave", "roll", "tile"]


@op
def tile_by(x: Array, /, repeats: tuple[int, ...]) -> Array:
    """Repeats the tensor along each axis (ONNX Tile)."""
    return np.tile(x, repeats)


@tile_by.vjp
def _(g: Tensor, repeats: tuple[int, ...], shapes: Any) -> Any:
    # Each axis becomes (copy, position in it); the copies are summed.
    pairs = [n for pair in zip(repeats, shapes[0], strict=True) for n in pair]
    if not pairs:
        return g
    return sum(reshape_to(g, shape=tuple(pairs)), tuple(range(0, len(pairs), 2)))


@function
def tile(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Repeats the tensor along its last axes (torch.tile).

    >>> lucid.tile(lucid.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    repeats = sizes_of((tuple(dims),))
    return repeat(x, (1,) * (x.ndim - len(repeats)) + repeats)


@function
def repeat(x: Tensor, *repeats: Any) -> Tensor:
    """Repeats the tensor along each axis (torch.Tensor.repeat).

    >>> lucid.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = sizes_of(repeats)
    extra = len(counts) - x.ndim
    if extra < 0:
        raise ShapeError(f"repeat: a count for each axis; got {counts} for shape {x.shape}")
    if any(is_negative(n) for n in counts):
        raise ShapeError(f"repeat: counts must not be negative; got {counts}")
    if extra:
        x = unsqueeze(x, tuple(range(extra)))
    return tile_by(x, counts)


@op(no_gradient="the result is an index")
def repeated_places(counts: Array, /) -> Array:
    """Returns each index as often as the vector says."""
    return np.repeat(np.arange(len(counts)), counts)


@function
def repeat_interleave(
    x: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Repeats each element along an axis; without an axis, the tensor is flattened (torch.repeat_interleave).

    Args:
        x: the tensor; if it is the only argument, how often to repeat each index.
        repeats: how often, for all elements or for each.
        dim: the axis.
        output_size: ignored; the sum of `repeats`.

    >>> lucid.repeat_interleave(lucid.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        return repeated_places(x)
    if dim is None:
        x, dim = flatten(x), 0
    axis = normal_axis(dim, x.ndim)
    shape = x.shape
    if not isinstance(repeats, int):
        counts = as_tensor(repeats)
        if counts.ndim > 1 or counts.dtype.kind not in "iu":
            raise ShapeError(f"repeat_interleave: repeats must be integers in a row; got {counts.dtype}{counts.shape}")
        return index_select(x, axis, repeated_places(expand_to(counts, shape=(shape[axis],))))
    if is_negative(repeats):
        raise ShapeError(f"repeat_interleave: repeats must not be negative; got {repeats}")
    copies = expand_to(unsqueeze(x, axis + 1), shape=(*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    # Merged as it is, a single copy of each element would be a view of the input.
    return flatten(clone(copies), axis, axis + 1)


@function
def roll(x: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Rolls the elements along axes, with wraparound; without axes, in flattened order (torch.roll).

    >>> lucid.roll(lucid.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """
    if dims is None:
        if not isinstance(shifts, int):
            raise ShapeError(f"roll: several shifts need as many dims; got shifts={shifts} and no dims")
        return reshape_to(roll(flatten(x), shifts, 0), shape=x.shape)
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(steps) != len(axes):
        raise ShapeError(f"roll: as many shifts as dims; got shifts={shifts} and dims={dims}")
    rolled = x
    for step, axis in zip(steps, axes, strict=True):
        n = x.shape[axis]
        step = step % n if n != 0 else 0
        if type(step) is not int or step:
            before = (slice(None),) * (axis % x.ndim)
            rolled = cat([rolled[(*before, slice(n - step, None))], rolled[(*before, slice(None, n - step))]], axis)
    return clone(x) if rolled is x else rolled
