"""Identity: returns its input."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .module import Module

__all__ = ["Identity"]


class Identity(Module):
    """Returns the input itself (torch.nn.Identity).

    Args:
        args, kwargs: ignored, so that it can replace any layer.

    Example:
        >>> nn.Identity(54, unused=True)(lucid.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input
