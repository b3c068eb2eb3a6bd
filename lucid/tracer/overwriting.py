"""Overwriting: what ``x[index] = value``, ``x += y`` and methods such as ``x.clamp_()`` do.

- Where nothing is recorded, the elements are overwritten, and that is all.
- Where gradients are recorded, they are overwritten, too, and the tensor gets a new value in the graph: the result of
  an op such as ``slice_put``. The op is recorded as if it had copied the tensor; but no gradient needs the old
  elements, so nothing is copied.
- In a trace, nothing is overwritten: the op runs, and the tensor stands for its result.

If the tensor is a view, its base gets the result of another ``slice_put``, and the views follow: see `aliases`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, GradientError, ShapeError, TraceError
from .aliases import follow, moved, moves, part, positions, replaced, take
from .dim import has_dim
from .location import user_location
from .mode import MODE, Mode
from .node import FREED, Node, Spec, Value
from .op import FUNCTIONS, OPS
from .trace import Trace
from .writes import CUT, LIVE, WRITES, Family, base_for, touch, written_of

__all__ = ["assign", "detached", "given", "require_inside", "reshaped", "update"]

Array = np.ndarray[Any, Any]

_KINDS = "biuf"
"""The kinds of dtypes; a result fits into a tensor whose kind is no earlier one."""


_COPIED = frozenset(
    {"band_scan", "class_losses", "ctc_paths", "div", "gru", "lstm", "maximum", "minimum", "normalized", "ordered"}
    | {"pow", "rnn", "scan"}
)
"""The ops that keep their results for the gradient, where PyTorch's do not, so that PyTorch's may be overwritten."""


def update(x: Any, name: str, *args: Any, **options: Any) -> Any:
    """Overwrites a tensor with the result of a function of it and of further arguments, and returns the tensor.

    Raises:
        ShapeError: the result has another shape. DtypeError: it does not fit the dtype.
        GradientError: it is a leaf that requires gradients, or a view of one.
        TraceError: in a trace, the tensor was made outside.
    """
    function, mode = FUNCTIONS[name], MODE.get()
    if LIVE:
        follow((x, *args))
    if mode.trace is not None:
        _require_recordable(mode.trace, x, mode.grad)
        _settle(mode.trace, x, _fitting(x, function(x, *args, **options), name))
        return x
    _require_writable(x)
    if not (mode.grad and _needs((x, *args, *options.values()))):
        result = _fitting(x, function(x, *args, **options), name)
        np.copyto(x._data, result._data, casting="unsafe")
        touch(x)
        return x
    _require_graph(x)
    # The op may keep the old elements for its gradient.
    old = type(x)._wrap(x._data.copy(), x._value)
    result = _fitting(x, function(old, *[old if arg is x else arg for arg in args], **options), name)
    if not result._requires_grad:
        return assign(x, (...,), (), result)
    np.copyto(x._data, result._data)
    touch(x)
    _rebase(x, result._value)
    return x


def assign(x: Any, index: tuple[Any, ...], tensors: tuple[Any, ...], value: Any) -> Any:
    """Stores a value at an index of a tensor, and returns the tensor.

    Args:
        x: the tensor.
        index: integers, slices, None and Ellipsis; ``"*"`` for each of the index tensors.
        tensors: the index tensors, of integers or bools.
        value: a tensor that broadcasts to ``x[index]``, or a number.

    Raises:
        AxisError: the index is out of range. ShapeError: the value does not fit.
        GradientError: it is a leaf that requires gradients, or a view of one.
        TraceError: in a trace, the tensor was made outside.
    """
    mode = MODE.get()
    if LIVE:
        follow((x, value))
    if mode.trace is not None:
        _require_recordable(mode.trace, x, mode.grad)
        if getattr(value, "_base", None) is not None and not tensors and _ends(x, index, value):
            return x
        if len(getattr(value, "shape", ())) > 0:
            place = OPS["index_at"](x, *tensors, index=index) if tensors else OPS["slice_at"](x, index=index)
            value = _stripped(value, len(place.shape))
        put = OPS["index_put"] if tensors else OPS["slice_put"]
        _settle(mode.trace, x, put(x, value, *tensors, index=index))
        return x
    data = x._data
    if not data.flags.writeable:
        _require_writable(x)
    needs = mode.grad and data.dtype.kind == "f" and (x._requires_grad or getattr(value, "_requires_grad", False))
    if needs:
        _require_graph(x)
    plain = getattr(value, "_data", value)
    arrays = [tensor._data for tensor in tensors]
    try:
        if tensors:
            data[_filled(index, arrays)] = plain
            touch(x)
        else:
            region = data[index]
            if type(region) is not np.ndarray:
                region = data[(*index, ...)]
            if getattr(value, "_base", None) is not None and _same(region, plain):
                return x  # the end of a statement like x[0] += y
            region[...] = plain
            WRITES.add_part(written_of(x), data, index)
    except IndexError as error:
        raise AxisError(f"assignment: {error}; got a tensor of shape {x.shape}") from error
    except (ValueError, TypeError) as error:
        raise ShapeError(f"assignment: {error}") from error
    if not needs:
        return x
    if tensors:
        ndim = len(getattr(value, "shape", ()))
        source = _edge(_stripped(value, data[_filled(index, arrays)].ndim if ndim > 1 else ndim))
        _rebase(x, _put(x, source, index, [np.array(array) for array in arrays]))
        return x
    source = _edge(_stripped(value, region.ndim))
    base = base_for(x)
    value = _put(x, source, index) if base is x else _placed(base, region, source)
    del data, region  # they would look like a view
    _begin(base, value)
    if base is not x:
        follow((x,))
    return x


def reshaped(x: Any, name: str, *args: Any) -> Any:
    """Gives a tensor the shape of a view of it, and returns the tensor: it keeps its memory."""
    mode = MODE.get()
    if LIVE:
        follow((x,))
    if mode.trace is not None:
        _require_recordable(mode.trace, x, mode.grad)
    elif mode.grad:
        _require_graph(x)
    elif x._requires_grad and _is_leaf(x):
        x._replace(FUNCTIONS[name](x, *args)._data)
        return x
    base = x._base
    token = MODE.set(Mode(True, mode.trace))
    try:
        view = FUNCTIONS[name](x, *args)
    finally:
        MODE.reset(token)
    x._data, x._value = view._data, view._value
    if mode.trace is not None and hasattr(x, "_shape"):
        x._shape = view._shape
    if type(base) is Family:
        base.values.clear()
    return x


def detached(x: Any) -> Any:
    """Makes a tensor a leaf that requires no gradients, and returns it."""
    mode = MODE.get()
    if x._base is not None and type(x._base) is not Family:
        raise GradientError("Can't detach views in-place; use detach() instead")
    if mode.trace is not None:
        _require_recordable(mode.trace, x, True)
        _settle(mode.trace, x, OPS["clone"](OPS["detach"](x)))
        return x
    x._value, x._requires_grad = None, False
    return x


def given(x: Any, other: Any) -> None:
    """Gives a tensor the memory of another one; what it stands for in a graph stays.

    Raises:
        DtypeError: it requires gradients, and the other's elements are no floats. ShapeError: it is not a leaf, and the
            other has another shape or dtype. TraceError: in a trace.
    """
    if MODE.get().trace is not None:
        raise TraceError(f"{user_location()}: x.data = y gives a tensor other elements, which a graph cannot record")
    if x._requires_grad and other.dtype.kind != "f":
        raise DtypeError(f"data: only floating-point tensors can require gradients; got {other.dtype}")
    if x.is_leaf:
        x._replace(other._data)
        return
    if (other._data.shape, other.dtype) != (x._data.shape, x.dtype):
        raise ShapeError(
            f"data: the result of an op keeps its shape and dtype; got {other.dtype}{list(other.shape)} for "
            f"{x.dtype}{list(x.shape)}"
        )
    x._data, x._base = other._data, None


def _filled(index: tuple[Any, ...], arrays: list[Array]) -> tuple[Any, ...]:
    given = iter(arrays)
    return tuple([next(given) if type(item) is str else item for item in index])


def _ends(x: Any, index: tuple[Any, ...], value: Any) -> bool:
    """Returns whether a value in a trace is what ``x[index]`` is: at the end of a statement like ``x[0] += y``."""
    node = value._value.node
    return (
        node is not None
        and node.op.name == "slice_at"
        and node.inputs[0] == x._value
        and not has_dim((index, node.attrs["index"]))
        and node.attrs["index"] == index
    )


def _same(x: Array, y: Array) -> bool:
    """Returns whether two arrays are the same part of the same memory."""
    return x.__array_interface__ == y.__array_interface__


# --- checks


def _needs(inputs: tuple[Any, ...]) -> bool:
    return any(getattr(x, "_requires_grad", False) for x in inputs)


def _fitting(x: Any, result: Any, name: str) -> Any:
    """Returns the result of a function in the dtype of the tensor that it is written to."""
    if result._data.shape != x._data.shape:
        raise ShapeError(
            f"{name}_: output with shape {x.shape} doesn't match the broadcast shape {result.shape}; a tensor keeps "
            "its shape when it is written to"
        )
    if result.dtype == x.dtype:
        return result
    if _KINDS.index(result.dtype.kind.replace("u", "i")) > _KINDS.index(x.dtype.kind.replace("u", "i")):
        raise DtypeError(
            f"{name}_: result type {result.dtype} can't be cast to the desired output type {x.dtype}; convert the "
            "tensor first, or write x = x + y instead of x += y"
        )
    return OPS["astype"](result, dtype=x.dtype)


def _require_writable(x: Any) -> None:
    if x._data.flags.writeable:
        return
    if any(not step and n > 1 for n, step in zip(x._data.shape, x._data.strides, strict=True)):
        raise ShapeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location; "
            "clone() the tensor before writing to it"
        )
    raise ShapeError("the memory of this tensor is read-only, as its NumPy array says; clone() it before writing to it")


def _is_leaf(x: Any) -> bool:
    return x._value is None or x._value.is_leaf


def _require_graph(x: Any) -> None:
    """Checks that gradients can be recorded for a write."""
    base = base_for(x)
    if x._requires_grad and _is_leaf(x):
        raise GradientError(
            "a leaf Variable that requires grad is being used in an in-place operation; write to it under "
            "lucid.no_grad(), or compute a new tensor"
        )
    if base is CUT:
        raise GradientError(
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled; create it where "
            "gradients are recorded, write to it under lucid.no_grad(), or use a clone()"
        )
    if base is not x and base._requires_grad and _is_leaf(base):
        raise GradientError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation; write to it under "
            "lucid.no_grad(), or use a clone()"
        )
    if (value := base._value) is not None and value.node is not None and value.node.op.name in _COPIED:
        _release(value.node, base._data)


def _release(node: Node, data: Array) -> None:
    """Gives a node its own copy of a result that is to be overwritten."""
    if node.needs_grad and node.saved is not FREED:
        kept, outputs, shapes = node.saved
        node.saved = kept, tuple([array.copy() if array is data else array for array in outputs]), shapes


def require_inside(trace: Trace, x: Any) -> None:
    """Checks that a tensor was made inside of a trace, so that a write to it changes nothing else."""
    base = base_for(x)
    if base is CUT or not trace.makes(x) or not trace.makes(base):
        raise TraceError(
            f"{user_location()}: a write to a tensor that was made outside, such as an input, a state, a parameter or "
            "a buffer, which a graph cannot change; write to a copy, x = x.clone(), or compute a new tensor, "
            "x = x + y, and return it"
        )


def _require_recordable(trace: Trace, x: Any, grad: bool) -> None:
    """Checks that a trace can record a write to a tensor."""
    require_inside(trace, x)
    base = base_for(x)
    if (x._requires_grad or base._requires_grad) and (x.is_leaf or base.is_leaf):
        _require_graph(x)
    if not grad and base._requires_grad:
        raise TraceError(
            f"{user_location()}: a write under no_grad to a tensor that requires gradients: in a graph, its gradient "
            "would be that of other elements; write to x.detach().clone()"
        )


# --- the graph


def _rebase(x: Any, value: Value) -> None:
    """Makes a tensor, whose memory was overwritten, stand for a new value in the graph; so does its base."""
    base = base_for(x)
    if base is not x:
        value = _placed(base, x._data, value)
    _begin(base, value)
    follow((x,))


def _begin(base: Any, value: Value) -> None:
    """Makes a tensor that is no view stand for a new value."""
    family = base._base
    if family is None:
        family = base._base = Family()
    if base._data.base is not None or _count(base) > _ALONE:
        family.begin()
    base._value, base._requires_grad = value, True
    family.time = WRITES.now


def _count(x: Any) -> int:
    """Returns how often the array of a tensor is referred to; each view of it does so."""
    return sys.getrefcount(x._data)


class _Alone:
    """Something with an array that nobody else has."""

    def __init__(self) -> None:
        self._data = np.zeros(1)


_ALONE = _count(_Alone())


def _settle(trace: Trace, x: Any, result: Any) -> None:
    """Makes a tensor of a trace stand for a new value; so does its base."""
    base = base_for(x)
    path = moves(x._value, [base._value])
    if path is None:
        raise TraceError(
            f"{user_location()}: a write to a tensor whose memory a graph cannot follow; write to a clone()"
        )
    family = base._base
    if type(family) is not Family:
        family = base._base = Family()
    family.begin()
    family.values.add(base._value)
    if base._value in trace.captured:
        trace.captured[base._value] = type(base)._wrap(base._data)  # the constant that it was
    take(base, replaced(base, path, result))
    family.time = WRITES.now
    if base is not x:
        take(x, moved(base, path))


def _placed(base: Any, region: Array, source: Any) -> Value:
    """Records that a value was stored in a part of the memory of a tensor, and returns the tensor's new value."""
    index = part(region, base._data)
    if index is not None:
        return _put(base, source, index)
    places = positions(region, base._data)
    if places is None:
        raise GradientError("a write to a view whose base was given other memory since; make the view anew")
    flat = type(base)._wrap(base._data.reshape(-1), _edge(base) and _shaped(_edge(base), (base._data.size,)))
    return _shaped(_put(flat, source, ("*",), [places]), base._data.shape)


