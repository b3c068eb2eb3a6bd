"""LayerNorm: normalization to mean 0 and variance 1 over the last axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..devices import require_cpu
from ..ops.creation import ones, zeros
from ..ops.layer_norm import layer_norm
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = ["LayerNorm"]


class LayerNorm(Module):
    """Applies ``(x - mean) / sqrt(variance + eps) * weight + bias`` over the last axes (torch.nn.LayerNorm).

    Args:
        normalized_shape: the sizes of the axes that mean and variance are computed over.
        eps: keeps the square root away from 0.
        elementwise_affine: whether there are `weight` and `bias`.
        bias: whether there is a `bias`, if there is a `weight`.
        device: "cpu".
        dtype: the dtype of the parameters.

    Shape:
        input: (*, *normalized_shape); output: the same.
        weight, bias: normalized_shape; initially ones and zeros.

    Raises:
        ShapeError: the input does not end with normalized_shape.

    Source: J. L. Ba et al. (2016), "Layer normalization".

    Example:
        >>> nn.LayerNorm(2, eps=0.0)(lucid.tensor([[1.0, 3.0]])).detach()
        tensor([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        self.normalized_shape = shape = normalized_axes("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        has_bias = elementwise_affine and bias
        self.register_parameter("weight", Parameter(ones(*shape, dtype=dtype)) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(zeros(*shape, dtype=dtype)) if has_bias else None)

    def reset_parameters(self) -> None:
        """Sets the weight to ones and the bias to zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def normalized_axes(name: str, given: int | Sequence[int]) -> tuple[int, ...]:
    """Returns the sizes of the axes that a layer normalizes over."""
    shape = (given,) if isinstance(given, int) else tuple(given)
    if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"{name}: normalized_shape must be positive ints; got {given!r}")
    return shape
