"""Lowerings of the ops that rearrange elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...errors import ExportError
from ...tracer.bounds import always, largest
from ...tracer.size import Size
from .builder import Builder
from .creation import filled
from .operands import call, in_shape, out_dtype, out_shape, values
from .reduce import axes_of
from .registry import lowers
from .sizes import joined

# ONNX clamps the bounds of a Slice, so these reach the last and the first element, in either direction.
LAST, FIRST = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def reshaped(b: Builder, x: Any, before: tuple[Any, ...], after: tuple[Any, ...]) -> Any:
    """Reshapes `x` from shape `before` to shape `after`. Sizes that vary need no Shape node as long as 0 (unchanged)
    and -1 (inferred) suffice."""
    if before == after and None not in after:
        return x
    source = _made_by(x, "Reshape")
    known = source is not None and source.shape is not None and None not in after
    if known and [str(n) for n in source.shape] == [str(n) for n in after]:  # type: ignore[union-attr]
        return source
    if 0 in after:
        # With allowzero, 0 is a size of zero; -1 would be ambiguous.
        if b.opset < 14:
            raise ExportError(f"a shape without elements, {after}, needs opset 14 or newer; got opset {b.opset}")
        return b.op("Reshape", x, b.sizes(after), allowzero=1)
    kept = [isinstance(n, Size) and i < len(before) and before[i] == n for i, n in enumerate(after)]
    open_ = [not isinstance(n, int) and not kept[i] for i, n in enumerate(after)]
    if sum(open_) > 1:
        if None in after:
            return b.op("Reshape", x, joined(b, [-1 if n is None else n for n in after]))
        if b.opset >= 14:
            # With allowzero, a size that is 0 in a run is no reference to an axis of the operand.
            return b.op("Reshape", x, b.sizes(after), allowzero=1)
        # There, a size of 0 refers to an axis of size one: the numbers of elements differ, and onnxruntime says so.
        return b.op("Reshape", unsqueezed(b, x, list(range(len(after)))), b.sizes(after))
    target = [0 if kept[i] else -1 if open_[i] else n for i, n in enumerate(after)]
    return b.op("Reshape", x, np.array(target, np.int64))


def squeezed(b: Builder, x: Any, axes: list[int]) -> Any:
    """Removes axes of size one."""
    source = _made_by(x, "Unsqueeze")
    if source is not None:
        inserted = b.array(x.producer().inputs[1])
        if inserted is not None and inserted.tolist() == sorted(axes):
            return source
    return b.op("Squeeze", x, np.array(axes, np.int64)) if axes else x


def unsqueezed(b: Builder, x: Any, axes: list[int]) -> Any:
    """Inserts axes of size one, at these positions of the result."""
    return b.op("Unsqueeze", x, np.array(axes, np.int64)) if axes else x


def transposed(b: Builder, x: Any, perm: list[int]) -> Any:
    """Permutes the axes."""
    if perm == sorted(perm):
        return x
    source = _made_by(x, "Transpose")
    if source is not None:
        first = x.producer().attributes["perm"].as_ints()
        return transposed(b, source, [first[axis] for axis in perm])
    array = b.array(x)
    if array is not None and not isinstance(x, np.ndarray):
        return b.const(array.transpose(perm), f"{b.label(x)}.T" if len(perm) == 2 else None)
    return b.op("Transpose", x, perm=perm)


def expanded(b: Builder, x: Any, before: tuple[Any, ...], after: tuple[Any, ...]) -> Any:
    """Broadcasts `x` from shape `before` to shape `after`. Expand keeps the size of an axis whose target is 1."""
    if 0 in after:
        # onnxruntime drops an Expand to a constant target of zeros and ones if it does not know the other sizes.
        return filled(b, after, 0, out_dtype(b))
    extra = len(after) - len(before)
    target = [1 if i >= extra and before[i - extra] == n else n for i, n in enumerate(after)]
    if not extra and all(isinstance(n, int) and n == 1 for n in target):
        return x
    return b.op("Expand", x, b.sizes(target))


def _made_by(x: Any, op_type: str) -> ir.Value | None:
    """Returns what a value is made of, if such an operator makes it."""
    maker = x.producer() if isinstance(x, ir.Value) else None
    return maker.inputs[0] if maker is not None and maker.op_type == op_type else None


@lowers("reshape_to")
def _(b: Builder, x: Any, shape: tuple[Any, ...]) -> Any:
    return reshaped(b, x, in_shape(b), out_shape(b))


@lowers("squeeze")
def _(b: Builder, x: Any, dim: Any) -> Any:
    shape = in_shape(b)
    axes = axes_of(dim, len(shape)) if dim is not None and shape else list(range(len(shape)))
    return squeezed(b, x, [axis for axis in axes or [] if isinstance(shape[axis], int) and shape[axis] == 1])


@lowers("unsqueeze")
def _(b: Builder, x: Any, dim: Any) -> Any:
    return unsqueezed(b, x, axes_of(dim, len(out_shape(b))) or [])


@lowers("permute")
def _(b: Builder, x: Any, dims: tuple[int, ...]) -> Any:
    return transposed(b, x, [d % len(dims) for d in dims])


@lowers("flip")
def _(b: Builder, x: Any, dims: Any) -> Any:
    rank = len(in_shape(b))
    axes = list(range(rank)) if dims is None else axes_of(dims, rank) or []
    if not axes or not rank:
        return x
    n = len(axes)
    return b.op("Slice", x, np.full(n, LAST), np.full(n, FIRST), np.array(axes), np.full(n, -1))


@lowers("expand_to")
def _(b: Builder, x: Any, shape: tuple[Any, ...]) -> Any:
    # A size that depends on elements stands in the target alone.
    after = [want if n is None else n for n, want in zip(out_shape(b), shape, strict=True)]
    return expanded(b, x, in_shape(b), tuple(after))


@lowers("concat")
def _(b: Builder, *tensors: Any, dim: int) -> Any:
    parts = values(b, tensors, out_dtype(b))
    return b.op("Concat", *parts, axis=dim) if len(parts) > 1 else parts[0]


@lowers("split_to")
def _(b: Builder, x: Any, sizes: tuple[Any, ...], dim: int) -> Any:
    if len(sizes) == 1:
        return (x,)
    return b.op("Split", x, b.sizes(sizes), outputs=len(sizes), axis=dim)


@lowers("passed")
def _(b: Builder, *tensors: Any, link: Any) -> Any:
    return tensors


@lowers("tile_by")
def _(b: Builder, x: Any, repeats: tuple[Any, ...]) -> Any:
    if all(isinstance(n, int) and n == 1 for n in repeats):
        return x
    return b.op("Tile", x, b.sizes(repeats))


@lowers("pad_with")
def _(b: Builder, x: Any, before: tuple[Any, ...], after: tuple[Any, ...], value: float) -> Any:
    dtype = out_dtype(b)
    # onnxruntime has no Pad for 16-bit integers.
    kernel = np.dtype(np.int32) if dtype.name in ("int16", "uint16") else dtype
    return b.cast(padded(b, b.cast(x, kernel), before, after, np.asarray(value, kernel) if value else None), dtype)


def padded(
    b: Builder, x: Any, before: Sequence[Any], after: Sequence[Any], value: np.ndarray[Any, Any] | None = None
) -> Any:
    """Emits Pad, then Slice for negative amounts: onnxruntime 1.22's Pad gets these wrong if nothing is left.

    What is cut off may be what was added, where an axis is short.
    """
    amounts = [largest(n, 0) for n in (*before, *after)]
    if not all(isinstance(n, int) and n == 0 for n in amounts):
        x = b.op("Pad", x, b.sizes(amounts), value)
    pairs = enumerate(zip(before, after, strict=True))
    cut = [i for i, (m, n) in pairs if not (always("ge", m, 0) and always("ge", n, 0))]
    if cut:
        starts = [largest(-before[i], 0) for i in cut]
        x = b.op("Slice", x, b.sizes(starts), joined(b, [_end(b, after[i]) for i in cut]), np.array(cut))
    return x


def _end(b: Builder, amount: Any) -> Any:
    """Returns where a slice ends that cuts off a negative amount, and nothing if it is positive."""
    if always("ge", amount, 0):
        return LAST
    if always("lt", amount, 0):
        return amount
    negative = b.op("Less", b.size(amount), np.array([0]), dtype=np.bool_)
    return b.op("Where", negative, b.size(amount), np.array([LAST]), dtype=np.int64)


@lowers("tril")
def _(b: Builder, x: Any, diagonal: int) -> Any:
    return _triangle(b, x, diagonal, 0)


@lowers("triu")
def _(b: Builder, x: Any, diagonal: int) -> Any:
    return _triangle(b, x, diagonal, 1)


def _triangle(b: Builder, x: Any, diagonal: int, upper: int) -> Any:
    if b.opset < 14:
        raise ExportError(f"tril and triu need opset 14 or newer; got opset {b.opset}")
    # Of the integer dtypes, onnxruntime 1.22's Trilu supports only int64.
    kernel = np.dtype(np.int64) if out_dtype(b).kind in "iu" else out_dtype(b)
    return b.cast(call(b, "Trilu", x, dtype=kernel, extra=[np.array(diagonal, np.int64)], upper=upper), out_dtype(b))
