"""Aliases: the views of a tensor follow it after a write that a graph recorded.

A view is a part of its base. Outside a trace the part is found by the memory: which elements of the base are those of
the view. In a trace sizes may be symbols, so there it is found by the ops that made the view, which the graph has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import GradientError, TraceError
from .location import user_location
from .mode import MODE, Mode
from .node import Node, Value
from .op import OPS
from .writes import CUT, Family, base_for

__all__ = ["Move", "follow", "moved", "moves", "part", "positions", "replaced", "take"]

Array = np.ndarray[Any, Any]


def follow(inputs: Iterable[Any]) -> None:
    """Brings the views among some inputs up to date with their bases.

    Raises:
        GradientError: a view requires gradients of its own, as a leaf, but its base was overwritten.
        TraceError: it is not known which part of its base a view is.
    """
    for x in inputs:
        base = getattr(x, "_base", None)
        if base is None or base is CUT or type(base) is Family:
            continue
        base = base_for(base)
        if base is not CUT and type(base._base) is Family:
            _refresh(x, base, base._base)


def _refresh(view: Any, base: Any, family: Family) -> None:
    mode = MODE.get()
    trace = mode.trace
    while trace is not None and not trace.makes(base):
        trace = trace.parent
    if trace is not None:
        path = moves(view._value, {*family.values, base._value})
        if path is None:
            raise TraceError(
                f"{user_location()}: a tensor is used that shares memory with one that was written to, in a way that a "
                "graph cannot follow; make it anew after the write, or of a clone()"
            )
        source = view._value if not path else path[0].node.inputs[0]
        if source != base._value:
            token = MODE.set(Mode(mode.grad, trace))
            try:
                take(view, moved(base, path))
            finally:
                MODE.reset(token)
        return
    value = view._value
    if value is not None and value.node is not None and value.node.stamp >= family.time:
        return
    if view._requires_grad and (value is None or value.is_leaf):
        raise GradientError(
            "a leaf tensor that requires gradients shares memory with a tensor that was overwritten by a recorded "
            "operation; make it of a clone()"
        )
    token = MODE.set(Mode(True, None))
    try:
        index = part(view._data, base._data)
        if index is not None:
            fresh = OPS["slice_at"](base, index=index)
        elif (places := positions(view._data, base._data)) is not None:
            flat = OPS["reshape_to"](base, shape=(-1,))
            fresh = OPS["index_at"](flat, places, index=("*",))
        else:
            view._base = None  # one of them was given other memory
            return
    finally:
        MODE.reset(token)
    view._value, view._requires_grad = fresh._value, fresh._requires_grad


def take(x: Any, result: Any) -> None:
    """Makes a tensor stand for the result of an op, in a trace: it gets another array, laid out like its own."""
    data = np.empty_like(x._data)
    data[...] = result._data
    x._data, x._value, x._requires_grad = data, result._value, result._requires_grad


# --- by memory


def part(view: Array, base: Array) -> tuple[Any, ...] | None:
    """Returns the index of integers, slices and None by which an array is a view of another; None if there is none."""
    if not view.size or min(base.strides, default=0) < 0:
        return None
    offset = _address(view) - _address(base)
    starts = {}
    for axis in sorted(range(base.ndim), key=lambda axis: base.strides[axis], reverse=True):
        step = base.strides[axis]
        starts[axis], offset = divmod(offset, step) if step and base.shape[axis] > 1 else (0, offset)
    index: list[Any] = []
    left = [(n, step) for n, step in zip(view.shape, view.strides, strict=True) if n > 1]
    for axis, (n, step) in enumerate(zip(base.shape, base.strides, strict=True)):
        first = starts[axis]
        if offset or not 0 <= first < n:
            return None
        if left and n > 1 and step and left[0][1] % step == 0 and left[0][1]:
            count, stride = left[0][0], left[0][1] // step
            last = first + (count - 1) * stride
            if 0 <= last < n:
                whole = stride == 1 and count == n
                stop = last + (1 if stride > 0 else -1)
                index.append(slice(None) if whole else slice(first, stop if stop >= 0 else None, stride))
                left.pop(0)
                continue
        index.append(first)
    if left:
        return None
    # Axes of one element were left out; they are new axes now.
    places = iter([i for i, item in enumerate(index) if isinstance(item, slice)])
    found: list[Any] = []
    taken = 0
    for n in view.shape:
        if n == 1:
            found.append(None)
        else:
            place = next(places)
            found += index[taken : place + 1]
            taken = place + 1
    found += index[taken:]
    same = base[(*found, ...)]
    fits = same.shape == view.shape and _address(same) == _address(view)
    return tuple(found) if fits else None


def positions(view: Array, base: Array) -> Array | None:
    """Returns for each element of an array its position in another, flattened; None if some are not in it."""
    own, order = _offsets(view), _offsets(base).reshape(-1)
    own = own + (_address(view) - _address(base))
    if not view.size or not base.size:
        return own if not view.size else None
    ranks = np.argsort(order, kind="stable")
    spots = np.searchsorted(order[ranks], own)
    found = ranks[np.minimum(spots, len(ranks) - 1)]
    return found if bool((order[found] == own).all()) else None


def _offsets(array: Array) -> Array:
    total: Array = np.zeros((), np.int64)
    for n, step in zip(array.shape, array.strides, strict=True):
        total = total[..., None] + np.arange(n) * step
    return total


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


# --- by ops


class Move(NamedTuple):
    """An op that made a view, and which of its results that is."""

    node: Node
    output: int


def moves(value: Value | None, sources: Iterable[Value]) -> list[Move] | None:
    """Returns the ops, first to last, by which a value is a view of one of some others; None if it is none."""
    sources = set(sources)
    found: list[Move] = []
    while value not in sources:
        if value is None or value.node is None or not value.node.op.view or type(value.node.inputs[0]) is not Value:
            return None
        found.append(Move(value.node, value.index))
        value = value.node.inputs[0]
    return found[::-1]


def moved(x: Any, path: Sequence[Move]) -> Any:
    """Applies ops to a tensor."""
    for move in path:
        node = move.node
        x = OPS["slice_at"](x, index=_piece(move)) if node.op.name == "split_to" else node.op(x, **node.attrs)
    return x


def replaced(x: Any, path: Sequence[Move], new: Any) -> Any:
    """Returns a tensor in which the part that some ops select is replaced.

    Raises:
        TraceError: the part has an element more than once, or is detached.
    """
    if not path:
        return new
    node = path[0].node
    inner = replaced(moved(x, path[:1]), path[1:], new) if len(path) > 1 else new
    if node.op.name == "slice_at":
        return OPS["slice_put"](x, inner, index=node.attrs["index"])
    if node.op.name == "split_to":
        return OPS["slice_put"](x, inner, index=_piece(path[0]))
    if node.op.name == "permute":
        dims = [d % len(x.shape) for d in node.attrs["dims"]]
        return OPS["permute"](inner, dims=tuple(np.argsort(dims).tolist()))
    if node.op.name in ("reshape_to", "squeeze", "unsqueeze"):
        return OPS["reshape_to"](inner, shape=x.shape)
    raise TraceError(
        f"{user_location()}: a write through {node.op.name} would change the tensor that it was made of, in a way that "
        "no graph records; write to a clone()"
    )


def _piece(move: Move) -> tuple[Any, ...]:
    """Returns the index of a part that a split made."""
    sizes, value = move.node.attrs["sizes"], move.node.inputs[0]
    start = sum(sizes[1 : move.output], sizes[0]) if move.output else 0
    dim = move.node.attrs.get("dim", 0) % len(value.shape)
    return (*[slice(None)] * dim, slice(start, start + sizes[move.output]))
