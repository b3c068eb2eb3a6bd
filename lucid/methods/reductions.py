"""The methods that reduce axes, and the matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import F, numpy_names

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Reductions"]

Dims = int | tuple[int, ...] | list[int] | None


class Reductions:
    """Mixin: reductions and matrix products. `docstrings` says where their docstrings come from."""

    __slots__ = ()

    # --- reductions

    def sum(
        self, dim: Dims = None, keepdim: bool = False, dtype: Any = None, *, axis: Any = None, keepdims: Any = None
    ) -> Tensor:
        if axis is None and keepdims is None:
            return F["sum"](self, dim, keepdim, dtype)
        return F["sum"](self, dim, keepdim, dtype, axis=axis, keepdims=keepdims)

    def mean(
        self, dim: Dims = None, keepdim: bool = False, dtype: Any = None, *, axis: Any = None, keepdims: Any = None
    ) -> Tensor:
        if axis is None and keepdims is None:
            return F["mean"](self, dim, keepdim, dtype)
        return F["mean"](self, dim, keepdim, dtype, axis=axis, keepdims=keepdims)

    def prod(
        self, dim: Dims = None, keepdim: bool = False, dtype: Any = None, *, axis: Any = None, keepdims: Any = None
    ) -> Tensor:
        if axis is None and keepdims is None:
            return F["prod"](self, dim, keepdim, dtype)
        return F["prod"](self, dim, keepdim, dtype, axis=axis, keepdims=keepdims)

    def amax(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: Any = None) -> Tensor:
        if axis is None and keepdims is None:
            return F["amax"](self, dim, keepdim)
        return F["amax"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    def amin(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: Any = None) -> Tensor:
        if axis is None and keepdims is None:
            return F["amin"](self, dim, keepdim)
        return F["amin"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    @numpy_names
    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        return F["max"](self, dim, keepdim)

    @numpy_names
    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        return F["min"](self, dim, keepdim)

    def argmax(
        self, dim: int | None = None, keepdim: bool = False, *, axis: Any = None, keepdims: Any = None
    ) -> Tensor:
        if axis is None and keepdims is None:
            return F["argmax"](self, dim, keepdim)
        return F["argmax"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    def argmin(
        self, dim: int | None = None, keepdim: bool = False, *, axis: Any = None, keepdims: Any = None
    ) -> Tensor:
        if axis is None and keepdims is None:
            return F["argmin"](self, dim, keepdim)
        return F["argmin"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    def any(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: Any = None) -> Tensor:
        if axis is None and keepdims is None:
            return F["any"](self, dim, keepdim)
        return F["any"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    def all(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: Any = None) -> Tensor:
        if axis is None and keepdims is None:
            return F["all"](self, dim, keepdim)
        return F["all"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    @numpy_names
    def var(
        self, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
    ) -> Tensor:
        return F["var"](self, dim, unbiased, keepdim, correction=correction)

    @numpy_names
    def std(
        self, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: float | None = 1
    ) -> Tensor:
        return F["std"](self, dim, unbiased, keepdim, correction=correction)

    @numpy_names
    def norm(self, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
        return F["norm"](self, p, dim, keepdim)

    def logsumexp(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: Any = None) -> Tensor:
        if axis is None and keepdims is None:
            return F["logsumexp"](self, dim, keepdim)
        return F["logsumexp"](self, dim, keepdim, axis=axis, keepdims=keepdims)

    @numpy_names
    def cumsum(self, dim: int, dtype: Any = None) -> Tensor:
        return F["cumsum"](self, dim, dtype)

    @numpy_names
    def cumprod(self, dim: int, dtype: Any = None) -> Tensor:
        return F["cumprod"](self, dim, dtype)

    @numpy_names
    def cummax(self, dim: int) -> Any:
        return F["cummax"](self, dim)

    @numpy_names
    def softmax(self, dim: int, dtype: Any = None) -> Tensor:
        return F["softmax"](self, dim, dtype)

    @numpy_names
    def log_softmax(self, dim: int, dtype: Any = None) -> Tensor:
        return F["log_softmax"](self, dim, dtype)

    @numpy_names
    def median(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return F["median"](self, dim, keepdim)

    @numpy_names
    def quantile(self, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear") -> Tensor:
        return F["quantile"](self, q, dim, keepdim, interpolation)

    @numpy_names
    def count_nonzero(self, dim: Any = None) -> Tensor:
        return F["count_nonzero"](self, dim)

    def bincount(self, weights: Any = None, minlength: int = 0) -> Tensor:
        return F["bincount"](self, weights, minlength)

    @numpy_names
    def diff(self, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
        return F["diff"](self, n, dim, prepend, append)

    def unique(
        self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        return F["unique"](self, sorted, return_inverse, return_counts, dim)

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        return F["unique_consecutive"](self, return_inverse, return_counts, dim)

    @numpy_names
    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
        return F["sort"](self, dim, descending, stable)

    @numpy_names
    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        return F["argsort"](self, dim, descending, stable)

    @numpy_names
    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        return F["topk"](self, k, dim, largest, sorted)

    def multinomial(self, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
        return F["multinomial"](self, num_samples, replacement, generator=generator)

    # --- matrix products

    def matmul(self, y: Any) -> Tensor:
        return F["matmul"](self, y)

    def addmm(self, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        return F["addmm"](self, mat1, mat2, beta=beta, alpha=alpha)

    def mm(self, y: Any) -> Tensor:
        return F["mm"](self, y)

    def bmm(self, y: Any) -> Tensor:
        return F["bmm"](self, y)

    def mv(self, y: Any) -> Tensor:
        return F["mv"](self, y)

    def dot(self, y: Any) -> Tensor:
        return F["dot"](self, y)

    def trace(self) -> Tensor:
        return F["trace"](self)

    def outer(self, y: Any) -> Tensor:
        return F["outer"](self, y)
