"""Conv1d: one-dimensional convolution."""

from __future__ import annotations

from typing import Any, Literal

from ..devices import require_cpu
from ..ops.conv import conv1d
from ..ops.creation import zeros
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = ["Conv1d"]


class Conv1d(Module):
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
        super().__init__()
        require_cpu(device)
        self.kernel_size = _single("kernel_size", kernel_size)
        self.stride = _single("stride", stride)
        self.dilation = _single("dilation", dilation)
        self.padding = padding if isinstance(padding, str) else _single("padding", padding, least=0)
        for name, n in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            _single(name, n)
            if n % groups:
                raise ValueError(f"Conv1d: {name} must be a multiple of groups={groups}; got {n}")
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"Conv1d: padding must be a number, 'valid' or 'same'; got {padding!r}")
            if padding == "same" and self.stride != (1,):
                raise ValueError(f"Conv1d: padding='same' is for stride 1; got {stride}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.weight = Parameter(zeros(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype))
        self.register_parameter("bias", Parameter(zeros(out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitializes the parameters."""
        bound = (self.in_channels // self.groups * self.kernel_size[0]) ** -0.5
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding!r}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


def _single(name: str, given: Any, least: int = 1) -> tuple[int]:
    """Returns one number as a tuple, as PyTorch stores it."""
    value = given[0] if isinstance(given, (tuple, list)) and len(given) == 1 else given
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"Conv1d: {name} must be an int of at least {least}; got {given!r}")
    return (value,)
