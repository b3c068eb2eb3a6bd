"""Upsample: longer sequences."""

from __future__ import annotations

from typing import Literal

from ..ops.interpolate import interpolate
from ..tensor import Tensor
from .module import Module

__all__ = ["Upsample"]


class Upsample(Module):
    """Resamples sequences to another length, as `nn.functional.interpolate` does (torch.nn.Upsample).

    Args:
        size: the new length.
        scale_factor: the factor of the length, instead of `size`.
        mode: "nearest" or "linear".
        align_corners: for "linear", whether the ends rather than the edges of the sequences are aligned.
        recompute_scale_factor: use the ratio of the lengths rather than `scale_factor`.

    Shape:
        input: (N, C, L); output: (N, C, T) with T = size, or L * scale_factor, rounded down.

    Example:
        >>> nn.Upsample(scale_factor=2)(lucid.tensor([[[1.0, 3.0]]]))
        tensor([[[1., 1., 3., 3.]]])
    """

    def __init__(
        self,
        size: int | tuple[int] | None = None,
        scale_factor: float | tuple[float] | None = None,
        mode: Literal["nearest", "linear"] = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        wanted = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{wanted}, mode={self.mode!r}"
