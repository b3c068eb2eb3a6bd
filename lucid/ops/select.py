"""Functions that select elements, composed of indexing, `where` and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.extent import broadcast
from ..tracer.op import Array, function
from .creation import arange
from .elementwise import astype, where
from .extremum import amax
from .index import getitem
from .index import nonzero as places_of
from .shape import broadcast_to, reshape_to, unbind, unsqueeze

__all__ = ["index_select", "masked_fill", "masked_select", "nonzero", "take", "tril", "triu"]


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
    filled = where(where_to, value, x)
    return filled if filled.dtype == x.dtype else astype(filled, x.dtype)


@function
def masked_select(x: Tensor, mask: Any) -> Tensor:
    """Selects the elements where the mask is true, as a vector (torch.masked_select).

    >>> lucid.masked_select(lucid.tensor([1.0, 2.0]), lucid.tensor([False, True]))
    tensor([2.])
    """
    chosen = as_tensor(mask)
    if chosen.dtype != np.bool_:
        raise DtypeError(f"masked_select: the mask must be of bools; got {chosen.dtype}")
    shape = broadcast(x.shape, chosen.shape)
    return getitem(broadcast_to(x, shape), broadcast_to(chosen, shape))


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
        return places_of(x)
    return unbind(places_of(x if x.ndim else reshape_to(x, shape=(1,))), 1)


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
