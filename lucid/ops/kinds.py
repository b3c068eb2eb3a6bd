"""New tensors by the example of another, and its type by PyTorch's names."""

from __future__ import annotations

from typing import Any

from ..kinds import kind_of, made, type_name
from ..tensor import Tensor, tensor
from ..tracer.op import function
from .conversion import to
from .creation import zeros

__all__: list[str] = []


@function
def type(x: Tensor, dtype: Any = None) -> Any:
    """Converts to a dtype, which may be a class or its name; without one, returns PyTorch's name of the type
    (torch.Tensor.type).

    >>> lucid.ones(2).type(lucid.LongTensor), lucid.ones(2).type()
    (tensor([1, 1]), 'torch.FloatTensor')
    """
    return type_name(x.dtype) if dtype is None else to(x, kind_of(dtype))


@function
def new(x: Tensor, *data: Any) -> Tensor:
    """Returns a tensor of the dtype of another: of the given sizes, or with given elements (torch.Tensor.new).

    >>> lucid.tensor([1, 2]).new([3.0])
    tensor([3])
    """
    return made(data, x.dtype)


@function
def new_tensor(x: Tensor, data: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns a tensor with a copy of `data`, with the dtype of another (torch.Tensor.new_tensor).

    >>> lucid.ones(2, dtype="float64").new_tensor([1, 2])
    tensor([1., 2.], dtype=float64)
    """
    return tensor(data, dtype or x.dtype, requires_grad, device=device)


@function
def new_empty(x: Tensor, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Returns unspecified elements, here zeros, with the dtype of another tensor (torch.Tensor.new_empty).

    >>> lucid.ones(2, dtype="float64").new_empty(1).dtype
    dtype('float64')
    """
    return zeros(*shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)
