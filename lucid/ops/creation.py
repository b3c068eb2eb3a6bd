"""New tensors with known elements. Made by ops, so that a graph sees where their sizes come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError
from ..tensor import Tensor, as_tensor, op
from ..tracer.op import Array
from .shape import _sizes

__all__ = ["arange", "eye", "fill", "full", "full_like", "ones", "ones_like", "zeros", "zeros_like"]

_CONSTANT = "it has no inputs"


@op(no_gradient=_CONSTANT)
def fill(*, shape: tuple[int, ...], value: Any, dtype: Any) -> Array:
    """A tensor of one value (ONNX ConstantOfShape)."""
    return np.full(shape, value, dtype)


@op(no_gradient=_CONSTANT)
def count(*, start: Any, stop: Any, step: Any, dtype: Any) -> Array:
    """Evenly spaced values from `start` up to, and without, `stop` (ONNX Range)."""
    return np.arange(start, stop, step, dtype=dtype)


def _made(made: Tensor, requires_grad: bool) -> Tensor:
    return made.requires_grad_() if requires_grad else made


def full(*shape: Any, fill_value: Any = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value: ``full((2, 3), 0.5)`` (torch.full).

    >>> lucid.full((2,), 0.5)
    tensor([0.5, 0.5])
    """
    if fill_value is None:
        *shape, fill_value = shape  # type: ignore[assignment]
        shape = tuple(shape)
    if dtype is None:
        dtype = np.bool_ if isinstance(fill_value, bool) else np.int64 if isinstance(fill_value, int) else np.float32
    made = fill(shape=_sizes(shape), value=_number(fill_value), dtype=np.dtype(dtype))
    return _made(made, requires_grad)


def zeros(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros (torch.zeros).

    >>> lucid.zeros(2)
    tensor([0., 0.])
    """
    return _made(fill(shape=_sizes(shape), value=0, dtype=np.dtype(dtype or np.float32)), requires_grad)


def ones(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones (torch.ones).

    >>> lucid.ones(2)
    tensor([1., 1.])
    """
    return _made(fill(shape=_sizes(shape), value=1, dtype=np.dtype(dtype or np.float32)), requires_grad)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, and unless given the dtype, of another tensor (torch.zeros_like).

    >>> lucid.zeros_like(lucid.ones(2))
    tensor([0., 0.])
    """
    return zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, and unless given the dtype, of another tensor (torch.ones_like).

    >>> lucid.ones_like(lucid.zeros(2))
    tensor([1., 1.])
    """
    return ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in the shape, and unless given the dtype, of another tensor (torch.full_like).

    >>> lucid.full_like(lucid.zeros(2), 3)
    tensor([3., 3.])
    """
    return full(x.shape, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Evenly spaced values from `start` (0 if only `end` is given) up to, and without, `end` (torch.arange).

    >>> lucid.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    if dtype is None:
        dtype = np.int64 if all(isinstance(n, int) for n in (start, end, step)) else np.float32
    return _made(count(start=start, stop=end, step=step, dtype=np.dtype(dtype)), requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere (torch.eye).

    >>> lucid.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _made(as_tensor(np.eye(n, m, dtype=np.dtype(dtype or np.float32))), requires_grad)


def _number(x: Any) -> Any:
    """A Python number: what an attribute may hold."""
    if isinstance(x, (bool, int, float)):
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, (np.generic, Tensor)):
        return x.item()
    raise DtypeError(f"expected a number; got {type(x).__name__}")
