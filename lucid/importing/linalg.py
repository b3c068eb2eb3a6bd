"""Imports of products."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..errors import ModelImportError
from ..nn import functional as F
from ..tensor import Tensor
from .registry import Operation, imports

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


@imports("Attention")
def _(node: Operation, q: Tensor, k: Tensor, v: Tensor, mask: Any = None, *rest: Any) -> Any:
    """Scaled dot-product attention of whole sequences; queries may share heads of keys."""
    if node.outputs > 1 or any(part is not None for part in rest) or node.get("softcap", 0.0):
        raise ModelImportError(f"{node}: lucid's attention has no past keys, and neither a cap nor further outputs")
    heads = [node.get("q_num_heads"), node.get("kv_num_heads"), node.get("kv_num_heads")]
    flat = q.ndim == 3
    if flat:
        q, k, v = (_by_head(x, n) for x, n in zip((q, k, v), heads, strict=True))
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = (ops.repeat_interleave(x, groups, 1) for x in (k, v))
    found = F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=bool(node.get("is_causal", 0)), scale=node.get("scale")
    )
    if not flat:
        return found
    found = ops.transpose(found, 1, 2)
    return ops.reshape(found, (*found.shape[:2], found.shape[2] * found.shape[3]))


def _by_head(x: Tensor, heads: int) -> Tensor:
    n, t, width = x.shape
    return ops.transpose(ops.reshape(x, (n, t, heads, width // heads)), 1, 2)
