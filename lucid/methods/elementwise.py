"""The elementwise methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Elementwise"]


class Elementwise:
    """Mixin: elementwise methods. `docstrings` says where their docstrings come from."""

    __slots__ = ()

    # --- arithmetic

    def add(self, y: Any, *, alpha: Any = None) -> Tensor:
        return F["add"](self, y) if alpha is None else F["add"](self, y, alpha=alpha)

    def sub(self, y: Any, *, alpha: Any = None) -> Tensor:
        return F["sub"](self, y) if alpha is None else F["sub"](self, y, alpha=alpha)

    def mul(self, y: Any) -> Tensor:
        return F["mul"](self, y)

    def div(self, y: Any, *, rounding_mode: str | None = None) -> Tensor:
        return F["div"](self, y, rounding_mode=rounding_mode)

    def floor_divide(self, y: Any) -> Tensor:
        return F["floor_divide"](self, y)

    def remainder(self, y: Any) -> Tensor:
        return F["remainder"](self, y)

    def fmod(self, y: Any) -> Tensor:
        return F["fmod"](self, y)

    def pow(self, y: Any) -> Tensor:
        return F["pow"](self, y)

    def neg(self) -> Tensor:
        return F["neg"](self)

    def abs(self) -> Tensor:
        return F["abs"](self)

    def sign(self) -> Tensor:
        return F["sign"](self)

    def maximum(self, y: Any) -> Tensor:
        return F["maximum"](self, y)

    def minimum(self, y: Any) -> Tensor:
        return F["minimum"](self, y)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        return F["clamp"](self, min, max)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return F["clip"](self, min, max)

    # --- functions

    def exp(self) -> Tensor:
        return F["exp"](self)

    def expm1(self) -> Tensor:
        return F["expm1"](self)

    def log(self) -> Tensor:
        return F["log"](self)

    def log1p(self) -> Tensor:
        return F["log1p"](self)

    def log2(self) -> Tensor:
        return F["log2"](self)

    def log10(self) -> Tensor:
        return F["log10"](self)

    def logaddexp(self, y: Any) -> Tensor:
        return F["logaddexp"](self, y)

    def sqrt(self) -> Tensor:
        return F["sqrt"](self)

    def rsqrt(self) -> Tensor:
        return F["rsqrt"](self)

    def reciprocal(self) -> Tensor:
        return F["reciprocal"](self)

    def square(self) -> Tensor:
        return F["square"](self)

    def sin(self) -> Tensor:
        return F["sin"](self)

    def cos(self) -> Tensor:
        return F["cos"](self)

    def tan(self) -> Tensor:
        return F["tan"](self)

    def asin(self) -> Tensor:
        return F["asin"](self)

    def acos(self) -> Tensor:
        return F["acos"](self)

    def atan(self) -> Tensor:
        return F["atan"](self)

    def atan2(self, y: Any) -> Tensor:
        return F["atan2"](self, y)

    def hypot(self, y: Any) -> Tensor:
        return F["hypot"](self, y)

    def sinh(self) -> Tensor:
        return F["sinh"](self)

    def cosh(self) -> Tensor:
        return F["cosh"](self)

    def tanh(self) -> Tensor:
        return F["tanh"](self)

    def sigmoid(self) -> Tensor:
        return F["sigmoid"](self)

    def relu(self) -> Tensor:
        return F["relu"](self)

    def erf(self) -> Tensor:
        return F["erf"](self)

    # --- rounding

    def round(self, *, decimals: int = 0) -> Tensor:
        return F["round"](self, decimals=decimals)

    def floor(self) -> Tensor:
        return F["floor"](self)

    def ceil(self) -> Tensor:
        return F["ceil"](self)

    def trunc(self) -> Tensor:
        return F["trunc"](self)

    def frac(self) -> Tensor:
        return F["frac"](self)

    # --- comparison and logic

    def eq(self, y: Any) -> Tensor:
        return F["eq"](self, y)

    def ne(self, y: Any) -> Tensor:
        return F["ne"](self, y)

    def lt(self, y: Any) -> Tensor:
        return F["lt"](self, y)

    def le(self, y: Any) -> Tensor:
        return F["le"](self, y)

    def gt(self, y: Any) -> Tensor:
        return F["gt"](self, y)

    def ge(self, y: Any) -> Tensor:
        return F["ge"](self, y)

    def logical_and(self, y: Any) -> Tensor:
        return F["logical_and"](self, y)

    def logical_or(self, y: Any) -> Tensor:
        return F["logical_or"](self, y)

    def logical_xor(self, y: Any) -> Tensor:
        return F["logical_xor"](self, y)

    def logical_not(self) -> Tensor:
        return F["logical_not"](self)

    def bitwise_and(self, y: Any) -> Tensor:
        return F["bitwise_and"](self, y)

    def bitwise_or(self, y: Any) -> Tensor:
        return F["bitwise_or"](self, y)

    def bitwise_xor(self, y: Any) -> Tensor:
        return F["bitwise_xor"](self, y)

    def bitwise_not(self) -> Tensor:
        return F["bitwise_not"](self)

    def isnan(self) -> Tensor:
        return F["isnan"](self)

    def isinf(self) -> Tensor:
        return F["isinf"](self)

    def isfinite(self) -> Tensor:
        return F["isfinite"](self)

    def equal(self, y: Any) -> bool:
        return bool(F["equal"](self, y))

    def allclose(self, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
        return bool(F["allclose"](self, y, rtol, atol, equal_nan))

    def isclose(self, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
        return F["isclose"](self, y, rtol, atol, equal_nan)

    # --- selection

    def bernoulli(self, *, generator: Any = None) -> Tensor:
        return F["bernoulli"](self, generator=generator)

    def where(self, condition: Any, y: Any) -> Tensor:
        """Returns this tensor where the condition is true, else `y`; the shapes broadcast.

        >>> lucid.tensor([1.0, 2.0]).where(lucid.tensor([True, False]), 0.0)
        tensor([1., 0.])
        """
        return F["where"](condition, self, y)

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        return F["masked_fill"](self, mask, value)

    def tril(self, diagonal: int = 0) -> Tensor:
        return F["tril"](self, diagonal)

    def triu(self, diagonal: int = 0) -> Tensor:
        return F["triu"](self, diagonal)
