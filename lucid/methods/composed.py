"""The methods of functions that are composed of others in a line or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F, numpy_names

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Composed"]


class Composed:
    """Mixin: they are documented at the functions of the same names."""

    __slots__ = ()

    # --- elementwise

    def addcmul(self, y: Any, z: Any, *, value: Any = 1) -> Tensor:
        return F["addcmul"](self, y, z, value=value)

    def addcdiv(self, y: Any, z: Any, *, value: Any = 1) -> Tensor:
        return F["addcdiv"](self, y, z, value=value)

    def lerp(self, end: Any, weight: Any) -> Tensor:
        return F["lerp"](self, end, weight)

    def clamp_min(self, min: Any) -> Tensor:
        return F["clamp_min"](self, min)

    def clamp_max(self, max: Any) -> Tensor:
        return F["clamp_max"](self, max)

    def exp2(self) -> Tensor:
        return F["exp2"](self)

    def deg2rad(self) -> Tensor:
        return F["deg2rad"](self)

    def rad2deg(self) -> Tensor:
        return F["rad2deg"](self)

    def logit(self, eps: float | None = None) -> Tensor:
        return F["logit"](self, eps)

    def xlogy(self, y: Any) -> Tensor:
        return F["xlogy"](self, y)

    def nan_to_num(self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
        return F["nan_to_num"](self, nan, posinf, neginf)

    # --- names that say the same

    def absolute(self) -> Tensor:
        return F["abs"](self)

    def negative(self) -> Tensor:
        return F["neg"](self)

    def positive(self) -> Tensor:
        """Returns the tensor itself.

        >>> lucid.tensor([-1.0, 2.0]).positive()
        tensor([-1.,  2.])
        """
        return self  # type: ignore[return-value]

    def multiply(self, y: Any) -> Tensor:
        return F["mul"](self, y)

    def subtract(self, y: Any) -> Tensor:
        return F["sub"](self, y)

    def divide(self, y: Any, *, rounding_mode: str | None = None) -> Tensor:
        return F["div"](self, y, rounding_mode=rounding_mode)

    def true_divide(self, y: Any) -> Tensor:
        return F["div"](self, y)

    def greater(self, y: Any) -> Tensor:
        return F["gt"](self, y)

    def greater_equal(self, y: Any) -> Tensor:
        return F["ge"](self, y)

    def less(self, y: Any) -> Tensor:
        return F["lt"](self, y)

    def less_equal(self, y: Any) -> Tensor:
        return F["le"](self, y)

    def not_equal(self, y: Any) -> Tensor:
        return F["ne"](self, y)

    def moveaxis(self, source: Any, destination: Any) -> Tensor:
        return F["movedim"](self, source, destination)

    # --- summaries

    @numpy_names
    def nansum(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        return F["nansum"](self, dim, keepdim)

    @numpy_names
    def nanmean(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        return F["nanmean"](self, dim, keepdim)

    @numpy_names
    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
        return F["aminmax"](self, dim=dim, keepdim=keepdim)

    def addmv(self, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        return F["addmv"](self, mat, vec, beta=beta, alpha=alpha)

    def baddbmm(self, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        return F["baddbmm"](self, batch1, batch2, beta=beta, alpha=alpha)

    def inner(self, y: Any) -> Tensor:
        return F["inner"](self, y)

    def dist(self, y: Any, p: Any = 2) -> Tensor:
        return F["dist"](self, y, p)

    # --- arrangements

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        return F["diag_embed"](self, offset, dim1, dim2)

    def fliplr(self) -> Tensor:
        return F["fliplr"](self)

    def flipud(self) -> Tensor:
        return F["flipud"](self)

    @numpy_names
    def tensor_split(self, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
        return F["tensor_split"](self, indices_or_sections, dim)

    def argwhere(self) -> Tensor:
        return F["argwhere"](self)

    def reshape_as(self, other: Any) -> Tensor:
        """Gives the tensor the shape of another one.

        >>> lucid.arange(4).reshape_as(lucid.ones(2, 2))
        tensor([[0, 1],
                [2, 3]])
        """
        return F["view_as"](self, other)
