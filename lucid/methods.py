"""The operators and methods of Tensor. Each finds its op or function by name and says nothing else about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .tracer.op import FUNCTIONS

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Methods"]

F = cast("dict[str, Callable[..., Tensor]]", FUNCTIONS)

Dims = int | tuple[int, ...] | None


class Methods:
    """Mixin: what can be done with a Tensor. Documented at the functions of the same names."""

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

    # --- comparison and logic

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return F["eq"](self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return F["ne"](self, other)

    def __lt__(self, other: Any) -> Tensor:
        return F["lt"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return F["le"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return F["gt"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return F["ge"](self, other)

    def __and__(self, other: Any) -> Tensor:
        return F["logical_and"](self, other)

    def __or__(self, other: Any) -> Tensor:
        return F["logical_or"](self, other)

    def __invert__(self) -> Tensor:
        return F["logical_not"](self)

    __hash__ = object.__hash__

    # --- elementwise

    def abs(self) -> Tensor:
        return F["abs"](self)

    def neg(self) -> Tensor:
        return F["neg"](self)

    def exp(self) -> Tensor:
        return F["exp"](self)

    def log(self) -> Tensor:
        return F["log"](self)

    def sqrt(self) -> Tensor:
        return F["sqrt"](self)

    def tanh(self) -> Tensor:
        return F["tanh"](self)

    def sigmoid(self) -> Tensor:
        return F["sigmoid"](self)

    def relu(self) -> Tensor:
        return F["relu"](self)

    def pow(self, exponent: Any) -> Tensor:
        return F["pow"](self, exponent)

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        return F["where"](mask, value, self)

    def astype(self, dtype: Any) -> Tensor:
        return F["astype"](self, dtype)

    def to(self, dtype: Any) -> Tensor:
        return F["astype"](self, dtype)

    def float(self) -> Tensor:
        return F["astype"](self, np.dtype("float32"))

    def double(self) -> Tensor:
        return F["astype"](self, np.dtype("float64"))

    def long(self) -> Tensor:
        return F["astype"](self, np.dtype("int64"))

    def int(self) -> Tensor:
        return F["astype"](self, np.dtype("int32"))

    def bool(self) -> Tensor:
        return F["astype"](self, np.dtype("bool"))

    def clone(self) -> Tensor:
        return F["clone"](self)

    # --- reductions

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["sum"](self, dim, keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["mean"](self, dim, keepdim)

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["amax"](self, dim, keepdim)

    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["amin"](self, dim, keepdim)

    def argmax(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        return F["argmax"](self, dim, keepdim)

    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["any"](self, dim, keepdim)

    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return F["all"](self, dim, keepdim)

    def softmax(self, dim: Any) -> Tensor:
        return F["softmax"](self, dim)

    def log_softmax(self, dim: Any) -> Tensor:
        return F["log_softmax"](self, dim)

    # --- shape and index

    def reshape(self, *shape: Any) -> Tensor:
        return F["reshape"](self, *shape)

    def view(self, *shape: Any) -> Tensor:
        return F["reshape"](self, *shape)

    def flatten(self, start_dim: Any = 0, end_dim: Any = -1) -> Tensor:
        return F["flatten"](self, start_dim, end_dim)

    def transpose(self, dim0: Any, dim1: Any) -> Tensor:
        return F["transpose"](self, dim0, dim1)

    def permute(self, *dims: Any) -> Tensor:
        return F["permute"](self, dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)

    def squeeze(self, dim: Dims = None) -> Tensor:
        return F["squeeze"](self, dim)

    def unsqueeze(self, dim: Any) -> Tensor:
        return F["unsqueeze"](self, dim)

    def expand(self, *shape: Any) -> Tensor:
        return F["expand"](self, *shape)

    def flip(self, dims: Dims) -> Tensor:
        return F["flip"](self, dims)

    def split(self, split_size_or_sections: Any, dim: Any = 0) -> tuple[Tensor, ...]:
        return F["split"](self, split_size_or_sections, dim)

    def chunk(self, chunks: Any, dim: Any = 0) -> tuple[Tensor, ...]:
        return F["chunk"](self, chunks, dim)

    def unbind(self, dim: Any = 0) -> tuple[Tensor, ...]:
        return F["unbind"](self, dim)

    def gather(self, dim: Any, index: Any) -> Tensor:
        return F["gather"](self, dim, index)

    def __getitem__(self, index: Any) -> Tensor:
        return F["getitem"](self, index)

    # --- linear algebra

    def matmul(self, other: Any) -> Tensor:
        return F["matmul"](self, other)
