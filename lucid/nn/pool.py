"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from ..tensor import Tensor
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
]


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Returns the largest element under a moving window (torch.nn.MaxPool1d).

    Args:
        kernel_size: K, the number of elements in a window.
        stride: how far the window moves from one output to the next; K if None.
        padding: how many elements, of -inf, are added at both ends; at most K / 2.
        dilation: how far apart the elements of a window are.
        return_indices: also return where the elements lie, int64; see `functional.max_pool1d`.
        ceil_mode: whether a window may reach beyond the end.

    Shape:
        input: (N, C, L) or (C, L); output: the same with T = (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1
        for L; with ceil_mode, the quotient is rounded up.

    Raises:
        ShapeError: the input has other axes, or is shorter than the window. ValueError: an option is out of range.

    Example:
        >>> nn.MaxPool1d(2)(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
        tensor([[[3., 2.]]])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    """Returns the largest element under a window that moves over two axes (torch.nn.MaxPool2d).

    The arguments are those of `MaxPool1d`; a number counts for both axes.

    Shape:
        input: (N, C, H, W) or (C, H, W); output: the same with H and W pooled.

    Example:
        >>> nn.MaxPool2d(2)(lucid.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
        tensor([[[3.]]])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(Module):
    """Returns the mean under a moving window (torch.nn.AvgPool1d).

    Args:
        kernel_size: K, the number of elements in a window.
        stride: how far the window moves from one output to the next; K if None.
        padding: how many zeros are added at both ends; at most K / 2.
        ceil_mode: whether a window may reach beyond the end; what is beyond does not count.
        count_include_pad: whether the padding counts as elements.

    Shape:
        input: (N, C, L) or (C, L); output: the same with T = (L + 2 * padding - K) // stride + 1 for L; with ceil_mode,
        the quotient is rounded up.

    Raises:
        ShapeError: the input has other axes, or is shorter than the window. ValueError: an option is out of range.

    Example:
        >>> nn.AvgPool1d(2)(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
        tensor([[[2., 1.]]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(AvgPool1d):
    """Returns the mean under a window that moves over two axes (torch.nn.AvgPool2d).

    The arguments are those of `AvgPool1d`; a number counts for both axes. The sum is divided by `divisor_override`
    instead, if given.

    Shape:
        input: (N, C, H, W) or (C, H, W); output: the same with H and W pooled.

    Example:
        >>> nn.AvgPool2d(2)(lucid.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
        tensor([[[1.5]]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _AdaptivePool(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """Cuts a sequence into bins of about equal size and returns their means (torch.nn.AdaptiveAvgPool1d).

    Args:
        output_size: T, the number of bins.

    Shape:
        input: (N, C, L) or (C, L); output: (N, C, T) or (C, T). Bin i has the elements from floor(i L / T) up to, but
        excluding, ceil((i + 1) L / T).

    Example:
        >>> nn.AdaptiveAvgPool1d(2)(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
        tensor([[[2., 1.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Cuts two axes into bins of about equal size and returns their means (torch.nn.AdaptiveAvgPool2d).

    Args:
        output_size: the number of bins of each axis, None to keep it as it is; or one number for both.

    Shape:
        input: (N, C, H, W) or (C, H, W); output: the same with output_size for (H, W).

    Example:
        >>> nn.AdaptiveAvgPool2d((1, None))(lucid.tensor([[[1.0, 3.0], [2.0, 0.0]]]))
        tensor([[[1.5, 1.5]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool1d(_AdaptivePool):
    """Cuts a sequence into bins of about equal size and returns the largest element of each
    (torch.nn.AdaptiveMaxPool1d).

    Args:
        output_size: T, the number of bins; see `AdaptiveAvgPool1d`.
        return_indices: also return where the elements lie, int64.

    Shape:
        input: (N, C, L) or (C, L); output: (N, C, T) or (C, T).

    Example:
        >>> nn.AdaptiveMaxPool1d(2)(lucid.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
        tensor([[[3., 2.]]])
    """

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool1d(input, self.output_size, self.return_indices)
