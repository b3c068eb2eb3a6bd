"""Conversions of a Tensor to NumPy arrays, Python numbers and text."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .errors import GradientError, ShapeError
from .tracer.aliases import follow
from .tracer.mode import MODE
from .tracer.node import TensorLike, Value
from .tracer.writes import LIVE

__all__ = ["Readout"]


class Readout:
    """Mixin: converts a Tensor to something that the graph does not record. A trace notes each conversion."""

    __slots__ = ()

    _data: np.ndarray[Any, Any]
    _requires_grad: bool
    _value: Value | None

    def _is_away(self) -> bool:
        """Returns whether its elements are elsewhere, such as on a GPU; whoever reads `_data` brings them home."""
        try:
            object.__getattribute__(self, "_data")  # without `Absent.__getattr__`, which brings them
        except AttributeError:
            return True
        return False

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """Returns the elements as a NumPy array that shares memory with the tensor, read-only in a trace.

        Args:
            force: also of a tensor that requires gradients.

        Raises:
            GradientError: the tensor requires gradients, which NumPy would lose; use ``x.detach().numpy()``.

        Example:
            >>> lucid.tensor([[1.0, 2.0]]).numpy()
            array([[1., 2.]], dtype=float32)
        """
        if LIVE:
            follow((self,))
        if self._requires_grad and not force:
            raise GradientError("numpy() on a tensor that requires gradients; use x.detach().numpy()")
        return self._read("numpy()")

    def item(self) -> Any:
        """Returns the only element as a Python number.

        Raises:
            ShapeError: there are several elements, or none.

        Example:
            >>> lucid.tensor([[2.5]]).item()
            2.5
        """
        if self._data.size != 1:
            raise ShapeError(f"item(): only one element can become a Python number; got shape {self._data.shape}")
        return self._read("item()").item()

    def tolist(self) -> Any:
        """Returns the elements as nested lists of Python numbers; without axes, as one number.

        >>> lucid.tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return self._read("tolist()").tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise TypeError(f"only integer tensors can be an index; got {self._data.dtype}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ShapeError(f"a tensor of shape {self._data.shape} has no single truth value; use any() or all()")
        return bool(self._read("bool()").item())

    def __contains__(self, item: Any) -> bool:
        if isinstance(item, Readout):
            item = item._read("in")
        return bool((self._read("in") == item).any())

    def __repr__(self) -> str:
        # Four digits as in PyTorch: of eight digits, the last differs between processors.
        data = self._read("repr()")
        text = np.array2string(data, precision=4, separator=", ", prefix="tensor(", threshold=200, edgeitems=3)
        if self._data.dtype not in (np.float32, np.int64, np.bool_):
            text += f", dtype={self._data.dtype}"
        if self._requires_grad:
            node = self._value.node if self._value is not None else None
            text += f", from={node.op.name}" if node is not None else ", requires_grad=True"
        return f"tensor({text})"

    def _repr_html_(self) -> str:
        from .tables import preformatted

        return preformatted(repr(self), f"shape {tuple(self._data.shape)}, {self._data.dtype}")

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec) if self._data.ndim else format(self.item(), spec)

    def _read(self, how: str) -> np.ndarray[Any, Any]:
        """Returns the elements, as Python gets them; a trace records it."""
        trace = MODE.get().trace
        if trace is None:
            return self._data
        if LIVE:
            follow((self,))
        data: np.ndarray[Any, Any] = trace.read(how, cast("TensorLike", self))
        return data
