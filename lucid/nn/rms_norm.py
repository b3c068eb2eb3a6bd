"""RMSNorm: division by the root mean square over the last axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..devices import require_cpu
from ..ops.creation import ones
from ..ops.normalization import rms_norm
from ..tensor import Parameter, Tensor
from . import init
from .layer_norm import normalized_axes
from .module import Module

__all__ = ["RMSNorm"]


class RMSNorm(Module):
    """Applies ``x / sqrt(mean(x²) + eps) * weight`` over the last axes (torch.nn.RMSNorm).

    Args:
        normalized_shape: the sizes of the axes that the mean is computed over.
        eps: keeps the square root away from 0; the precision of the input's dtype if None.
        elementwise_affine: whether there is a `weight`.
        device: "cpu".
        dtype: the dtype of the weight.

    Shape:
        input: (*, *normalized_shape); output: the same.
        weight: normalized_shape; initially ones.

    Raises:
        ShapeError: the input does not end with normalized_shape.

    Source: B. Zhang and R. Sennrich (2019), "Root mean square layer normalization".

    Example:
        >>> nn.RMSNorm(2)(lucid.tensor([[1.0, -7.0]])).detach()
        tensor([[ 0.2, -1.4]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        self.normalized_shape = normalized_axes("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = Parameter(ones(*self.normalized_shape, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """Sets the weight to ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
