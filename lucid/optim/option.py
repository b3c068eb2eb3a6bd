"""Option: a numeric option of an optimizer as a tensor, for updates that are part of a graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..tracer.op import OPS

__all__ = ["Option"]


class Option(Tensor):
    """A numeric option as a float32 tensor without axes, whose value may change from step to step.

    In float32 a decay rate such as 0.999 is off by 1.3e-8, and 1 − 0.999 by 1.3e-5 of itself. So while the option has
    its start value, ``1 - option`` and the logarithm are the constants that float64 gives.

    Args:
        value: the tensor.
        start: the number that it has at the start.

    Example:
        >>> from lucid.optim.option import Option
        >>> beta = Option(lucid.tensor(0.999), 0.999)
        >>> round((1 - beta).item(), 9), round((1 - lucid.tensor(0.999)).item(), 9)
        (0.001, 0.000999987)
    """

    __slots__ = ("start",)

    def __init__(self, value: Tensor, start: float) -> None:
        self._data, self._value, self._requires_grad = value._data, value._value, value._requires_grad
        self.grad, self._axes, self._base = None, None, None
        self.start = float(start)

    def __bool__(self) -> bool:
        """Returns True: an update may omit the term of an option that is zero, and such an option is no tensor."""
        return True

    def __rsub__(self, other: Any) -> Any:
        difference = OPS["sub"](np.float32(other), self)
        return self._unless_changed(other - self.start, difference)

    def log(self) -> Any:
        """Returns the natural logarithm."""
        return self._unless_changed(math.log(self.start) if self.start > 0 else -math.inf, OPS["log"](self))

    def _unless_changed(self, exact: float, computed: Tensor) -> Tensor:
        result: Tensor = OPS["where"](OPS["eq"](self, np.float32(self.start)), np.float32(exact), computed)
        return result
