"""Padding layers of sequences."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ..errors import ShapeError
from ..ops.pad import pad
from ..tensor import Tensor
from .module import Module

__all__ = ["CircularPad1d", "ConstantPad1d", "ReflectionPad1d", "ReplicationPad1d", "ZeroPad1d"]


class _Pad1d(Module):
    mode: ClassVar[Literal["constant", "reflect", "replicate", "circular"]] = "constant"

    def __init__(self, padding: int | tuple[int, int]) -> None:
        super().__init__()
        self.padding = (padding, padding) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        if self.mode != "constant" and input.ndim not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__}: expected an input (N, C, L) or (C, L); got shape {tuple(input.shape)}"
            )
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_Pad1d):
    """Adds a number at both ends of sequences (torch.nn.ConstantPad1d).

    Args:
        padding: how many elements are added at each end, or at the left and the right one.
        value: the number.

    Shape:
        input: (N, C, L) or (C, L); output: the same with L + left + right for L.

    Example:
        >>> nn.ConstantPad1d((2, 0), 9.0)(lucid.tensor([[1.0, 2.0]]))
        tensor([[9., 9., 1., 2.]])
    """

    def __init__(self, padding: int | tuple[int, int], value: Any) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad1d(_Pad1d):
    """Adds zeros at both ends of sequences (torch.nn.ZeroPad1d).

    Example:
        >>> nn.ZeroPad1d((2, 0))(lucid.tensor([[1.0, 2.0]]))
        tensor([[0., 0., 1., 2.]])
    """


class ReflectionPad1d(_Pad1d):
    """Continues sequences at both ends by their mirror image (torch.nn.ReflectionPad1d).

    Example:
        >>> nn.ReflectionPad1d(1)(lucid.tensor([[1.0, 2.0, 3.0]]))
        tensor([[2., 1., 2., 3., 2.]])
    """

    mode = "reflect"


class ReplicationPad1d(_Pad1d):
    """Repeats the first and the last element of sequences (torch.nn.ReplicationPad1d).

    Example:
        >>> nn.ReplicationPad1d(1)(lucid.tensor([[1.0, 2.0]]))
        tensor([[1., 1., 2., 2.]])
    """

    mode = "replicate"


class CircularPad1d(_Pad1d):
    """Continues sequences at each end from the other end (torch.nn.CircularPad1d).

    Example:
        >>> nn.CircularPad1d(1)(lucid.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 1., 2., 3., 1.]])
    """

    mode = "circular"
