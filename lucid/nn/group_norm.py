"""GroupNorm: normalization of groups of channels."""

from __future__ import annotations

from typing import Any

from ..devices import require_cpu
from ..ops.creation import ones, zeros
from ..ops.normalization import group_norm
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = ["GroupNorm"]


class GroupNorm(Module):
    """Applies ``(x - mean) / sqrt(variance + eps) * weight + bias`` to each group of channels (torch.nn.GroupNorm).

    Args:
        num_groups: the number of groups that the channels are divided into.
        num_channels: C.
        eps: keeps the square root away from 0.
        affine: whether there are `weight` and `bias`.
        device: "cpu".
        dtype: the dtype of the parameters.
        bias: whether there is a `bias`, if there is a `weight`.

    Shape:
        input: (N, C, *); output: the same.
        weight, bias: (C,); initially ones and zeros.

    Raises:
        ValueError: C is not a multiple of num_groups. ShapeError: the input has other channels.

    Source: Y. Wu and K. He (2018), "Group normalization".

    Example:
        >>> nn.GroupNorm(2, 4, eps=1e-9)(lucid.tensor([[1.0, 3.0, 5.0, 5.0]])).detach()
        tensor([[-1.,  1.,  0.,  0.]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_cpu(device)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels must be a multiple of num_groups; got {num_channels} and {num_groups}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.register_parameter("weight", Parameter(ones(num_channels, dtype=dtype)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels, dtype=dtype)) if affine and bias else None)

    def reset_parameters(self) -> None:
        """Sets the weight to ones and the bias to zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
