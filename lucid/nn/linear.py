"""Linear: an affine map of the last axis."""

from __future__ import annotations

from typing import Any

from ..devices import require_cpu
from ..errors import ShapeError
from ..ops.creation import zeros
from ..ops.linalg import linear
from ..tensor import Parameter, Tensor
from ..tracer.described import described
from . import init
from .module import Module

__all__ = ["Linear"]


class Linear(Module):
    """Applies ``y = x W' + b`` to the last axis (torch.nn.Linear).

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        bias: whether to add `b`.
        device: "cpu".
        dtype: the dtype of the parameters.

    Shape:
        input: (*, in_features); output: (*, out_features).
        weight: (out_features, in_features); bias: (out_features,); both drawn from U(-1/√in_features, 1/√in_features).

    Raises:
        ShapeError: the last axis of the input is not in_features.

    Example:
        >>> nn.Linear(3, 4)(lucid.ones(2, 3)).shape
        (2, 4)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        require_cpu(device)
        for name, n in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(n, int) or isinstance(n, bool):
                raise TypeError(f"Linear: {name} must be an int; got {type(n).__name__}")
            if n <= 0:
                raise ValueError(f"Linear: {name} must be positive; got {n}")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(zeros(out_features, in_features, dtype=dtype))
        self.register_parameter("bias", Parameter(zeros(out_features, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reinitializes the parameters."""
        bound = self.in_features**-0.5
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"Linear: input must be a Tensor; got {described(input)}")
        try:
            return linear(input, self.weight, self.bias)
        except ShapeError as error:  # asked beforehand, the size would cost as much as the rest of this function
            if input.ndim and input.shape[-1] == self.in_features:
                raise
            raise ShapeError(
                f"Linear: input has {input.shape[-1] if input.ndim else 'no'} features in its last axis, but "
                f"in_features is {self.in_features}; got shape {input.shape}, expected (*, {self.in_features})"
            ) from error

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
