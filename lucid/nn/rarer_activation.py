"""Activation modules that recurrent models use less often. They accept `inplace` where PyTorch's do."""

from __future__ import annotations

from typing import Any

from ..ops.rarer_activation import (
    celu,
    hardshrink,
    hardsigmoid,
    hardswish,
    mish,
    selu,
    softmin,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from ..tensor import Tensor
from .module import Module

__all__ = [
    "CELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Mish",
    "Softmin",
    "Softshrink",
    "Softsign",
    "Tanhshrink",
    "Threshold",
]


class SELU(Module):
    """Applies `elu`, scaled so that it keeps means and variances (torch.nn.SELU).

    Example:
        >>> nn.SELU()(lucid.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return selu(input)


class CELU(Module):
    """Applies ``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`` elementwise (torch.nn.CELU).

    Example:
        >>> nn.CELU()(lucid.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return celu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Mish(Module):
    """Applies ``x * tanh(softplus(x))`` elementwise (torch.nn.Mish).

    Example:
        >>> nn.Mish()(lucid.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.944 ])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return mish(input)


class Hardsigmoid(Module):
    """Applies ``min(max(x + 3, 0), 6) / 6`` elementwise (torch.nn.Hardsigmoid).

    Example:
        >>> nn.Hardsigmoid()(lucid.tensor([-4.0, 1.5]))
        tensor([0.  , 0.75])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return hardsigmoid(input)


class Hardswish(Module):
    """Applies ``x * hardsigmoid(x)`` elementwise (torch.nn.Hardswish).

    Example:
        >>> nn.Hardswish()(lucid.tensor([1.5, 4.0]))
        tensor([1.125, 4.   ])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return hardswish(input)


class Softsign(Module):
    """Applies ``x / (1 + |x|)`` elementwise (torch.nn.Softsign).

    Example:
        >>> nn.Softsign()(lucid.tensor([-1.0, 3.0]))
        tensor([-0.5 ,  0.75])
    """

    def forward(self, input: Tensor) -> Tensor:
        return softsign(input)


class Softmin(Module):
    """Applies ``softmax(-x)`` along an axis (torch.nn.Softmin).

    Example:
        >>> nn.Softmin(dim=0)(lucid.tensor([0.0, 1.0]))
        tensor([0.7311, 0.2689])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Tanhshrink(Module):
    """Applies ``x - tanh(x)`` elementwise (torch.nn.Tanhshrink).

    Example:
        >>> nn.Tanhshrink()(lucid.tensor([0.0, 2.0]))
        tensor([0.   , 1.036])
    """

    def forward(self, input: Tensor) -> Tensor:
        return tanhshrink(input)


class Softshrink(Module):
    """Moves elements towards 0 by `lambd`, and not across it (torch.nn.Softshrink).

    Example:
        >>> nn.Softshrink()(lucid.tensor([-1.0, 0.25, 2.0]))
        tensor([-0.5,  0. ,  1.5])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Hardshrink(Softshrink):
    """Returns 0 for elements between ``-lambd`` and `lambd` (torch.nn.Hardshrink).

    Example:
        >>> nn.Hardshrink()(lucid.tensor([-1.0, 0.25, 2.0]))
        tensor([-1.,  0.,  2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return hardshrink(input, self.lambd)


class Threshold(Module):
    """Returns elements greater than `threshold`, and `value` for the others (torch.nn.Threshold).

    Example:
        >>> nn.Threshold(1.0, -1.0)(lucid.tensor([0.1, 2.0]))
        tensor([-1.,  2.])
    """

    def __init__(self, threshold: Any, value: Any, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"
