"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.dim import has_dim
from ..tracer.op import Array, function
from ..tracer.size import total
from .reduce import sum, sum_to
from .shape import normal_axis, permute, reshape_to, squeeze, transpose, unsqueeze

__all__ = ["addmm", "addmv", "baddbmm", "bmm", "dot", "matmul", "mm", "mv", "outer", "tensordot"]


@op
def matmul(x: Array, y: Array, /) -> Array:
    """Computes the matrix product over the last two axes; the others broadcast (numpy.matmul, ONNX MatMul).

    >>> lucid.matmul(lucid.ones(2, 3), lucid.ones(3, 4)).shape
    (2, 4)
    """
    if type(x) is np.ndarray and x.ndim > 2 and type(y) is np.ndarray and y.ndim == 2 and x.size:
        # One product of two matrices is several times faster than one for each leading index.
        return np.matmul(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    return np.matmul(x, y)


@matmul.vjp
def _(g: Tensor, x: Tensor, y: Tensor, needs: tuple[bool, ...], shapes: Any) -> Any:
    # A vector acts as a matrix with one row (left) or one column (right), and the product drops this axis again.
    rows, columns = len(shapes[0]) == 1, len(shapes[1]) == 1
    if columns:
        g = unsqueeze(g, -1)
    if rows:
        g = unsqueeze(g, -2)
    gx = gy = None
    if needs[0]:
        y = unsqueeze(y, 1) if columns else y
        gx = matmul(g, y.T if y.ndim == 2 else transpose(y, -1, -2))
        gx = squeeze(gx, -2) if rows else gx
    if needs[1]:
        x = unsqueeze(x, 0) if rows else x
        gy = weight_gradient(x, g) if len(shapes[1]) <= 2 else matmul(transpose(x, -1, -2), g)
        gy = squeeze(gy, -1) if columns else gy
    return gx, gy


matmul.keep_for(x="y", y="x")


@op
def linear(x: Array, weight: Array, bias: Array = None, /) -> Array:
    """Computes ``x @ weight.T + bias``, without the bias if it is None (torch.nn.functional.linear).

    Shape:
        x: (*, I); weight: (O, I); bias: (O,); the result: (*, O).

    >>> lucid.nn.functional.linear(lucid.ones(2, 3), lucid.ones(4, 3)).shape
    (2, 4)
    """
    if x.ndim > 2 and x.size:
        # As in `matmul`.
        y = np.matmul(x.reshape(-1, x.shape[-1]), weight.T).reshape(*x.shape[:-1], weight.shape[0])
    else:
        y = np.matmul(x, weight.T)
    if bias is None:
        return y
    if y.dtype == bias.dtype and y.ndim:
        y += bias
        return y
    return y + bias


@linear.vjp
def _(g: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, ...]) -> Any:
    return (
        matmul(g, weight) if needs[0] else None,
        weight_gradient(g, x) if needs[1] else None,
        sum_to(g, shape=g.shape[-1:]) if needs[2] else None,
    )


linear.keep_for(x="weight", weight="x")


@op
def weight_gradient(dz: Array, x: Array, /) -> Array:
    """Computes the gradient of the weight W in x W': the sum of dz' x over all leading axes, in one product.

    Shape:
        dz: (*, O), the gradient of the product; x: (*, I), its input; the result: (O, I).
    """
    if dz.ndim == 2:
        return np.matmul(dz.T, x)
    rows = math.prod(dz.shape[:-1])
    return np.matmul(dz.reshape(rows, dz.shape[-1]).T, x.reshape(rows, x.shape[-1]))


@weight_gradient.vjp
def _(g: Tensor, dz: Tensor, x: Tensor, needs: tuple[bool, ...]) -> Any:
    return matmul(x, transpose(g, 0, 1)) if needs[0] else None, matmul(dz, g) if needs[1] else None


weight_gradient.keep_for(dz="x", x="dz")


@function
def bmm(x: Tensor, y: Any) -> Tensor:
    """Computes the matrix products of two batches of matrices (torch.bmm).

    Shape:
        x: (N, A, B); y: (N, B, C); the result: (N, A, C).

    >>> lucid.bmm(lucid.ones(2, 3, 4), lucid.ones(2, 4, 5)).shape
    (2, 3, 5)
    """
    y = as_tensor(y)
    if x.ndim != 3 or y.ndim != 3 or x.shape[0] != y.shape[0] or x.shape[2] != y.shape[1]:
        raise ShapeError(f"bmm: expected shapes (N, A, B) and (N, B, C); got {x.shape} and {y.shape}")
    return matmul(x, y)


