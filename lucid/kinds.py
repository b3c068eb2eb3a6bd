"""PyTorch's names for tensors of one dtype, such as FloatTensor: constructors, and what `isinstance` asks for."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .errors import DtypeError
from .shape import sizes_given
from .tensor import Tensor, around, given
from .tracer.op import OPS

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "get_default_dtype",
    "is_tensor",
    "kind_of",
    "made",
    "set_default_dtype",
    "type_name",
]


def made(data: tuple[Any, ...], dtype: np.dtype[Any]) -> Tensor:
    """Returns a tensor of given sizes, or with given elements, as PyTorch's constructors do."""
    sizes = sizes_given(data)
    if sizes is None:
        return around(given(data, dtype))
    # An op, so that a graph knows the sizes.
    filled: Tensor = OPS["fill"](shape=sizes, value=0, dtype=dtype)
    return filled


class _Kind(type):
    """The class of these classes: a call makes a tensor, and a tensor of the dtype is an instance."""

    dtype: np.dtype[Any]

    def __call__(cls, *data: Any) -> Tensor:
        return made(data, cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == cls.dtype


class HalfTensor(metaclass=_Kind):
    """A tensor of float16 (torch.HalfTensor)."""

    dtype: ClassVar[Any] = np.dtype("float16")


class FloatTensor(metaclass=_Kind):
    """A tensor of float32: ``FloatTensor([1, 2])`` has these elements, ``FloatTensor(2, 3)`` zeros (torch.FloatTensor).

    >>> lucid.FloatTensor([1, 2])
    tensor([1., 2.])
    """

    dtype: ClassVar[Any] = np.dtype("float32")


class DoubleTensor(metaclass=_Kind):
    """A tensor of float64 (torch.DoubleTensor)."""

    dtype: ClassVar[Any] = np.dtype("float64")


class ByteTensor(metaclass=_Kind):
    """A tensor of uint8 (torch.ByteTensor)."""

    dtype: ClassVar[Any] = np.dtype("uint8")


class ShortTensor(metaclass=_Kind):
    """A tensor of int16 (torch.ShortTensor)."""

    dtype: ClassVar[Any] = np.dtype("int16")


class IntTensor(metaclass=_Kind):
    """A tensor of int32 (torch.IntTensor)."""

    dtype: ClassVar[Any] = np.dtype("int32")


class LongTensor(metaclass=_Kind):
    """A tensor of int64 (torch.LongTensor).

    >>> lucid.LongTensor([1, 2])
    tensor([1, 2])
    """

    dtype: ClassVar[Any] = np.dtype("int64")


class BoolTensor(metaclass=_Kind):
    """A tensor of bools (torch.BoolTensor)."""

    dtype: ClassVar[Any] = np.dtype("bool")


_NAMES = {
    kind.__name__: kind.dtype
    for kind in (HalfTensor, FloatTensor, DoubleTensor, ByteTensor, ShortTensor, IntTensor, LongTensor, BoolTensor)
}


def is_tensor(x: Any) -> bool:
    """Returns whether an object is a tensor (torch.is_tensor).

    >>> lucid.is_tensor(lucid.ones(2)), lucid.is_tensor([1.0])
    (True, False)
    """
    return isinstance(x, Tensor)


def type_name(dtype: np.dtype[Any]) -> str:
    """Returns PyTorch's name for tensors of a dtype, such as "torch.FloatTensor", which ported code compares with."""
    return next((f"torch.{name}" for name, own in _NAMES.items() if own == dtype), str(dtype))


def kind_of(name: Any) -> np.dtype[Any]:
    """Returns the dtype that a dtype, its name, a class such as LongTensor, or the name of one stands for."""
    if isinstance(name, _Kind):
        return name.dtype
    if isinstance(name, str):
        name = _NAMES.get(name.rpartition(".")[2], name)
    try:
        return np.dtype(name)
    except TypeError:
        raise DtypeError(f"type: expected a dtype, or a class such as lucid.LongTensor; got {name!r}") from None


def get_default_dtype() -> np.dtype[Any]:
    """Returns float32, the dtype of Python floats in tensors (torch.get_default_dtype).

    >>> lucid.get_default_dtype()
    dtype('float32')
    """
    return np.dtype(np.float32)


def set_default_dtype(d: Any) -> None:
    """Accepts float32 (torch.set_default_dtype).

    Raises:
        DtypeError: it is another dtype. Pass dtype= to constructors, or convert a model with ``model.to(dtype)``.
    """
    if kind_of(d) != np.float32:
        raise DtypeError(
            f"set_default_dtype: the default dtype is float32; got {kind_of(d)}; pass dtype= to constructors, or "
            "convert the model with model.to(dtype)"
        )
