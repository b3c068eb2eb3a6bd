"""The methods that change the dtype, copy, or exist for the sake of ported code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Conversions"]


class Conversions:
    """Mixin: other dtypes, copies. What has a function of the same name is documented there."""

    __slots__ = ()

    def astype(self, dtype: Any) -> Tensor:
        return F["astype"](self, dtype)

    def to(self, dtype: Any) -> Tensor:
        return F["to"](self, dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor in the dtype of another."""
        return F["to"](self, other.dtype)

    def half(self) -> Tensor:
        """The tensor in float16."""
        return F["to"](self, np.dtype("float16"))

    def float(self) -> Tensor:
        """The tensor in float32."""
        return F["to"](self, np.dtype("float32"))

    def double(self) -> Tensor:
        """The tensor in float64."""
        return F["to"](self, np.dtype("float64"))

    def long(self) -> Tensor:
        """The tensor in int64."""
        return F["to"](self, np.dtype("int64"))

    def int(self) -> Tensor:
        """The tensor in int32."""
        return F["to"](self, np.dtype("int32"))

    def bool(self) -> Tensor:
        """The tensor in bool."""
        return F["to"](self, np.dtype("bool"))

    def clone(self) -> Tensor:
        return F["clone"](self)

    def contiguous(self) -> Tensor:
        """The tensor itself: where its elements lie in memory makes no difference to any op."""
        return self  # type: ignore[return-value]
