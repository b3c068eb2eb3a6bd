"""The methods that convert the dtype or copy, and those that exist for ported code only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import CPU
from ..devices import device as Device
from ..tracer.mode import MODE
from ..tracer.overwriting import given
from .table import F

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["Conversions"]

# The class has methods of these names.
bool_ = bool
int_ = int


class Conversions:
    """Mixin: dtype conversions and copies. `docstrings` says where the other docstrings come from."""

    __slots__ = ()

    @property
    def device(self) -> Device:
        """The CPU (torch.Tensor.device).

        >>> lucid.ones(2).device
        device(type='cpu')
        """
        return CPU

    def data_ptr(self: Any) -> int_:
        """Returns the address of the first element, by which tensors of the same memory are known.

        >>> x = lucid.ones(2)
        >>> x.data_ptr() == x.detach().data_ptr()
        True
        """
        return int_(self._data.ctypes.data)

    def set_(self, source: Tensor) -> Tensor:
        """Takes the elements and the shape of another tensor, and shares its memory from then on.

        >>> lucid.zeros(2).set_(lucid.tensor([1.0, 2.0, 3.0]))
        tensor([1., 2., 3.])
        """
        given(self, source)
        return self  # type: ignore[return-value]

    @property
    def is_cuda(self) -> bool_:
        """False: the elements are in the CPU's memory.

        >>> lucid.ones(2).is_cuda
        False
        """
        return False

    def is_complex(self) -> bool_:
        """Returns False: no tensor has complex numbers.

        >>> lucid.ones(2).is_complex()
        False
        """
        return False

    def astype(self, dtype: Any) -> Tensor:
        return F["astype"](self, dtype)

    def to(
        self, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool_ = False, copy: bool_ = False
    ) -> Tensor:
        return F["to"](self, *target, dtype=dtype, device=device, non_blocking=non_blocking, copy=copy)

    def type(self, dtype: Any = None) -> Any:
        """Converts to a dtype, which may be a class or its name; without one, returns PyTorch's name of the type.

        >>> lucid.ones(2).type(lucid.LongTensor), lucid.ones(2).type()
        (tensor([1, 1]), 'torch.FloatTensor')
        """
        return F["type"](self, dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """Converts to the dtype of another tensor.

        >>> lucid.tensor([1, 2]).type_as(lucid.ones(1))
        tensor([1., 2.])
        """
        return F["to"](self, other.dtype)

    def half(self) -> Tensor:
        """Converts to float16.

        >>> lucid.ones(2).half()
        tensor([1., 1.], dtype=float16)
        """
        return F["to"](self, np.dtype("float16"))

    def float(self) -> Tensor:
        """Converts to float32.

        >>> lucid.tensor([1, 2]).float()
        tensor([1., 2.])
        """
        return F["to"](self, np.dtype("float32"))

    def double(self) -> Tensor:
        """Converts to float64.

        >>> lucid.ones(2).double()
        tensor([1., 1.], dtype=float64)
        """
        return F["to"](self, np.dtype("float64"))

    def long(self) -> Tensor:
        """Converts to int64; a fraction is cut off.

        >>> lucid.tensor([1.5, -1.5]).long()
        tensor([ 1, -1])
        """
        return F["to"](self, np.dtype("int64"))

    def int(self) -> Tensor:
        """Converts to int32; a fraction is cut off.

        >>> lucid.tensor([1.5, -1.5]).int()
        tensor([ 1, -1], dtype=int32)
        """
        return F["to"](self, np.dtype("int32"))

    def short(self) -> Tensor:
        """Converts to int16; a fraction is cut off.

        >>> lucid.tensor([1.5]).short()
        tensor([1], dtype=int16)
        """
        return F["to"](self, np.dtype("int16"))

    def char(self) -> Tensor:
        """Converts to int8; a fraction is cut off.

        >>> lucid.tensor([1.5]).char()
        tensor([1], dtype=int8)
        """
        return F["to"](self, np.dtype("int8"))

    def byte(self) -> Tensor:
        """Converts to uint8; a fraction is cut off.

        >>> lucid.tensor([1.5]).byte()
        tensor([1], dtype=uint8)
        """
        return F["to"](self, np.dtype("uint8"))

    def bool(self) -> Tensor:
        """Converts to bool: all but zeros are true.

        >>> lucid.tensor([0.0, 2.0]).bool()
        tensor([False,  True])
        """
        return F["to"](self, np.dtype("bool"))

    def clone(self) -> Tensor:
        return F["clone"](self)

    def cpu(self) -> Tensor:
        """Returns the tensor itself: it is in the CPU's memory.

        >>> x = lucid.ones(2)
        >>> x.cpu() is x
        True
        """
        return self  # type: ignore[return-value]

    def cuda(self, device: Any = None, non_blocking: bool_ = False) -> Tensor:
        """Raises RuntimeUnavailableError: training runs on the CPU, exported and compiled models on a GPU.

        >>> lucid.ones(2).cuda()
        Traceback (most recent call last):
        lucid.errors.RuntimeUnavailableError: ...
        """
        return F["to"](self, "cuda")

    def get_device(self) -> int_:
        """Returns -1, as PyTorch does for the CPU.

        >>> lucid.ones(2).get_device()
        -1
        """
        return -1

    def pin_memory(self) -> Tensor:
        """Returns the tensor itself: no other device reads its memory.

        >>> x = lucid.ones(2)
        >>> x.pin_memory() is x
        True
        """
        return self  # type: ignore[return-value]

    def contiguous(self: Any) -> Tensor:
        """Returns the tensor itself if its elements lie in order in the memory, else a copy in which they do.

        >>> lucid.zeros(2, 3).T.contiguous().stride()
        (2, 1)
        """
        if MODE.get().trace is None:
            is_part = not self._data.flags.c_contiguous
        else:  # memory may be laid out otherwise at other sizes
            node = self._value and self._value.node
            is_part = node is not None and bool(node.op.view)
        result: Any = self
        if is_part:
            result = F["clone"](self)
            result._data = np.ascontiguousarray(result._data)
        return result