@function
def mm(x: Tensor, y: Any) -> Tensor:
    """Computes the product of two matrices (torch.mm).

    >>> lucid.mm(lucid.ones(2, 3), lucid.ones(3, 4)).shape
    (2, 4)
    """
    return matmul(*_ranked("mm", x, 2, y, 2))


@function
def mv(x: Tensor, y: Any) -> Tensor:
    """Computes the product of a matrix and a vector (torch.mv).

    >>> lucid.mv(lucid.ones(2, 3), lucid.ones(3))
    tensor([3., 3.])
    """
    return matmul(*_ranked("mv", x, 2, y, 1))


@function
def dot(x: Tensor, y: Any) -> Tensor:
    """Computes the dot product of two vectors (torch.dot).

    >>> lucid.dot(lucid.tensor([1.0, 2.0]), lucid.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return matmul(*_ranked("dot", x, 1, y, 1))


@function
def outer(x: Tensor, y: Any) -> Tensor:
    """Computes the outer product of two vectors (torch.outer).

    >>> lucid.outer(lucid.tensor([1.0, 2.0]), lucid.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    x, y = _ranked("outer", x, 1, y, 1)
    return unsqueeze(x, 1) * y


@function
def addmm(x: Tensor, mat1: Tensor, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """Computes ``beta * x + alpha * (mat1 @ mat2)``; with ``beta=0``, `x` is not read (torch.addmm).

    >>> lucid.addmm(lucid.ones(2), lucid.ones(2, 3), lucid.ones(3, 2))
    tensor([[4., 4.],
            [4., 4.]])
    """
    return _added(x, mm(mat1, mat2), beta, alpha)


@function
def addmv(x: Tensor, mat: Tensor, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """Computes ``beta * x + alpha * (mat @ vec)`` for a matrix and a vector (torch.addmv).

    >>> lucid.addmv(lucid.ones(2), lucid.ones(2, 3), lucid.ones(3))
    tensor([4., 4.])
    """
    return _added(x, mv(mat, vec), beta, alpha)


@function
def baddbmm(x: Tensor, batch1: Tensor, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """Computes ``beta * x + alpha * (batch1 @ batch2)`` for batches of matrices (torch.baddbmm).

    >>> lucid.baddbmm(lucid.ones(1), lucid.ones(1, 1, 3), lucid.ones(1, 3, 2))
    tensor([[[4., 4.]]])
    """
    return _added(x, bmm(batch1, batch2), beta, alpha)


def _added(x: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return product + (x if beta == 1 else x * beta)


@function
def tensordot(x: Tensor, y: Any, dims: Any = 2) -> Tensor:
    """Sums the products of two tensors over pairs of axes (torch.tensordot).

    Args:
        x: the left factor.
        y: the right factor.
        dims: how many axes: the last of `x` and the first of `y`; or two sequences of axes, those of `x` and of `y`.

    >>> lucid.tensordot(lucid.ones(2, 3, 4), lucid.ones(3, 4, 5)).shape
    (2, 5)
    """
    y = as_tensor(y)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    most = min(x.ndim, y.ndim)
    if isinstance(dims, int):
        if not 0 <= dims <= most:
            raise ShapeError(f"tensordot: dims must be from 0 to {most}; got {dims}")
        left, right = list(range(x.ndim - dims, x.ndim)), list(range(dims))
    else:
        left = [normal_axis(d, x.ndim) for d in dims[0]]
        right = [normal_axis(d, y.ndim) for d in dims[1]]
    if len(left) != len(right):
        raise ShapeError(f"tensordot: as many axes of x as of y; got {left} and {right}")
    for d, e in zip(left, right, strict=True):
        # An axis of size one is repeated; where sizes are symbols, they are taken to be equal.
        sizes = x.shape[d], y.shape[e]
        if not has_dim(sizes) and 1 in sizes:
            x, y = sum(x, d, True), sum(y, e, True)
    rows = [d for d in range(x.ndim) if d not in left]
    columns = [d for d in range(y.ndim) if d not in right]
    shape = (*[x.shape[d] for d in rows], *[y.shape[d] for d in columns])
    summed = total([x.shape[d] for d in left])
    first = reshape_to(permute(x, tuple(rows + left)), shape=(total([x.shape[d] for d in rows]), summed))
    second = reshape_to(permute(y, tuple(right + columns)), shape=(summed, total([y.shape[d] for d in columns])))
    return reshape_to(matmul(first, second), shape=shape)


def _ranked(name: str, x: Any, x_axes: int, y: Any, y_axes: int) -> tuple[Tensor, Tensor]:
    x, y = as_tensor(x), as_tensor(y)
    if x.ndim != x_axes or y.ndim != y_axes:
        raise ShapeError(
            f"{name}: expected tensors with {x_axes} and {y_axes} axes; got shapes {x.shape} and {y.shape}"
        )
    return x, y
