"""The largest and the smallest elements, and their indices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .conversion import clone
from .elementwise import astype, eq, maximum, minimum
from .reduce import Dims, axes, restore, sum
from .scatter import gather
from .shape import squeeze

__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]

_INTEGER = "the result is an index"

# Any, since NumPy types them for a fixed keepdims.
_largest: Any = np.maximum.reduce
_smallest: Any = np.minimum.reduce


class Extremum(NamedTuple):
    """The result of `max` and `min` along an axis."""

    values: Tensor
    indices: Tensor


@op
def amax(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """Returns the largest element; equal elements share the gradient (torch.amax).

    >>> lucid.amax(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=0)
    tensor([3., 5.])
    """
    return _largest(x, axis=axes(dim), keepdims=keepdim)


@op
def amin(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """Returns the smallest element; equal elements share the gradient (torch.amin).

    >>> lucid.amin(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=0)
    tensor([1., 4.])
    """
    return _smallest(x, axis=axes(dim), keepdims=keepdim)


@amax.vjp
@amin.vjp
def _(g: Tensor, x: Tensor, out: Tensor, dim: Dims, keepdim: bool, shapes: Any) -> Any:
    ties = astype(eq(x, restore(out, dim, keepdim, shapes[0])), x.dtype)
    return restore(g, dim, keepdim, shapes[0]) * ties / sum(ties, dim, True)


@op(no_gradient=_INTEGER)
def argmax(x: Array, /, dim: int | None = None, keepdim: bool = False) -> Array:
    """Returns the index of the largest element, the first of several (ONNX ArgMax).

    >>> lucid.argmax(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=1)
    tensor([1, 1])
    """
    return np.argmax(x, axis=dim, keepdims=keepdim)


@op(no_gradient=_INTEGER)
def argmin(x: Array, /, dim: int | None = None, keepdim: bool = False) -> Array:
    """Returns the index of the smallest element, the first of several (ONNX ArgMin).

    >>> lucid.argmin(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=1)
    tensor([0, 0])
    """
    return np.argmin(x, axis=dim, keepdims=keepdim)


@function
def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Returns the largest of all elements; with an axis, the largest elements along it and their indices; with another
    tensor, the elementwise maximum (torch.max).

    Along an axis, the first of several equal elements is returned and gets the whole gradient. Without an axis, they
    share it.

    >>> values, indices = lucid.max(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=0)
    >>> values, indices
    (tensor([3., 5.]), tensor([1, 0]))
    """
    if isinstance(dim, (Tensor, np.ndarray)):
        return maximum(x, dim)
    return amax(x) if dim is None else _along(x, argmax(x, dim, True), dim, keepdim)


@function
def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Returns the smallest of all elements; with an axis, the smallest elements along it and their indices; with
    another tensor, the elementwise minimum (torch.min).

    Along an axis, the first of several equal elements is returned and gets the whole gradient. Without an axis, they
    share it.

    >>> lucid.min(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=0).values
    tensor([1., 4.])
    """
    if isinstance(dim, (Tensor, np.ndarray)):
        return minimum(x, dim)
    return amin(x) if dim is None else _along(x, argmin(x, dim, True), dim, keepdim)


def _along(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> Extremum:
    if not x.ndim:
        return Extremum(clone(x), indices)
    values = gather(x, dim, indices)
    return Extremum(values, indices) if keepdim else Extremum(squeeze(values, dim), squeeze(indices, dim))
