"""Functions that select elements, composed of indexing, `where` and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.extent import broadcast, greater
from ..tracer.op import Array, function
from .conversion import to
from .creation import arange
from .elementwise import astype, eq, lt
from .elementwise import where as chosen
from .extremum import amax
from .index import getitem, index_sum, nonzero_at
from .math import remainder
from .reduce import any as any_of
from .scatter import gather
from .shape import broadcast_to, flatten, normal_axis, reshape_to, unbind, unsqueeze

__all__ = [
    "index_add",
    "index_fill",
    "index_select",
    "masked_fill",
    "masked_select",
    "nonzero",
    "take",
    "take_along_dim",
    "tril",
    "triu",
    "where",
]


@function
def index_select(x: Tensor, dim: int, index: Any) -> Tensor:
    """Selects slices along an axis by index (torch.index_select).

    >>> lucid.index_select(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, lucid.tensor([1, 1]))
    tensor([[2., 2.],
            [4., 4.]])
    """
    indices = as_tensor(index)
    if indices.ndim > 1 or indices.dtype.kind not in "iu":
        raise ShapeError(f"index_select: index must be one row of integers; got {indices.dtype}{list(indices.shape)}")
    if not x.ndim:
        return reshape_to(index_select(reshape_to(x, shape=(1,)), dim, indices), shape=())
    if not -x.ndim <= dim < x.ndim:
        raise AxisError(f"index_select: axis {dim} is out of range for a tensor with {x.ndim} axes")
    return getitem(x, (*(slice(None),) * (dim % x.ndim), indices if indices.ndim else reshape_to(indices, shape=(1,))))


@function
def take(x: Tensor, index: Any) -> Tensor:
    """Selects elements of the flattened tensor by index (torch.take).

    >>> lucid.take(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]), lucid.tensor([0, 3]))
    tensor([1., 4.])
    """
    return getitem(reshape_to(x, shape=(-1,)), as_tensor(index))


@function
def masked_fill(x: Tensor, mask: Any, value: Any) -> Tensor:
    """Replaces the elements with `value` where the mask is true (torch.masked_fill).

    Raises:
        DtypeError: the mask is not of bools.

    >>> lucid.masked_fill(lucid.tensor([1.0, 2.0]), lucid.tensor([False, True]), -1)
    tensor([ 1., -1.])
    """
    where_to = as_tensor(mask)
    if where_to.dtype != np.bool_:
        raise DtypeError(f"masked_fill: the mask must be of bools; got {where_to.dtype}")
    # The value is converted, not the tensor: large integers would lose digits as floats.
    if isinstance(value, (Tensor, np.ndarray)):
        value = to(as_tensor(value), x.dtype)
    elif x.dtype.kind == "b" or (isinstance(value, float) and x.dtype.kind in "iu"):
        value = x.dtype.type(value).item()
    return chosen(where_to, value, x)


@function
def masked_select(x: Tensor, mask: Any) -> Tensor:
    """Selects the elements where the mask is true, as a vector (torch.masked_select).

    >>> lucid.masked_select(lucid.tensor([1.0, 2.0]), lucid.tensor([False, True]))
    tensor([2.])
    """
    mask = as_tensor(mask)
    if mask.dtype != np.bool_:
        raise DtypeError(f"masked_select: the mask must be of bools; got {mask.dtype}")
    shape = broadcast(x.shape, mask.shape)
    return getitem(broadcast_to(x, shape), broadcast_to(mask, shape))


@function
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """Returns the indices of the nonzero elements, one row each, or one tensor for each axis (torch.nonzero).

    >>> lucid.nonzero(lucid.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    >>> lucid.nonzero(lucid.tensor([0, 3, 4]), as_tuple=True)
    (tensor([1, 2]),)
    """
    if not as_tuple:
        return nonzero_at(x)
    return unbind(nonzero_at(x if x.ndim else reshape_to(x, shape=(1,))), 1)


@function
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Returns `x` where the condition is true, else `y`; without these, the indices where it is true, one vector for
    each axis (torch.where).

    >>> lucid.where(lucid.tensor([True, False]), lucid.tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if x is None and y is None:
        return nonzero(as_tensor(condition), as_tuple=True)
    return chosen(condition, x, y)


@function
def index_fill(x: Tensor, dim: int, index: Any, value: Any) -> Tensor:
    """Replaces slices along an axis with a value (torch.index_fill).

    >>> lucid.index_fill(lucid.zeros(3), 0, lucid.tensor([0, 2]), 1)
    tensor([1., 0., 1.])
    """
    if not x.ndim:
        return reshape_to(index_fill(reshape_to(x, shape=(1,)), dim, index, value), shape=())
    axis, indices = _slices("index_fill", x, dim, index)
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
        raise ShapeError(f"index_fill: value must be a number, or a tensor without axes; got shape {value.shape}")
    n = x.shape[axis]
    filled = any_of(eq(unsqueeze(arange(n), 1), remainder(indices, greater(n, 1))), 1)
    return masked_fill(x, reshape_to(filled, shape=(n, *(1,) * (x.ndim - axis - 1))), value)


@function
def index_add(x: Tensor, dim: int, index: Any, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """Adds slices to those that an index selects along an axis; repeated indices accumulate (torch.index_add).

    >>> lucid.index_add(lucid.zeros(3), 0, lucid.tensor([0, 2, 0]), lucid.tensor([1.0, 2.0, 3.0]))
    tensor([4., 0., 2.])
    """
    if not x.ndim:
        rows = reshape_to(source, shape=(-1,))
        return reshape_to(index_add(reshape_to(x, shape=(1,)), dim, index, rows, alpha=alpha), shape=())
    axis, indices = _slices("index_add", x, dim, index)
    if source.dtype != x.dtype:
        raise DtypeError(f"index_add: source must have the dtype of the tensor, {x.dtype}; got {source.dtype}")
    have, wanted = source._data.shape, list(x._data.shape)
    wanted[axis] = indices._data.shape[0]
    if have != tuple(wanted):
        raise ShapeError(f"index_add: source must have the shape {tuple(wanted)}; got {have}")
    if alpha != 1:
        source = source * alpha
    return x + index_sum(source, indices, index=(*(slice(None),) * axis, "*"), shape=x.shape)


def _slices(name: str, x: Tensor, dim: int, index: Any) -> tuple[int, Tensor]:
    """Returns the axis, not negative, and the indices of slices as a vector."""
    indices = as_tensor(index)
    if indices.ndim > 1 or indices.dtype.kind not in "iu":
        raise ShapeError(f"{name}: index must be one row of integers; got {indices.dtype}{list(indices.shape)}")
    axis = normal_axis(dim, x.ndim)
    reach = x._data.shape[axis]
    least, most = (int(f(indices._data, initial=0)) for f in (np.min, np.max))
    if indices._data.size and not (-reach <= least and most < reach):
        raise AxisError(f"{name}: indices must be from {-reach} to {reach - 1}; got {least} to {most}")
    return axis, indices if indices.ndim else reshape_to(indices, shape=(1,))


@function
def take_along_dim(x: Tensor, indices: Any, dim: int | None = None) -> Tensor:
    """Selects elements along an axis by index, negative ones from the end; the other axes broadcast
    (torch.take_along_dim).

    >>> lucid.take_along_dim(lucid.tensor([[3, 1], [2, 4]]), lucid.tensor([[1], [0]]), 1)
    tensor([[1],
            [2]])
    """
    places = as_tensor(indices)
    if dim is None:
        return take(x, flatten(places))
    if places.ndim != x.ndim:
        raise ShapeError(f"take_along_dim: as many axes as the tensor has; got {places.shape} for {x.shape}")
    axis = normal_axis(dim, x.ndim)

    def spread(tensor: Tensor, other: Tensor) -> Tensor:
        shape = list(broadcast(*[(*t.shape[:axis], 1, *t.shape[axis + 1 :]) for t in (tensor, other)]))
        shape[axis] = tensor.shape[axis]
        return broadcast_to(tensor, shape)

    places = chosen(lt(places, 0), places + x.shape[axis], places)
    return gather(spread(x, places), axis, spread(places, x))


@function
def one_hot(x: Tensor, num_classes: int = -1) -> Tensor:
    """Encodes class indices as one-hot vectors (torch.nn.functional.one_hot).

    Args:
        x: class indices, from 0.
        num_classes: the number of classes; one more than the largest element if it is -1.

    Shape:
        x: (*,); the result: (*, num_classes), int64.

    Raises:
        AxisError: an element is out of range. DtypeError: the elements are not integers.

    >>> lucid.nn.functional.one_hot(lucid.tensor([2, 0]), 3)
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if x.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: expected integers; got {x.dtype}")
    if num_classes == -1:
        num_classes = int(amax(x)) + 1 if x._data.size else 0
    if x._data.size and not (int(x._data.min()) >= 0 and int(x._data.max()) < concrete(num_classes)):
        raise AxisError(f"one_hot: classes must be from 0 to {num_classes - 1}; got {x._data.min()} to {x._data.max()}")
    return astype(is_class(unsqueeze(x, -1), arange(num_classes), n=num_classes), np.dtype(np.int64))


@op(no_gradient="the result is bool")
def is_class(x: Array, classes: Array, /, n: int) -> Array:
    """Computes ``x == classes``, where `x` holds indices of `n` classes: an export knows their range by that."""
    return np.equal(x, classes)


@op
def tril(x: Array, /, diagonal: int = 0) -> Array:
    """Returns the lower triangle of each matrix, with zeros above the diagonal (ONNX Trilu).

    >>> lucid.tril(lucid.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    _check_matrix(x)
    return np.tril(x, diagonal)


@op
def triu(x: Array, /, diagonal: int = 0) -> Array:
    """Returns the upper triangle of each matrix, with zeros below the diagonal (ONNX Trilu).

    >>> lucid.triu(lucid.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    _check_matrix(x)
    return np.triu(x, diagonal)


def _check_matrix(x: Array) -> None:
    # NumPy would make a matrix of one axis.
    if x.ndim < 2:
        raise ValueError(f"expected at least two axes; got {x.ndim}")


@tril.vjp
def _(g: Tensor, diagonal: int) -> Any:
    return tril(g, diagonal)


@triu.vjp
def _(g: Tensor, diagonal: int) -> Any:
    return triu(g, diagonal)
