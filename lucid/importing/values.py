"""Values of an imported graph: tensors; constants, which are arrays; and sizes, which follow from shapes.

A graph computes with the sizes that `Shape` gives. These stay Python's numbers, so an export of the imported module can
prove its axes again: in a symbolic trace they are `Dim`s.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ModelImportError
from ..tensor import Tensor, around, tensor
from ..tracer.extent import greater

__all__ = [
    "COMPARISONS",
    "DTYPES",
    "Array",
    "Sizes",
    "as_tensor",
    "boxed",
    "chosen",
    "constant",
    "elementwise",
    "has_sizes",
    "integers",
    "quotient",
    "restored",
    "scalar",
    "unboxed",
    "widened",
]

Array = np.ndarray[Any, Any]

DTYPES = (
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
"""The dtypes that lucid's tensors have. A constant may have another one, until a node makes one of these of it."""


class Sizes:
    """Numbers that follow from the sizes of axes.

    Attributes:
        items: an array of Python's numbers or `Dim`s, with dtype object.
        dtype: the dtype that the graph gives them.
    """

    __slots__ = ("dtype", "items")

    def __init__(self, items: Array, dtype: Any = np.int64) -> None:
        self.items = items
        self.dtype = np.dtype(dtype)

    def cast(self, dtype: np.dtype[Any]) -> Sizes:
        """Returns the numbers with another dtype; floats lose their fraction as integers."""
        if self.dtype.kind == "f" and dtype.kind in "iu":
            return Sizes(boxed(np.frompyfunc(math.trunc, 1, 1)(self.items)), dtype)
        return Sizes(self.items, dtype)

    @classmethod
    def of(cls, shape: Iterable[Any]) -> Sizes:
        """Returns the sizes in a shape."""
        return cls(boxed(list(shape)))


def boxed(values: Any) -> Array:
    """Returns numbers, a list of them or a result of NumPy's, as an array of objects that NumPy never converts."""
    if isinstance(values, np.ndarray):
        return values if values.dtype == object else unboxed(values)
    shape = (len(values),) if isinstance(values, list) else ()
    items = np.empty(shape, object)
    if shape:
        for i, value in enumerate(values):
            items[i] = value
    else:
        items[()] = values
    return items


def unboxed(array: Array) -> Array:
    """Returns a constant as an array of Python's numbers."""
    items = np.empty(array.shape, object)
    items[...] = np.array(array.tolist(), object) if array.ndim else array.item()
    return items


def restored(items: Any, like: Sequence[Any]) -> Any:
    """Returns the result of a structural change as what its operands were: sizes if any of them is, else a constant."""
    dtype = next((x.dtype for x in like if isinstance(x, Sizes)), None)
    return items if dtype is None else Sizes(boxed(items), dtype)


def as_tensor(x: Any) -> Any:
    """Returns a value as a Tensor; None stays None."""
    if x is None or isinstance(x, Tensor):
        return x
    if isinstance(x, Sizes):
        if not x.items.ndim:
            return tensor(x.items[()]).to(x.dtype)
        return tensor(x.items.tolist()).to(x.dtype) if x.items.size else around(np.zeros(x.items.shape, x.dtype))
    array = np.asarray(x)
    if array.dtype.name not in DTYPES:
        raise ModelImportError(f"lucid has no tensors of {array.dtype.name}")
    return around(array)


def widened(x: Any) -> Any:
    """Returns a constant of few bits, such as int4 or float8, as one of a dtype that tensors have."""
    if not isinstance(x, np.ndarray) or x.dtype.name in DTYPES:
        return x
    return x.astype(np.float32 if "float" in x.dtype.name else np.int8 if x.dtype.name[0] == "i" else np.uint8)


def integers(x: Any) -> list[Any]:
    """Returns the elements of a value as Python's integers, or `Dim`s."""
    if isinstance(x, Sizes):
        return list((x if x.dtype.kind in "iu" else x.cast(np.dtype(np.int64))).items.ravel())
    if isinstance(x, Tensor):
        return [int(n) for n in x.reshape(-1).tolist()]
    return [int(n) for n in np.asarray(x).ravel()]


def scalar(x: Any) -> Any:
    """Returns the one element of a value as a Python number."""
    if isinstance(x, Sizes):
        return x.items.reshape(-1)[0]
    return x.reshape(-1)[0].item() if isinstance(x, Tensor) else np.asarray(x).reshape(-1)[0].item()


def constant(x: Any) -> bool:
    """Returns whether a value depends on no input, not even on a size."""
    return x is None or isinstance(x, np.ndarray)


def has_sizes(given: Sequence[Any]) -> bool:
    """Returns whether some values are sizes, and the others constants."""
    return any(isinstance(x, Sizes) for x in given) and all(isinstance(x, Sizes) or constant(x) for x in given)


def elementwise(function: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """Computes with sizes, element by element; comparisons give constants, all else gives sizes."""
    if function is quotient and any(isinstance(x, Sizes) and x.dtype.kind == "f" for x in operands):
        function = operator.truediv
    items = [x.items if isinstance(x, Sizes) else unboxed(np.asarray(x)) for x in operands]
    found = boxed(np.frompyfunc(function, len(items), 1)(*items))
    if all(isinstance(x, bool) for x in found.ravel()) and found.size:
        return found.astype(np.bool_)
    return restored(found, operands)


def quotient(x: Any, y: Any) -> Any:
    """Divides integers as ONNX does, towards zero. Of sizes it is a formula, so nothing is decided."""
    if y < 0:
        x, y = -x, -y
    return greater(x, 0) // y - greater(-x, 0) // y


def chosen(condition: Any, x: Any, y: Any) -> Any:
    """Returns one of two numbers."""
    return x if condition else y


COMPARISONS = {
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
}
"""Comparisons of sizes: each is a decision, which the trace of an export notes."""
