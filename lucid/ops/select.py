"""Functions that select elements, composed of indexing, `where` and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import concrete
from ..tracer.extent import broadcast
from ..tracer.op import Array, function
from .conversion import to
from .creation import arange
from .elementwise import astype, eq, where
from .extremum import amax
from .index import getitem
from .shape import broadcast_to, reshape_to, unsqueeze

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
    return where(where_to, value, x)


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


@op(no_gradient="the result is an index")
def nonzero(x: Array, /) -> Array:
    """Returns the indices of the nonzero elements, one row each (torch.nonzero, ONNX NonZero).

    >>> lucid.nonzero(lucid.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    return np.argwhere(x)


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
    return astype(eq(unsqueeze(x, -1), arange(num_classes)), np.dtype(np.int64))


@op
def tril(x: Array, /, diagonal: int = 0) -> Array:
    """Returns the lower triangle of each matrix, with zeros above the diagonal (ONNX Trilu).

    >>> lucid.tril(lucid.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return np.tril(x, diagonal)


@op
def triu(x: Array, /, diagonal: int = 0) -> Array:
    """Returns the upper triangle of each matrix, with zeros below the diagonal (ONNX Trilu).

    >>> lucid.triu(lucid.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return np.triu(x, diagonal)


@tril.vjp
def _(g: Tensor, diagonal: int) -> Any:
    return tril(g, diagonal)


@triu.vjp
def _(g: Tensor, diagonal: int) -> Any:
    return triu(g, diagonal)
