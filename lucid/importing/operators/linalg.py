"""Imports of products."""

from __future__ import annotations

from ... import ops
from ...nn import functional as F
from ...tensor import Tensor
from ..registry import Operation, imports

__all__: list[str] = []


@imports("linear")
def _(node: Operation, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A product whose weight is a parameter, (out, in), as a linear layer has it."""
    if bias is None or bias.shape == weight.shape[:1]:
        return F.linear(x, weight, bias)
    return F.linear(x, weight) + bias


@imports("MatMul")
def _(node: Operation, x: Tensor, y: Tensor) -> Tensor:
    return ops.matmul(x, y)


@imports("Gemm")
def _(node: Operation, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    x = ops.transpose(x, 0, 1) if node.get("transA", 0) else x
    y = ops.transpose(y, 0, 1) if node.get("transB", 0) else y
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    product = _scaled(ops.matmul(x, y), alpha)
    return product if bias is None else product + _scaled(bias, beta)


def _scaled(x: Tensor, factor: float) -> Tensor:
    return x if factor == 1 else (x * factor).to(x.dtype)


@imports("Einsum")
def _(node: Operation, *operands: Tensor) -> Tensor:
    return ops.einsum(node.get("equation"), *operands)
