"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, op
from ..tracer.op import Array
from .shape import squeeze, transpose, unsqueeze

__all__ = ["linear", "matmul"]


@op
def matmul(x: Array, y: Array, /) -> Array:
    """The matrix product over the last two axes, the others broadcast (numpy.matmul, ONNX MatMul).

    >>> lucid.matmul(lucid.ones(2, 3), lucid.ones(3, 4)).shape
    (2, 4)
    """
    return np.matmul(x, y)


@matmul.vjp
def _(g: Tensor, x: Tensor, y: Tensor, needs: tuple[bool, ...]) -> Any:
    # A vector stands for a matrix with one row (left) or one column (right), which the product then loses again.
    rows, columns = x.ndim == 1, y.ndim == 1
    if rows:
        x = unsqueeze(x, 0)
    if columns:
        y = unsqueeze(y, 1)
    if columns:
        g = unsqueeze(g, -1)
    if rows:
        g = unsqueeze(g, -2)
    gx = gy = None
    if needs[0]:
        gx = matmul(g, transpose(y, -1, -2))
        gx = squeeze(gx, -2) if rows else gx
    if needs[1]:
        gy = matmul(transpose(x, -1, -2), g)
        gy = squeeze(gy, -1) if columns else gy
    return gx, gy


@op
def linear(x: Array, weight: Array, bias: Array, /) -> Array:
    """``x @ weight.T + bias``; no bias if it is None (torch.nn.functional.linear).

    Shape:
        x: (*, I); weight: (O, I); bias: (O,); the result: (*, O).

    >>> lucid.nn.functional.linear(lucid.ones(2, 3), lucid.ones(4, 3), lucid.zeros(4)).shape
    (2, 4)
    """
    if x.ndim > 2:
        # One product of two matrices is several times faster than one for each leading index.
        y = np.matmul(x.reshape(-1, x.shape[-1]), weight.T).reshape(*x.shape[:-1], weight.shape[0])
    else:
        y = np.matmul(x, weight.T)
    return y if bias is None else np.add(y, bias, out=y) if y.dtype == np.result_type(y, bias) else y + bias


@linear.vjp
def _(g: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, ...]) -> Any:
    columns = weight.shape[0], weight.shape[1]
    g2, x2 = g.reshape(-1, columns[0]), x.reshape(-1, columns[1])
    return (
        matmul(g, weight) if needs[0] else None,
        matmul(transpose(g2, 0, 1), x2) if needs[1] else None,
        g2.sum(0) if needs[2] else None,
    )