def _shaped(value: Value, shape: tuple[int, ...]) -> Value:
    """Records that a value got another shape."""
    spec, shapes = Spec(shape, value.dtype), (value.shape,)
    node = Node(OPS["reshape_to"], (value,), {"shape": shape}, (spec,), True, ({}, (), shapes), WRITES.now)
    return node.value()


def _put(x: Any, source: Any, index: tuple[Any, ...], arrays: Sequence[Array] = ()) -> Value:
    """Records that a value was stored in a tensor, which has been done in place; returns the tensor's new value."""
    name, data = "index_put" if arrays else "slice_put", x._data
    kept = dict(enumerate(arrays, 2))
    inputs = (_edge(x), source, *[None for _ in arrays])
    spec = Spec(data.shape, data.dtype)
    node = Node(OPS[name], inputs, {"index": index}, (spec,), True, (kept, (), ()), WRITES.now)
    return Value(spec.shape, spec.dtype, True, node)


def _edge(x: Any) -> Any:
    """Returns an operand as a node outside a trace stores it: a value that gradients flow to, a number, or None."""
    if isinstance(x, (bool, int, float)):
        return x
    return (x._value or x._leaf_value()) if x._requires_grad else None


def _stripped(value: Any, ndim: int) -> Any:
    """Returns a value without the leading axes of one element that its place does not have."""
    if isinstance(value, (bool, int, float)):
        return value
    extra = len(value.shape) - ndim
    return value if extra <= 0 else OPS["reshape_to"](value, shape=value.shape[extra:])
