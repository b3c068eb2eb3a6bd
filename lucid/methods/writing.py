"""The methods that overwrite a tensor: assignment, ``+=`` and the like, and methods with an underscore at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import AxisError, ShapeError
from ..tracer.index import parsed
from ..tracer.mode import MODE
from ..tracer.overwriting import assign, detached, given, reshaped, update
from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Writing"]


class Writing:
    """Mixin: writes into tensors.

    A method does what the function of its name without the underscore does, and stores the result in the tensor, which
    keeps its shape and dtype, and which it returns. `docstrings` has the docstrings of those that have none here. See
    `lucid.tracer.overwriting` for what a graph records.
    """

    __slots__ = ()

    _converted: ClassVar[Callable[[Any], Any]]
    """Makes a tensor of what is not one."""

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        items, tensors = parsed(index, self._converted)
        value = _source(self, value)
        if tensors and MODE.get().trace is not None and _is_mask(items, tensors[0], value):
            mask = tensors[0]
            wide = F["reshape_to"](mask, shape=(*mask.shape, *[1] * (len(self.shape) - len(mask.shape))))
            update(self, "masked_fill", wide, value)
            return
        assign(self, items, tensors, value)

    # --- operators

    def __iadd__(self, other: Any) -> Tensor:
        return update(self, "add", other)

    def __isub__(self, other: Any) -> Tensor:
        return update(self, "sub", other)

    def __imul__(self, other: Any) -> Tensor:
        return update(self, "mul", other)

    def __itruediv__(self, other: Any) -> Tensor:
        return update(self, "div", other)

    def __ifloordiv__(self, other: Any) -> Tensor:
        return update(self, "floor_divide", other)

    def __imod__(self, other: Any) -> Tensor:
        return update(self, "remainder", other)

    def __ipow__(self, other: Any) -> Tensor:
        return update(self, "pow", other)

    def __iand__(self, other: Any) -> Tensor:
        return update(self, "bitwise_and", other)

    def __ior__(self, other: Any) -> Tensor:
        return update(self, "bitwise_or", other)

    def __ixor__(self, other: Any) -> Tensor:
        return update(self, "bitwise_xor", other)

    # --- arithmetic

    def add_(self, y: Any, *, alpha: Any = 1) -> Tensor:
        """Adds ``alpha * y``, which broadcasts to the tensor's shape, and returns the tensor.

        >>> lucid.tensor([1.0, 2.0]).add_(lucid.tensor([1.0, 1.0]), alpha=10)
        tensor([11., 12.])
        """
        return update(self, "add", y if _is_one(alpha) else y * alpha)

    def sub_(self, y: Any, *, alpha: Any = 1) -> Tensor:
        """Subtracts ``alpha * y``, which broadcasts to the tensor's shape, and returns the tensor.

        >>> lucid.tensor([1.0, 2.0]).sub_(1)
        tensor([0., 1.])
        """
        return update(self, "sub", y if _is_one(alpha) else y * alpha)

    def mul_(self, y: Any) -> Tensor:
        return update(self, "mul", y)

    def div_(self, y: Any, *, rounding_mode: str | None = None) -> Tensor:
        return update(self, "div", y, rounding_mode=rounding_mode)

    def floor_divide_(self, y: Any) -> Tensor:
        return update(self, "floor_divide", y)

    def remainder_(self, y: Any) -> Tensor:
        return update(self, "remainder", y)

    def pow_(self, y: Any) -> Tensor:
        return update(self, "pow", y)

    def addcmul_(self, y: Any, z: Any, *, value: Any = 1) -> Tensor:
        """Adds ``value * y * z``.

        >>> lucid.zeros(2).addcmul_(lucid.tensor([1.0, 2.0]), lucid.tensor([3.0, 4.0]), value=0.5)
        tensor([1.5, 4. ])
        """
        product = y * z
        return update(self, "add", product if _is_one(value) else product * value)

    def addcdiv_(self, y: Any, z: Any, *, value: Any = 1) -> Tensor:
        """Adds ``value * y / z``.

        >>> lucid.zeros(2).addcdiv_(lucid.tensor([1.0, 2.0]), lucid.tensor([4.0, 4.0]), value=2)
        tensor([0.5, 1. ])
        """
        quotient = y / z
        return update(self, "add", quotient if _is_one(value) else quotient * value)

    def lerp_(self, end: Any, weight: Any) -> Tensor:
        """Moves towards `end`, by the share `weight` of the way.

        >>> lucid.tensor([0.0, 4.0]).lerp_(lucid.tensor([10.0, 10.0]), 0.5)
        tensor([5., 7.])
        """
        return update(self, "add", (end - self) * weight)

    def neg_(self) -> Tensor:
        return update(self, "neg")

    def abs_(self) -> Tensor:
        return update(self, "abs")

    def sign_(self) -> Tensor:
        return update(self, "sign")

    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        return update(self, "clamp", min, max)

    def clamp_min_(self, min: Any) -> Tensor:
        return update(self, "clamp_min", min)

    def clamp_max_(self, max: Any) -> Tensor:
        return update(self, "clamp_max", max)

    # --- functions

    def exp_(self) -> Tensor:
        return update(self, "exp")

    def expm1_(self) -> Tensor:
        return update(self, "expm1")

    def log_(self) -> Tensor:
        return update(self, "log")

    def log1p_(self) -> Tensor:
        return update(self, "log1p")

    def log2_(self) -> Tensor:
        return update(self, "log2")

    def sqrt_(self) -> Tensor:
        return update(self, "sqrt")

    def rsqrt_(self) -> Tensor:
        return update(self, "rsqrt")

    def reciprocal_(self) -> Tensor:
        return update(self, "reciprocal")

    def square_(self) -> Tensor:
        return update(self, "square")

    def sin_(self) -> Tensor:
        return update(self, "sin")

    def cos_(self) -> Tensor:
        return update(self, "cos")

    def tanh_(self) -> Tensor:
        return update(self, "tanh")

    def sigmoid_(self) -> Tensor:
        return update(self, "sigmoid")

    def relu_(self) -> Tensor:
        return update(self, "relu")

    def erf_(self) -> Tensor:
        return update(self, "erf")

    def round_(self, *, decimals: int = 0) -> Tensor:
        return update(self, "round", decimals=decimals)

    def floor_(self) -> Tensor:
        return update(self, "floor")

    def ceil_(self) -> Tensor:
        return update(self, "ceil")

    def trunc_(self) -> Tensor:
        return update(self, "trunc")

    def cumsum_(self, dim: int) -> Tensor:
        return update(self, "cumsum", dim)

    def tril_(self, diagonal: int = 0) -> Tensor:
        return update(self, "tril", diagonal)

    def triu_(self, diagonal: int = 0) -> Tensor:
        return update(self, "triu", diagonal)

    # --- logic

    def logical_and_(self, y: Any) -> Tensor:
        return update(self, "logical_and", y)

    def logical_or_(self, y: Any) -> Tensor:
        return update(self, "logical_or", y)

    def logical_xor_(self, y: Any) -> Tensor:
        return update(self, "logical_xor", y)

    def logical_not_(self) -> Tensor:
        return update(self, "logical_not")

    def bitwise_and_(self, y: Any) -> Tensor:
        return update(self, "bitwise_and", y)

    def bitwise_or_(self, y: Any) -> Tensor:
        return update(self, "bitwise_or", y)

    def bitwise_xor_(self, y: Any) -> Tensor:
        return update(self, "bitwise_xor", y)

    def bitwise_not_(self) -> Tensor:
        return update(self, "bitwise_not")

    # --- other elements

    def fill_(self, value: Any) -> Tensor:
        """Stores one number, or the element of a tensor without axes, in all elements.

        >>> lucid.zeros(2).fill_(3)
        tensor([3., 3.])
        """
        source = _source(self, value)
        if getattr(source, "shape", ()) != ():
            raise ShapeError(f"fill_: expected a number or a tensor without axes; got shape {source.shape}")
        return assign(self, (...,), (), source)

    def zero_(self) -> Tensor:
        """Stores zeros in all elements.

        >>> lucid.ones(2).zero_()
        tensor([0., 0.])
        """
        return assign(self, (...,), (), 0)

    def copy_(self: Any, src: Any, non_blocking: bool = False) -> Tensor:
        """Stores the elements of another tensor, which may broadcast and have another dtype.

        >>> lucid.zeros(2, 2).copy_(lucid.tensor([1, 2]))
        tensor([[1., 2.],
                [1., 2.]])
        """
        source = _source(self, src)
        if len(getattr(source, "shape", ())) > len(self.shape):
            raise ShapeError(f"copy_: shape {source.shape} does not broadcast to {self.shape}")
        return assign(self, (...,), (), source)

    def masked_fill_(self, mask: Any, value: Any) -> Tensor:
        return update(self, "masked_fill", mask, value)

    def index_fill_(self: Any, dim: int, index: Any, value: Any) -> Tensor:
        """Stores a number in the slices along an axis that an index tensor names.

        >>> lucid.zeros(2, 3).index_fill_(1, lucid.tensor([0, 2]), 5)
        tensor([[5., 0., 5.],
                [5., 0., 5.]])
        """
        assign(*_along(self, dim, index), _source(self, value))
        same: Tensor = self
        return same

    def index_copy_(self: Any, dim: int, index: Any, source: Tensor) -> Tensor:
        """Stores the slices of `source` along an axis at the places that an index tensor names.

        >>> lucid.zeros(3, 2).index_copy_(0, lucid.tensor([2, 0]), lucid.tensor([[1.0, 1.0], [2.0, 2.0]]))
        tensor([[2., 2.],
                [0., 0.],
                [1., 1.]])
        """
        assign(*_along(self, dim, index), source)
        same: Tensor = self
        return same

    def index_add_(self: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
        """Adds ``alpha`` times the slices of `source` at places that an index tensor names; repeated ones add up.

        >>> lucid.zeros(3).index_add_(0, lucid.tensor([2, 2]), lucid.tensor([1.0, 4.0]))
        tensor([0., 0., 5.])
        """
        return update(self, "index_add", dim, index, source, alpha=alpha)

    def index_put_(self: Any, indices: tuple[Any, ...], values: Any, accumulate: bool = False) -> Tensor:
        """Stores values at ``self[indices]``; with `accumulate` it adds them, also those of repeated indices.

        >>> lucid.zeros(3).index_put_((lucid.tensor([2, 2]),), lucid.tensor([1.0, 4.0]), accumulate=True)
        tensor([0., 0., 5.])
        """
        items, tensors = parsed(tuple(indices), self._converted)
        values = _source(self, values)
        if not accumulate:
            return assign(self, items, tensors, values)
        wanted = F["index_at"](self, *tensors, index=items).shape
        wide = F["broadcast_to"](self._converted(values), wanted)
        return update(self, "add", F["index_sum"](wide, *tensors, index=items, shape=self.shape))

    def scatter_(self, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Tensor:
        return update(self, "scatter", dim, index, value if src is None else src)

    def scatter_add_(self, dim: int, index: Any, src: Any) -> Tensor:
        return update(self, "scatter_add", dim, index, src)

    def fill_diagonal_(self: Any, fill_value: Any) -> Tensor:
        """Stores a number on the main diagonal of a matrix.

        >>> lucid.zeros(2, 2).fill_diagonal_(3)
        tensor([[3., 0.],
                [0., 3.]])
        """
        if len(self.shape) != 2:
            raise ShapeError(f"fill_diagonal_: expected a matrix; got shape {self.shape}")
        places = list(range(min(self.shape)))
        self[places, places] = fill_value
        same: Tensor = self
        return same

    # --- shapes and gradients

    def t_(self) -> Tensor:
        return reshaped(self, "t")

    def transpose_(self, dim0: int, dim1: int) -> Tensor:
        return reshaped(self, "transpose", dim0, dim1)

    def swapaxes_(self, axis0: int, axis1: int) -> Tensor:
        return reshaped(self, "swapaxes", axis0, axis1)

    def squeeze_(self, dim: Any = None) -> Tensor:
        return reshaped(self, "squeeze", dim)

    def unsqueeze_(self, dim: int) -> Tensor:
        return reshaped(self, "unsqueeze", dim)

    def detach_(self) -> Tensor:
        """Detaches the tensor from the graph: it becomes a leaf, and requires no gradients.

        Raises:
            GradientError: it is a view, which would follow its base.

        Example:
            >>> y = lucid.ones(2, requires_grad=True) * 3
            >>> y.detach_()
            tensor([3., 3.])
        """
        return detached(self)

    def requires_grad_(self: Any, requires_grad: bool = True) -> Tensor:
        """Sets `requires_grad` and returns the tensor itself.

        >>> lucid.ones(2).requires_grad_().requires_grad
        True
        """
        self.requires_grad = requires_grad
        same: Tensor = self
        return same

    @property
    def data(self: Any) -> Tensor:
        """The same elements in the same memory, detached from the graph. Assign it to give a tensor other elements.

        >>> w = lucid.ones(2, requires_grad=True)
        >>> w.data -= 0.5
        >>> w
        tensor([0.5, 0.5], requires_grad=True)
        """
        shared: Tensor = self.detach()
        return shared

    @data.setter
    def data(self, value: Tensor) -> None:
        given(self, value)


def _is_one(factor: Any) -> bool:
    return isinstance(factor, (bool, int, float)) and factor == 1


def _source(x: Any, value: Any) -> Any:
    """Returns what is stored as a tensor or a number."""
    if hasattr(value, "_leaf_value") or type(value) in (bool, int, float):
        return value
    if isinstance(value, (list, tuple, str)) or value is None:
        raise TypeError(f"can't assign a {type(value).__name__} to a tensor; make a tensor of it with lucid.tensor")
    return x._converted(value)


def _is_mask(items: tuple[Any, ...], tensor: Any, value: Any) -> bool:
    """Returns whether an assignment stores one number where a mask along the first axes is true."""
    return items == ("*",) and tensor.dtype.kind == "b" and getattr(value, "shape", ()) == ()


def _along(x: Any, dim: int, index: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Returns a tensor, with one axis if it has none, and the index of slices along an axis, with its tensor."""
    row = x if x.shape else F["reshape_to"](x, shape=(1,))
    ndim = len(row.shape)
    if not -ndim <= dim < ndim:
        raise AxisError(f"axis {dim} is out of range for a tensor with {ndim} axes")
    return row, (*[slice(None)] * (dim % ndim), "*"), (x._converted(index),)
