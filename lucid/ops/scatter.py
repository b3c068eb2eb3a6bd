"""Gathering elements along one axis by an index tensor, and scattering them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.extent import same_shape
from ..tracer.op import Array, function
from .creation import full
from .elementwise import astype
from .index import added
from .shape import reshape_to

__all__ = ["gather", "scatter", "scatter_add"]


@op
def gather_at(x: Array, indices: Array, /, dim: int) -> Array:
    """Computes ``out[i][j] = x[indices[i][j]][j]`` for ``dim=0`` and so on (ONNX GatherElements)."""
    if indices.shape[:dim] == x.shape[:dim] and indices.shape[dim + 1 :] == x.shape[dim + 1 :]:
        return np.take_along_axis(x, indices, axis=dim)
    return x[_grid(indices, dim)]


@gather_at.vjp
def _(g: Tensor, indices: Tensor, dim: int, shapes: Any) -> Any:
    return gather_sum(g, indices, dim=dim, shape=shapes[0]), None


@op
def gather_sum(g: Array, indices: Array, /, dim: int, shape: tuple[int, ...]) -> Array:
    """Returns zeros of a shape with `g` added where `gather` would read: its gradient (ONNX ScatterElements)."""
    places = indices * math.prod(shape[dim + 1 :])
    for axis, n in enumerate(indices.shape):
        if axis != dim:
            along = np.arange(n) * math.prod(shape[axis + 1 :])
            places = places + along.reshape([-1 if d == axis else 1 for d in range(indices.ndim)])
    return added(g, places, shape)


@gather_sum.vjp
def _(g: Tensor, indices: Tensor, dim: int) -> Any:
    return gather_at(g, indices, dim=dim), None


@op
def scatter_at(x: Array, indices: Array, src: Array, /, dim: int) -> Array:
    """Returns `x` with elements of `src` stored at `indices` (ONNX ScatterElements)."""
    result = np.array(x)
    result[_grid(indices, dim)] = src
    return result


@scatter_at.vjp
def _(g: Tensor, indices: Tensor, dim: int, needs: tuple[bool, ...], shapes: Any) -> Any:
    gx = scatter_at(g, indices, full(shapes[1], 0.0, dtype=g.dtype), dim=dim) if needs[0] else None
    return gx, None, gather_at(g, indices, dim=dim) if needs[2] else None


@op(no_gradient="PyTorch has none")
def scatter_product(x: Array, indices: Array, src: Array, /, dim: int) -> Array:
    """Returns `x` multiplied by elements of `src` at `indices` (ONNX ScatterElements)."""
    result = np.array(x)
    np.multiply.at(result, _grid(indices, dim), src)
    return result


def _grid(indices: Array, dim: int) -> tuple[Array, ...]:
    """Returns a NumPy index that has `indices` at axis `dim` and counts along the others."""
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[dim] = indices
    return tuple(places)


def _checked(name: str, x: Tensor, dim: int, index: Any) -> tuple[Tensor, int]:
    """Returns the index tensor and the non-negative axis, if they fit the tensor."""
    indices = as_tensor(index)
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"{name}: index must be of integers; got {indices.dtype}")
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"{name}: index must have as many axes as the tensor; got shapes {indices._extent} and {x._extent}"
        )
    if not -x.ndim <= dim < x.ndim:
        raise AxisError(f"{name}: axis {dim} is out of range for a tensor with {x.ndim} axes")
    axis = dim % x.ndim
    if any(m > n for d, (m, n) in enumerate(zip(indices._extent, x._extent, strict=True)) if d != axis):
        raise ShapeError(
            f"{name}: index must not be larger than the tensor, except along axis {dim}; got shapes {indices._extent} "
            f"and {x._extent}"
        )
    data, size = indices._data, concrete(x.shape[axis])
    if data.size and int(data.min()) < 0:
        raise AxisError(f"{name}: indices must not be negative; got {data.min()}")
    if data.size and int(data.max()) >= size:
        raise AxisError(f"{name}: indices must be from 0 to {size - 1} along axis {dim}; got {data.max()}")
    return indices, axis


@function
def gather(x: Tensor, dim: int, index: Any) -> Tensor:
    """Gathers elements along an axis: ``out[i][j] = x[index[i][j]][j]`` for ``dim=0`` (torch.gather).

    Shape:
        index: as many axes as `x`, none larger except `dim`; the result: that of `index`.

    Raises:
        AxisError: an index is out of range. ShapeError: the shapes do not fit.

    >>> lucid.gather(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, lucid.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    index = as_tensor(index)
    if not (x.ndim and index.ndim):
        return reshape_to(gather(_as_row(x), dim, _as_row(index)), shape=index.shape)
    indices, axis = _checked("gather", x, dim, index)
    return gather_at(x, indices, dim=axis)


def _as_row(x: Tensor) -> Tensor:
    """Returns a tensor without axes as one with a single element along its axis."""
    return x if x.ndim else reshape_to(x, shape=(1,))


@function
def scatter(
    x: Tensor, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """Stores elements of `src` at `index` in a copy of `x`: ``out[index[i][j]][j] = src[i][j]`` for ``dim=0``
    (torch.scatter).

    Args:
        x: the tensor.
        dim: the axis that `index` counts along.
        index: where to store the elements; if a position occurs twice, either element may win.
        src: a number, or a tensor at least as large as `index` along each axis.
        value: a number, instead of `src`.
        reduce: "add" or "multiply" the elements of `x`, instead of replacing them. PyTorch has no gradient of products.

    Raises:
        AxisError: an index is out of range. ShapeError: the shapes do not fit.

    >>> lucid.scatter(lucid.zeros(1, 3), 1, lucid.tensor([[2, 0]]), lucid.tensor([[5.0, 6.0]]))
    tensor([[6., 0., 5.]])
    """
    if (src is None) == (value is None):
        raise TypeError("scatter: either src or value must be given")
    if reduce not in (None, "add", "multiply"):
        raise ValueError(f"scatter: reduce must be 'add' or 'multiply'; got {reduce!r}")
    src = value if src is None else src
    index = as_tensor(index)
    if not (x.ndim and index.ndim):
        given = src if isinstance(src, (bool, int, float)) else _as_row(as_tensor(src))
        return reshape_to(scatter(_as_row(x), dim, _as_row(index), given, reduce=reduce), shape=x.shape)
    indices, axis = _checked("scatter", x, dim, index)
    if isinstance(src, (bool, int, float)):
        source = full(indices.shape, src, dtype=x.dtype)
    else:
        source = _source("scatter", src, indices)
    if source.dtype != x.dtype:
        source = astype(source, x.dtype)
    if reduce == "add":
        return x + gather_sum(source, indices, dim=axis, shape=x.shape)
    return (scatter_at if reduce is None else scatter_product)(x, indices, source, dim=axis)


@function
def scatter_add(x: Tensor, dim: int, index: Any, src: Any) -> Tensor:
    """Adds elements of `src` to `x` at `index`; repeated indices accumulate (torch.scatter_add).

    Args:
        x: the tensor.
        dim: the axis that `index` counts along.
        index: where to add the elements.
        src: a tensor at least as large as `index` along each axis.

    Raises:
        AxisError: an index is out of range. ShapeError: the shapes do not fit.

    >>> lucid.scatter_add(lucid.zeros(1, 3), 1, lucid.tensor([[2, 2]]), lucid.tensor([[5.0, 6.0]]))
    tensor([[ 0.,  0., 11.]])
    """
    index = as_tensor(index)
    if not (x.ndim and index.ndim):
        return reshape_to(scatter_add(_as_row(x), dim, _as_row(index), _as_row(as_tensor(src))), shape=x.shape)
    indices, axis = _checked("scatter_add", x, dim, index)
    return x + gather_sum(_source("scatter_add", src, indices), indices, dim=axis, shape=x.shape)


def _source(name: str, src: Any, indices: Tensor) -> Tensor:
    source = as_tensor(src)
    have, wanted = source._extent, indices._extent
    if source.ndim != indices.ndim or any(m > n for m, n in zip(wanted, have, strict=True)):
        raise ShapeError(f"{name}: src must not be smaller than index; got shapes {have} and {wanted}")
    return source if same_shape(have, wanted) else source[tuple(slice(None, n) for n in wanted)]
