"""The methods that reduce axes, and the matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Reductions"]

Dims = int | tuple[int, ...] | list[int] | None


class Reductions:
    """Mixin: reductions and matrix products. They are documented at the functions of the same names."""

    __slots__ = ()

    # --- reductions

    def sum(self, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        return F["sum"](self, dim, keepdim, dtype)

    def mean(self, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        return F["mean"](self, dim, keepdim, dtype)

    def prod(self, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        return F["prod"](self, dim, keepdim, dtype)

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["amax"](self, dim, keepdim)

    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["amin"](self, dim, keepdim)

    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        return F["max"](self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        return F["min"](self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return F["argmax"](self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return F["argmin"](self, dim, keepdim)

    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["any"](self, dim, keepdim)

    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["all"](self, dim, keepdim)

    def var(
        self, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
    ) -> Tensor:
        return F["var"](self, dim, unbiased, keepdim, correction=correction)

    def std(
        self, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
    ) -> Tensor:
        return F["std"](self, dim, unbiased, keepdim, correction=correction)

    def norm(self, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
        return F["norm"](self, p, dim, keepdim)

    def logsumexp(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["logsumexp"](self, dim, keepdim)

    def cumsum(self, dim: int, dtype: Any = None) -> Tensor:
        return F["cumsum"](self, dim, dtype)

    def softmax(self, dim: int, dtype: Any = None) -> Tensor:
        return F["softmax"](self, dim, dtype)

    def log_softmax(self, dim: int, dtype: Any = None) -> Tensor:
        return F["log_softmax"](self, dim, dtype)

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
        return F["sort"](self, dim, descending, stable)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        return F["argsort"](self, dim, descending, stable)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        return F["topk"](self, k, dim, largest, sorted)

    def multinomial(self, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
        return F["multinomial"](self, num_samples, replacement, generator=generator)

    # --- matrix products

    def matmul(self, y: Any) -> Tensor:
        return F["matmul"](self, y)

    def mm(self, y: Any) -> Tensor:
        return F["mm"](self, y)

    def bmm(self, y: Any) -> Tensor:
        return F["bmm"](self, y)

    def mv(self, y: Any) -> Tensor:
        return F["mv"](self, y)

    def dot(self, y: Any) -> Tensor:
        return F["dot"](self, y)

    def outer(self, y: Any) -> Tensor:
        return F["outer"](self, y)
