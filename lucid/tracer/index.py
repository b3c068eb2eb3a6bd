"""Indices: what ``x[index]`` and ``x[index] = value`` take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError
from .extent import whole

__all__ = ["parsed"]


def parsed(index: Any, as_tensor: Callable[[Any], Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns an index as integers, slices, None and Ellipsis, with ``"*"`` for each tensor; and the tensors.

    Args:
        index: the same, with tensors, arrays, lists and ranges of integers, or bools, in it.
        as_tensor: converts to a tensor.

    Raises:
        AxisError: it contains something else. DtypeError: a tensor has other elements.
    """
    if type(index) is int:
        return (index,), ()
    if type(index) is tuple and _is_basic(index):
        return index, ()
    basic: list[Any] = []
    tensors: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        if item is None or item is Ellipsis or type(item) is int:
            basic.append(item)
        elif isinstance(item, slice):
            whole_axis = item.start is item.stop is item.step is None
            basic.append(item if whole_axis else slice(*map(_bound, (item.start, item.stop, item.step))))
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            basic.append(whole(item))
        elif isinstance(item, (np.ndarray, list, range, bool)) or hasattr(item, "_leaf_value"):
            if isinstance(item, range):
                item = list(item)
            tensor = as_tensor(item if not isinstance(item, list) or item else np.zeros(0, np.int64))
            if tensor.dtype.kind not in "iub":
                raise DtypeError(f"tensors used as an index must be of integers or bools; got {tensor.dtype}")
            basic.append("*")
            tensors.append(tensor)
        else:
            raise AxisError(f"an index is made of integers, slices, None, ... and tensors; got {type(item).__name__}")
    return tuple(basic), tuple(tensors)


_BOUNDS = frozenset((int, type(None)))


def _is_basic(index: tuple[Any, ...]) -> bool:
    """Returns whether an index consists of plain integers, slices of them, None and Ellipsis, as most do."""
    for item in index:
        kind = type(item)
        if kind is slice:
            if type(item.start) in _BOUNDS and type(item.stop) in _BOUNDS and type(item.step) in _BOUNDS:
                continue
        elif kind is int or item is None or item is Ellipsis:
            continue
        return False
    return True


def _bound(bound: Any) -> int | None:
    return None if bound is None else whole(bound)
