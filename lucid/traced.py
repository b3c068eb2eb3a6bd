"""Traced: the class of tensors in symbolic traces."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .errors import TraceError
from .shape import Size
from .tensor import Tensor
from .tracer.dim import Dim
from .tracer.location import user_location
from .tracer.mode import MODE
from .tracer.node import Value
from .tracer.size import total
from .tracer.symbolic import Sizes

__all__ = ["Traced"]


class Traced(Tensor):
    """A tensor in a symbolic trace: its shape has a `Dim` for each size that follows from those of the inputs."""

    __slots__ = ("_held", "_shape", "_sizes")

    _held: np.ndarray[Any, Any]
    _shape: tuple[Any, ...]
    _sizes: Sizes

    @staticmethod
    def _of(data: np.ndarray[Any, Any], value: Value | None, shape: tuple[Any, ...], sizes: Sizes) -> Traced:
        result = object.__new__(Traced)
        result._held, result.grad, result._axes, result._base = data, None, None, None
        result._value = value
        result._requires_grad = value is not None and value.requires_grad
        result._shape, result._sizes = shape, sizes
        return result

    @property
    def _data(self) -> np.ndarray[Any, Any]:
        if MODE.get().trace is None and not self._sizes.done:
            raise TraceError(
                f"{user_location()}: a tensor of a trace is used in another thread, unseen by the trace; use it in the "
                "thread of the function"
            )
        return self._held

    @_data.setter
    def _data(self, data: np.ndarray[Any, Any]) -> None:
        self._held = data

    @property
    def shape(self) -> Size:
        return Size(self._extent)

    @property
    def _extent(self) -> tuple[int, ...]:
        return self._held.shape if self._sizes.done else self._shape

    def numel(self) -> int:
        count: int = total(self.shape)
        return count

    def stride(self, dim: int | None = None) -> int | tuple[int, ...]:
        raise TraceError(
            f"{user_location()}: stride() depends on how NumPy stores a tensor, which no exported model knows; compute "
            "with x.shape instead"
        )

    def __len__(self) -> int:
        if self.ndim and type(n := cast("Any", self.shape[0])) is Dim:
            return int(n._plain("takes len() of it, a plain int; x.shape[0] would stay free"))
        return super().__len__()

    def _alias(self) -> Tensor:
        alias: Tensor = self._sizes.leaf(self, self._shape)
        return alias

    def _sample(self, first: bool = False) -> Tensor:
        sample: Tensor = self._sizes.leaf(super()._sample(first), self._shape[1:] if first else self._shape)
        return sample

    def _read(self, how: str) -> np.ndarray[Any, Any]:
        if not self._sizes.done and any(type(n) is Dim for n in self._shape):
            self._sizes.leaked = True
        return super()._read(how)


Tensor._traced = Traced
