"""New tensors with known elements. Ops create them, so that a graph records where their sizes come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import require_cpu
from ..errors import DtypeError, ShapeError
from ..tensor import Tensor, op
from ..tracer.extent import greater, is_negative
from ..tracer.op import Array, function
from .elementwise import astype, eq, lt, pow, where
from .shape import sizes_of, unsqueeze

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]

_CONSTANT = "it has no inputs"


@op(no_gradient=_CONSTANT)
def fill(*, shape: tuple[int, ...], value: Any, dtype: Any) -> Array:
    """Returns a tensor filled with one value (ONNX ConstantOfShape)."""
    return np.full(shape, value, dtype)


@op(no_gradient=_CONSTANT)
def count(*, start: Any, stop: Any, step: Any, dtype: Any) -> Array:
    """Returns evenly spaced values from `start` up to, but excluding, `stop` (ONNX Range)."""
    return np.arange(start, stop, step, dtype=dtype)


def _made(made: Tensor, requires_grad: bool, device: Any) -> Tensor:
    require_cpu(device)
    return made.requires_grad_() if requires_grad else made


def full(size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns a tensor filled with one value (torch.full).

    Unless a dtype is given, bools give bool, integers int64 and other numbers float32.

    >>> lucid.full((2,), 0.5)
    tensor([0.5, 0.5])
    """
    value = number(fill_value)
    if dtype is None:
        dtype = np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else np.float32
    return _made(fill(shape=sizes_of((size,)), value=value, dtype=np.dtype(dtype)), requires_grad, device)


def zeros(*shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Returns a tensor of zeros (torch.zeros).

    >>> lucid.zeros(2)
    tensor([0., 0.])
    """
    return _made(fill(shape=sizes_of(shape), value=0, dtype=np.dtype(dtype or np.float32)), requires_grad, device)


def ones(*shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Returns a tensor of ones (torch.ones).

    >>> lucid.ones(2)
    tensor([1., 1.])
    """
    return _made(fill(shape=sizes_of(shape), value=1, dtype=np.dtype(dtype or np.float32)), requires_grad, device)


def empty(*shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Returns a tensor of unspecified elements; here they are zeros (torch.empty).

    >>> lucid.empty(2).shape
    (2,)
    """
    return zeros(*shape, dtype=dtype, requires_grad=requires_grad, device=device)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns zeros with the shape of another tensor, and its dtype unless one is given (torch.zeros_like).

    >>> lucid.zeros_like(lucid.ones(2))
    tensor([0., 0.])
    """
    return zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns ones with the shape of another tensor, and its dtype unless one is given (torch.ones_like).

    >>> lucid.ones_like(lucid.zeros(2))
    tensor([1., 1.])
    """
    return ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


def empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns unspecified elements with the shape of another tensor, and its dtype unless given (torch.empty_like).

    >>> lucid.empty_like(lucid.ones(2)).shape
    (2,)
    """
    return zeros_like(x, dtype, requires_grad, device=device)


def full_like(
    x: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """Returns one value in the shape of another tensor, and in its dtype unless one is given (torch.full_like).

    >>> lucid.full_like(lucid.zeros(2), 3)
    tensor([3., 3.])
    """
    return full(x.shape, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


def arange(
    start: Any, end: Any = None, step: Any = 1, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """Returns evenly spaced values from `start` (0 if only `end` is given) up to, but excluding, `end` (torch.arange).

    >>> lucid.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if end is None:
        start, end = 0, start
    start, end, step = number(start), number(end), number(step)
    if type(step) in (int, float) and not step:
        raise ShapeError("arange: step must not be 0")
    if dtype is None:
        dtype = np.int64 if all(isinstance(n, int) for n in (start, end, step)) else np.float32
    elif np.dtype(dtype).kind in "iu":
        # As in PyTorch: the bounds are of the dtype, too.
        start, end, step = [int(n) if type(n) is float else n for n in (start, end, step)]
    return _made(count(start=start, stop=end, step=step, dtype=np.dtype(dtype)), requires_grad, device)


def linspace(
    start: Any, end: Any, steps: int, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """Returns `steps` evenly spaced values from `start` to `end`, both included (torch.linspace).

    >>> lucid.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    require_cpu(device)
    dtype = np.dtype(dtype or np.float32)
    if isinstance(steps, float):
        raise DtypeError(f"linspace: steps must be an integer; got {steps}")
    if is_negative(steps):
        raise ShapeError(f"linspace: steps must not be negative; got {steps}")
    start, end = number(start), number(end)
    places = astype(arange(steps), np.dtype(np.float64))
    if dtype.kind in "iu":
        # As in PyTorch: between the integers of both ends, and rounded towards 0.
        start, end = int(start), int(end)
        step = (end - start) / greater(steps - 1, 1)
        upper = end - (steps - 1 - places) * step
        return astype(where(lt(places, greater(steps // 2, 1)), start + places * step, upper), dtype)
    start, end = float(start), float(end)
    # Interpolated between both ends, so that both are exact.
    share = places / greater(steps - 1, 1)
    return _made(astype((1 - share) * start + share * end, dtype), requires_grad, device)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    dtype: Any = None,
    requires_grad: bool = False,
    *,
    device: Any = None,
) -> Tensor:
    """Returns ``base`` to the powers that `linspace` gives (torch.logspace).

    >>> lucid.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    if dtype is not None and np.dtype(dtype).kind in "iu":
        start, end = int(start), int(end)  # as in PyTorch
    powers = linspace(start, end, steps, np.float64, device=device)
    return _made(astype(pow(float(base), powers), np.dtype(dtype or np.float32)), requires_grad, device)


def eye(n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False, *, device: Any = None) -> Tensor:
    """Returns a matrix with ones on the diagonal and zeros elsewhere (torch.eye).

    >>> lucid.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    if is_negative(n) or (m is not None and is_negative(m)):
        raise ShapeError(f"eye: the sizes must not be negative; got {n} and {n if m is None else m}")
    same = eq(unsqueeze(arange(n), 1), arange(n if m is None else m))
    return _made(astype(same, np.dtype(dtype or np.float32)), requires_grad, device)


@function
def new_zeros(x: Tensor, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Returns zeros with the dtype of another tensor (torch.Tensor.new_zeros).

    >>> lucid.ones(2, dtype="float64").new_zeros(1)
    tensor([0.], dtype=float64)
    """
    return zeros(*shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


@function
def new_ones(x: Tensor, *shape: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Returns ones with the dtype of another tensor (torch.Tensor.new_ones).

    >>> lucid.ones(2, dtype="float64").new_ones(1)
    tensor([1.], dtype=float64)
    """
    return ones(*shape, dtype=dtype or x.dtype, requires_grad=requires_grad, device=device)


@function
def new_full(
    x: Tensor, size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """Returns a tensor filled with one value, with the dtype of another tensor (torch.Tensor.new_full).

    >>> lucid.ones(2, dtype="float64").new_full((1,), 3)
    tensor([3.], dtype=float64)
    """
    return full(size, fill_value, dtype or x.dtype, requires_grad, device=device)


def number(x: Any) -> Any:
    """Converts to a Python number, which an attribute may hold."""
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, (bool, int, float)):
        return x
    if isinstance(x, Tensor):
        return x.item()
    raise DtypeError(f"expected a number; got {type(x).__name__}")
