"""Ops that reduce axes. `dim` is an axis, several, or None for all; `keepdim` leaves axes of size one in their place."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array
from .elementwise import astype, eq
from .shape import expand_to, unsqueeze

__all__ = ["all", "amax", "amin", "any", "argmax", "log_softmax", "logsumexp", "mean", "size", "softmax", "sum", "sum_to"]

Dims = int | tuple[int, ...] | list[int] | None

_INTEGER = "the result is an index"
_BOOLEAN = "the result is bool"


def _axis(dim: Dims) -> Any:
    return tuple(dim) if isinstance(dim, (tuple, list)) else dim


def _restore(g: Tensor, dim: Dims, keepdim: bool, shape: tuple[int, ...]) -> Tensor:
    """Give a reduced tensor its axes back, with size one."""
    if keepdim or not shape:
        return g
    if dim is None:
        return unsqueeze(g, tuple(range(len(shape))))
    return unsqueeze(g, tuple(d % len(shape) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))))


@op
def sum(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """The sum of the elements (ONNX ReduceSum).

    >>> lucid.sum(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    return np.sum(x, axis=_axis(dim), keepdims=keepdim)


@sum.vjp
def _(g: Tensor, dim: Dims, keepdim: bool, shapes: Any) -> Any:
    return expand_to(_restore(g, dim, keepdim, shapes[0]), shape=shapes[0])


@op
def sum_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which something of that shape was broadcast: the gradient of broadcasting.

    >>> lucid.ops.sum_to(lucid.ones(2, 3), (3,))
    tensor([2., 2., 2.])
    """
    extra = x.ndim - len(shape)
    axes = (*range(extra), *[i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1])
    return np.sum(x, axis=axes, keepdims=True).reshape(shape)


@sum_to.vjp
def _(g: Tensor, shapes: Any) -> Any:
    return expand_to(g, shape=shapes[0])


@op
def mean(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """The arithmetic mean (ONNX ReduceMean).

    >>> lucid.mean(lucid.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([1.5, 3.5])
    """
    return np.mean(x, axis=_axis(dim), keepdims=keepdim)


@mean.vjp
def _(g: Tensor, x: Tensor, dim: Dims, keepdim: bool, shapes: Any) -> Any:
    return expand_to(_restore(g, dim, keepdim, shapes[0]) / size(x, dim=dim), shape=shapes[0])


@op(no_gradient="it depends on the shape alone")
def size(x: Array, /, dim: Dims = None) -> Array:
    """The number of elements along `dim`, as a scalar of the dtype of `x`; an op, so that a graph stays true at other sizes.

    >>> lucid.ops.size(lucid.ones(2, 3), dim=1)
    tensor(3.)
    """
    if dim is None:
        return np.asarray(x.size, x.dtype)
    count = 1
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        count *= x.shape[d]
    return np.asarray(count, x.dtype)


@op
def amax(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """The largest element; several that are equally large share the gradient (torch.amax).

    >>> lucid.amax(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=0)
    tensor([3., 5.])
    """
    return np.amax(x, axis=_axis(dim), keepdims=keepdim)


@op
def amin(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """The smallest element; several that are equally small share the gradient (torch.amin).

    >>> lucid.amin(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=0)
    tensor([1., 4.])
    """
    return np.amin(x, axis=_axis(dim), keepdims=keepdim)


@amax.vjp
@amin.vjp
def _(g: Tensor, x: Tensor, out: Tensor, dim: Dims, keepdim: bool, shapes: Any) -> Any:
    ties = astype(eq(x, _restore(out, dim, keepdim, shapes[0])), x.dtype)
    return _restore(g, dim, keepdim, shapes[0]) * ties / sum(ties, dim, True)


@op(no_gradient=_INTEGER)
def argmax(x: Array, /, dim: int | None = None, keepdim: bool = False) -> Array:
    """The index of the largest element, the first of several (ONNX ArgMax).

    >>> lucid.argmax(lucid.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=1)
    tensor([1, 1])
    """
    return np.argmax(x, axis=dim, keepdims=keepdim)


@op(no_gradient=_BOOLEAN)
def any(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether an element is true.

    >>> lucid.any(lucid.tensor([False, True]))
    tensor(True)
    """
    return np.any(x, axis=_axis(dim), keepdims=keepdim)


@op(no_gradient=_BOOLEAN)
def all(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether all elements are true.

    >>> lucid.all(lucid.tensor([False, True]))
    tensor(False)
    """
    return np.all(x, axis=_axis(dim), keepdims=keepdim)


@op
def softmax(x: Array, /, dim: int) -> Array:
    """``exp(x) / sum(exp(x))`` along an axis (ONNX Softmax).

    >>> lucid.softmax(lucid.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5])
    """
    y = np.exp(x - np.amax(x, axis=dim, keepdims=True))
    return y / np.sum(y, axis=dim, keepdims=True)


@softmax.vjp
def _(g: Tensor, out: Tensor, dim: int) -> Any:
    return out * (g - sum(g * out, dim, True))


@op
def log_softmax(x: Array, /, dim: int) -> Array:
    """The logarithm of `softmax`, without the loss of small probabilities (ONNX LogSoftmax).

    >>> lucid.log_softmax(lucid.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931472, -0.6931472])
    """
    shifted = x - np.amax(x, axis=dim, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=dim, keepdims=True))


@log_softmax.vjp
def _(g: Tensor, out: Tensor, dim: int) -> Any:
    return g - out.exp() * sum(g, dim, True)


@op
def logsumexp(x: Array, /, dim: Dims = None, keepdim: bool = False) -> Array:
    """``log(sum(exp(x)))``, without overflow (ONNX ReduceLogSumExp).

    >>> lucid.logsumexp(lucid.tensor([0.0, 0.0]))
    tensor(0.6931472)
    """
    top = np.amax(x, axis=_axis(dim), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        top = np.where(np.isfinite(top), top, 0)
        result = np.log(np.sum(np.exp(x - top), axis=_axis(dim), keepdims=True)) + top
    return result if keepdim else np.squeeze(result, axis=_axis(dim))


@logsumexp.vjp
def _(g: Tensor, x: Tensor, out: Tensor, dim: Dims, keepdim: bool, shapes: Any) -> Any:
    return _restore(g, dim, keepdim, shapes[0]) * (x - _restore(out, dim, keepdim, shapes[0])).exp()
