"""Conv1d and Conv2d: convolution over one axis or two."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from ..devices import require_cpu
from ..ops.conv import conv1d, conv2d, numbers
from ..ops.creation import zeros
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = ["Conv1d", "Conv2d"]


class _Conv(Module):
    """A convolution over a number of axes, `_axes`."""

    _axes: ClassVar[int]
    stride: Any
    padding: Any
    dilation: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        require_cpu(device)
        name, axes = type(self).__name__, self._axes
        self.kernel_size = numbers(name, axes, "kernel_size", kernel_size)
        self.stride = numbers(name, axes, "stride", stride)
        self.dilation = numbers(name, axes, "dilation", dilation)
        self.padding = padding if isinstance(padding, str) else numbers(name, axes, "padding", padding, least=0)
        for option, n in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            numbers(name, 1, option, n)
            if n % groups:
                raise ValueError(f"{name}: {option} must be a multiple of groups={groups}; got {n}")
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"{name}: padding must be a number, 'valid' or 'same'; got {padding!r}")
            if padding == "same" and any(step != 1 for step in self.stride):
                raise ValueError(f"{name}: padding='same' is for stride 1; got {stride}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.weight = Parameter(zeros(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype))
        self.register_parameter("bias", Parameter(zeros(out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitializes the parameters."""
        bound = (self.in_channels // self.groups * math.prod(self.kernel_size)) ** -0.5
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding!r}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class Conv1d(_Conv):
    """Applies a one-dimensional convolution (torch.nn.Conv1d).

    out[n, o, t] = bias[o] + Σ_(c, k) weight[o, c, k] * input[n, c, t * stride + k * dilation]

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K, how many positions the kernel has.
        stride: how far the kernel moves from one output to the next.
        padding: how many zeros are added at both ends; "same" for as many outputs as inputs, "valid" for none.
        dilation: how far apart the positions of the kernel are.
        groups: the number of groups of channels, each of which is convolved separately.
        bias: whether to add `bias`.
        device: "cpu".
        dtype: the dtype of the parameters.

    Shape:
        input: (N, C, L) or (C, L); output: (N, O, T) or (O, T), with
        T = (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1.
        weight: (O, C / groups, K); bias: (O,); both drawn from U(-1/√n, 1/√n), n = C / groups * K.

    Raises:
        ShapeError: the input has other channels, or is shorter than the kernel. ValueError: an option is out of range.

    Example:
        >>> nn.Conv1d(3, 4, kernel_size=5, padding="same")(lucid.ones(2, 3, 9)).shape
        (2, 4, 9)
    """

    _axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | Literal["valid", "same"] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Applies a convolution over two axes, such as time and frequency (torch.nn.Conv2d).

    out[n, o, t, u] = bias[o] + Σ_(c, k, l) weight[o, c, k, l] * input[n, c, t * stride + k * dilation, u * … + l * …]

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (K, K'), or one number for both axes, as for the other options.
        stride: how far the kernel moves from one output to the next.
        padding: how many zeros are added at both ends; "same" for as many outputs as inputs, "valid" for none.
        dilation: how far apart the positions of the kernel are.
        groups: the number of groups of channels, each of which is convolved separately.
        bias: whether to add `bias`.
        device: "cpu".
        dtype: the dtype of the parameters.

    Shape:
        input: (N, C, H, W) or (C, H, W); output: (N, O, T, T') or (O, T, T'), with
        T = (H + 2 * padding - dilation * (K - 1) - 1) // stride + 1, and T' likewise.
        weight: (O, C / groups, K, K'); bias: (O,); both drawn from U(-1/√n, 1/√n), n = C / groups * K * K'.

    Raises:
        ShapeError: the input has other channels, or is shorter than the kernel. ValueError: an option is out of range.

    Example:
        >>> nn.Conv2d(1, 4, kernel_size=3, stride=(2, 1), padding=1)(lucid.ones(2, 1, 9, 6)).shape
        (2, 4, 5, 6)
    """

    _axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | Literal["valid", "same"] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
