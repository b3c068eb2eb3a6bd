"""Copies, dtype conversions, detaching from the graph, and looking at gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import is_device, require_cpu
from ..errors import DtypeError
from ..tensor import Tensor, op
from ..tracer.op import Array, function
from .elementwise import astype

__all__ = ["clone", "detach"]


@op
def clone(x: Array, /) -> Array:
    """Returns a copy.

    >>> lucid.clone(lucid.tensor([1.0]))
    tensor([1.])
    """
    return np.array(x)


@clone.vjp
def _(g: Tensor) -> Any:
    return g


@op(no_gradient="it cuts the gradient, on purpose", view=True)
def detach(x: Array, /) -> Array:
    """Returns the same elements, detached from the graph: no gradient flows through it.

    >>> lucid.detach(lucid.ones(2, requires_grad=True)).requires_grad
    False
    """
    return x


@op
def passed(*tensors: Array, link: Any) -> Array:
    """Returns copies; in the backward pass, `link` gets the tuple of their gradients, and returns what takes its place.

    They are copies, since a node can note for one input only that its results are views.
    """
    return tuple([np.array(x) for x in tensors])


@passed.vjp
def _(g: Any, link: Any) -> Any:
    return link(g if isinstance(g, tuple) else (g,))


@function
def to(
    x: Tensor, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """Converts to another dtype (torch.Tensor.to).

    It returns the tensor itself if the dtype is the same, or if it is sent to the device "cpu".

    Args:
        x: the tensor.
        target: a dtype, a tensor whose dtype is taken, or the device "cpu", which a dtype may follow; then
            `non_blocking` and `copy`, as in PyTorch.
        dtype: the dtype, by name.
        device: "cpu".
        non_blocking: has no effect.
        copy: return a copy in any case.

    Raises:
        RuntimeUnavailableError: the device is not the CPU.

    >>> lucid.ones(2).to("float64")
    tensor([1., 1.], dtype=float64)
    """
    flags = [item for item in target if isinstance(item, bool)]
    target = target[: len(target) - len(flags)]
    if flags and (not target or len(flags) > 2 or any(isinstance(item, bool) for item in target)):
        raise DtypeError(f"to: expected a dtype, or the device 'cpu', then non_blocking and copy; got {flags}")
    copy = copy or (len(flags) == 2 and flags[1])
    kind = x.dtype
    for item in (*target, device, dtype):
        if item is None or is_device(item):
            require_cpu(item)
            continue
        try:
            kind = item.dtype if isinstance(item, Tensor) else np.dtype(item)
        except TypeError:
            raise DtypeError(f"to: expected a dtype, or the device 'cpu'; got {item!r}") from None
    if x.dtype != kind:
        return astype(x, kind)
    return clone(x) if copy else x
