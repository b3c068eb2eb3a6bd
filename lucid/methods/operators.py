"""The operators of Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Operators"]

_REFLECTED = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "floor_divide": "__rfloordiv__",
    "remainder": "__rmod__",
    "power": "__rpow__",
    "matmul": "__rmatmul__",
    "bitwise_and": "__rand__",
    "bitwise_or": "__ror__",
    "bitwise_xor": "__rxor__",
    "equal": "__eq__",
    "not_equal": "__ne__",
    "less": "__gt__",
    "less_equal": "__ge__",
    "greater": "__lt__",
    "greater_equal": "__le__",
}
"""By NumPy's function for an operator, the method that computes ``array + tensor`` and the like."""

_NAMES = {"absolute": "abs", "arctan2": "atan2", "power": "pow", "subtract": "sub", "multiply": "mul", "divide": "div"}
"""lucid's names of functions that NumPy names otherwise."""


class Operators:
    """Mixin: Python's operators."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Tensor:
        """Computes ``array + tensor`` and the like; refuses NumPy's functions, which would lose the graph."""
        name = ufunc.__name__
        if method == "__call__" and name in _REFLECTED and inputs[-1] is self is not inputs[0]:
            if not options:
                reflected: Tensor = getattr(self, _REFLECTED[name])(inputs[0])
                return reflected
            raise TypeError(
                f"np.{name} cannot write a Tensor into an array; write array = array + tensor, not array += tensor"
            )
        own = _NAMES.get(name, name)
        advice = f"lucid.{own}, or np.{name} of x.detach().numpy()" if own in F else f"np.{name} of x.detach().numpy()"
        raise TypeError(f"np.{name} would lose the graph of a Tensor; write {advice}")

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
        # A list is repeated by a tensor of one integer: ``[0] * n``.
        return NotImplemented if isinstance(other, (list, str)) else F["mul"](other, self)

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
