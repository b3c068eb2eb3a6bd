"""Activation modules. They accept `inplace` where PyTorch's do, for ported code; the result is always a new tensor."""

from __future__ import annotations

from typing import Any, Literal

from ..devices import require_cpu
from ..ops.activation import elu, gelu, glu, hardtanh, leaky_relu, logsigmoid, prelu, relu6, silu, softplus
from ..ops.creation import full
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.reduce import log_softmax, softmax
from ..tensor import Parameter, Tensor
from . import init
from .module import Module

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class ReLU(Module):
    """Applies ``max(x, 0)`` elementwise (torch.nn.ReLU).

    Example:
        >>> nn.ReLU()(lucid.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return relu(input)


class Tanh(Module):
    """Applies ``tanh(x)`` elementwise (torch.nn.Tanh).

    Example:
        >>> nn.Tanh()(lucid.tensor([0.0, 1.0]))
        tensor([0.    , 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return tanh(input)


class Sigmoid(Module):
    """Applies ``1 / (1 + exp(-x))`` elementwise (torch.nn.Sigmoid).

    Example:
        >>> nn.Sigmoid()(lucid.tensor([0.0, 1.0]))
        tensor([0.5   , 0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class SiLU(Module):
    """Applies ``x * sigmoid(x)`` elementwise, also called swish (torch.nn.SiLU).

    Example:
        >>> nn.SiLU()(lucid.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return silu(input)


class ReLU6(Module):
    """Clamps elements to [0, 6] (torch.nn.ReLU6).

    Example:
        >>> nn.ReLU6()(lucid.tensor([-1.0, 9.0]))
        tensor([0., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return relu6(input)


class LogSigmoid(Module):
    """Applies ``log(sigmoid(x))`` elementwise, without underflow (torch.nn.LogSigmoid).

    Example:
        >>> nn.LogSigmoid()(lucid.tensor([0.0, -100.0]))
        tensor([  -0.6931, -100.    ])
    """

    def forward(self, input: Tensor) -> Tensor:
        return logsigmoid(input)


class GLU(Module):
    """Multiplies the first half of an axis by the sigmoid of the second half (torch.nn.GLU).

    Args:
        dim: the axis; its size must be even.

    Example:
        >>> nn.GLU()(lucid.tensor([3.0, 0.0]))
        tensor([1.5])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LeakyReLU(Module):
    """Applies the leaky ReLU: `x` where it is positive, else ``negative_slope * x`` (torch.nn.LeakyReLU).

    Args:
        negative_slope: the slope below 0.

    Example:
        >>> nn.LeakyReLU(0.1)(lucid.tensor([-1.0, 2.0]))
        tensor([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """Applies the leaky ReLU with a slope that is trained (torch.nn.PReLU).

    Args:
        num_parameters: 1 for one slope, or the number of channels.
        init: the slope at first.
        device: "cpu".
        dtype: the dtype of the slopes.

    Shape:
        input: (N, C, *), or any other for one slope; output: the same. weight: (num_parameters,).

    Raises:
        ShapeError: the input has other channels.

    Source: K. He et al. (2015), "Delving deep into rectifiers".

    Example:
        >>> nn.PReLU()(lucid.tensor([-1.0, 2.0])).detach()
        tensor([-0.25,  2.  ])
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        require_cpu(device)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init), dtype=dtype))

    def reset_parameters(self) -> None:
        """Resets the slopes."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """Applies the exponential linear unit: `x` where it is positive, else ``alpha * (exp(x) - 1)`` (torch.nn.ELU).

    Args:
        alpha: the result approaches -alpha far below 0.

    Example:
        >>> nn.ELU()(lucid.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """Applies ``x * Φ(x)`` elementwise, where Φ is the standard normal distribution function (torch.nn.GELU).

    Args:
        approximate: "tanh" for the approximation by tanh, "none" for none.

    Raises:
        ValueError: `approximate` is neither.

    Example:
        >>> nn.GELU()(lucid.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh'; got {approximate!r}")
        self.approximate: Literal["none", "tanh"] = approximate

    def forward(self, input: Tensor) -> Tensor:
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """Applies ``log(1 + exp(beta * x)) / beta``, or `x` where ``beta * x > threshold`` (torch.nn.Softplus).

    Args:
        beta: how sharp the bend at 0 is.
        threshold: where the straight part begins.

    Example:
        >>> nn.Softplus()(lucid.tensor([0.0, 30.0]))
        tensor([ 0.6931, 30.    ])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """Clamps elements to a range (torch.nn.Hardtanh).

    Args:
        min_val: the least value.
        max_val: the greatest value.

    Raises:
        ValueError: `min_val` is not less than `max_val`.

    Example:
        >>> nn.Hardtanh()(lucid.tensor([-2.0, 0.5]))
        tensor([-1. ,  0.5])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val must be less than max_val; got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Tensor) -> Tensor:
        return hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Softmax(Module):
    """Applies ``exp(x) / Σ exp(x)`` along an axis (torch.nn.Softmax).

    Args:
        dim: the axis. It is required: PyTorch's choice of one, if none is given, is deprecated.

    Example:
        >>> nn.Softmax(-1)(lucid.tensor([0.0, 0.0]))
        tensor([0.5, 0.5])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """Applies ``x - log(Σ exp(x))`` along an axis (torch.nn.LogSoftmax).

    Args:
        dim: the axis.

    Example:
        >>> nn.LogSoftmax(-1)(lucid.tensor([0.0, 0.0]))
        tensor([-0.6931, -0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return log_softmax(input, self.dim)
