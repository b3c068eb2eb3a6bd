"""The operators of Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Operators"]


class Operators:
    """Mixin: Python's operators."""

    __slots__ = ()

    # --- arithmetic

    def __add__(self, other: Any) -> Tensor:
        return F["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return F["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return F["sub"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return F["sub"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return F["mul"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return F["mul"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return F["div"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return F["div"](other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return F["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return F["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Tensor:
        return F["remainder"](self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return F["remainder"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return F["pow"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return F["pow"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return F["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return F["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return F["neg"](self)

    def __pos__(self) -> Tensor:
        return self  # type: ignore[return-value]

    def __abs__(self) -> Tensor:
        return F["abs"](self)

    # --- comparison

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        # As for any object, None equals nothing; ``x == None`` is found in ported code.
        return NotImplemented if other is None else F["eq"](self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return NotImplemented if other is None else F["ne"](self, other)

    def __lt__(self, other: Any) -> Tensor:
        return F["lt"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return F["le"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return F["gt"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return F["ge"](self, other)

    __hash__ = object.__hash__

    # --- logic of bools, bits of integers

    def __and__(self, other: Any) -> Tensor:
        return F["bitwise_and"](self, other)

    def __rand__(self, other: Any) -> Tensor:
        return F["bitwise_and"](other, self)

    def __or__(self, other: Any) -> Tensor:
        return F["bitwise_or"](self, other)

    def __ror__(self, other: Any) -> Tensor:
        return F["bitwise_or"](other, self)

    def __xor__(self, other: Any) -> Tensor:
        return F["bitwise_xor"](self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return F["bitwise_xor"](other, self)

    def __invert__(self) -> Tensor:
        return F["bitwise_not"](self)

    # --- index

    def __getitem__(self, index: Any) -> Tensor:
        return F["getitem"](self, index)
