"""Lowerings of normalization, convolution, losses over classes, and CTC."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from ...errors import ExportError
from ...ops import normalization  # noqa: F401 - nothing else loads its op
from .builder import Builder
from .operands import call, in_shape, out_dtype, out_shape, scalar
from .registry import lowers
from .shape import padded
from .sizes import joined, measured


@lowers("normalized")
def _(b: Builder, x: Any, weight: Any, bias: Any, axes: int, eps: float) -> Any:
    dtype = out_dtype(b)
    x = b.cast(x, dtype)
    weight, bias = (None if p is None else b.cast(p, dtype) for p in (weight, bias))
    shape = in_shape(b)[len(in_shape(b)) - axes :]
    # For float64, ONNX's LayerNormalization computes the means in float32.
    if b.opset >= 17 and dtype == np.float32 and all(isinstance(n, int) for n in shape):
        scale = np.ones(shape, dtype) if weight is None else weight
        return b.op("LayerNormalization", x, scale, bias, outputs=3, dtype=dtype, axis=-axes, epsilon=float(eps))
    taken = list(range(-axes, 0))
    centre = _mean(b, x, taken)
    y = b.op("Sub", x, centre)
    spread = call(b, "Add", _mean(b, b.op("Mul", y, y), taken), eps)
    scale = b.op("Reciprocal", b.op("Sqrt", spread))
    y = b.op("Mul", y, scale)
    y = y if weight is None else b.op("Mul", y, weight)
    return (y if bias is None else b.op("Add", y, bias)), centre, scale


@lowers("channels_normalized")
def _(b: Builder, x: Any, centre: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Any:
    dtype = out_dtype(b)
    rows = [None if row is None else b.cast(row, dtype) for row in (weight, bias, centre, variance)]
    channels = in_shape(b)[1]
    for i, number in ((0, 1), (1, 0)):
        if rows[i] is None:
            one = np.full(1, number, dtype)
            rows[i] = (
                b.const(one.repeat(channels)) if isinstance(channels, int) else b.op("Expand", one, b.size(channels))
            )
    if dtype == np.float64:  # the attribute is a float32
        rows[3], eps = b.op("Add", rows[3], np.array(eps)), 0.0
    return b.op("BatchNormalization", b.cast(x, dtype), *rows, epsilon=float(eps))


def _mean(b: Builder, x: Any, axes: list[int]) -> Any:
    if b.opset >= 18:
        return b.op("ReduceMean", x, np.array(axes, np.int64), keepdims=1)
    return b.op("ReduceMean", x, axes=axes, keepdims=1)


@lowers("normalized_slope")
def _(b: Builder, incoming: Any, x: Any, weight: Any, centre: Any, scale: Any, axes: int) -> Any:
    dtype = out_dtype(b)
    incoming, x, centre, scale = (b.cast(p, dtype) for p in (incoming, x, centre, scale))
    leading, taken = list(range(len(in_shape(b)) - axes)), list(range(-axes, 0))
    standard = b.op("Mul", b.op("Sub", x, centre), scale)
    h = incoming if weight is None else b.op("Mul", incoming, b.cast(weight, dtype))
    along = b.op("Mul", standard, _mean(b, b.op("Mul", h, standard), taken))
    gx = b.op("Mul", b.op("Sub", b.op("Sub", h, _mean(b, h, taken)), along), scale)
    if not leading:
        return gx, b.op("Mul", incoming, standard), incoming
    summed = np.array(leading, np.int64)
    gw = b.op("ReduceSum", b.op("Mul", incoming, standard), summed, keepdims=0)
    return gx, gw, b.op("ReduceSum", incoming, summed, keepdims=0)


@lowers("convolved")
def _(
    b: Builder,
    x: Any,
    weight: Any,
    bias: Any,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Any:
    dtype = out_dtype(b)
    before, after = zip(*padding, strict=True)
    # MatMul and Pad have no kernels for small integers.
    kernel_dtype = np.dtype(np.int32) if dtype.kind != "f" and dtype.itemsize < 4 else dtype
    x, weight = b.cast(x, kernel_dtype), b.cast(weight, kernel_dtype)
    bias = None if bias is None else b.cast(bias, kernel_dtype)
    if dtype == np.float32:
        options: dict[str, Any] = {"strides": list(stride), "pads": [*before, *after], "dilations": list(dilation)}
        return b.op("Conv", x, weight, bias, **options, group=groups)
    # onnxruntime has Conv only in float32; for other dtypes, one matrix product per group.
    batch = in_shape(b)[0]
    outputs, inner, *size = in_shape(b, 1)
    taps = padded(b, x, (0, 0, *before), (0, 0, *after))
    for i, (k, step, gap) in enumerate(zip(size, stride, dilation, strict=True)):
        taps = _windows(b, taps, k, step, gap, 2 + 2 * i)
    places = range(len(size))
    if len(size) > 1:
        taps = b.op("Transpose", taps, perm=[0, 1, *[2 + 2 * i for i in places], *[3 + 2 * i for i in places]])
    width = inner * math.prod(size)
    rows = b.op("Reshape", taps, joined(b, [batch, groups, width, -1]))
    kernel = b.op("Reshape", weight, np.array([groups, outputs // groups, width]))
    steps = [-1] if len(size) == 1 else list(out_shape(b)[2:])
    out = b.op("Reshape", b.op("MatMul", kernel, rows), joined(b, [batch, outputs, *steps]))
    if bias is not None:
        out = b.op("Add", out, b.op("Unsqueeze", bias, np.array([1 + i for i in places])))
    return b.cast(out, dtype)


@lowers("windows")
def _(b: Builder, x: Any, size: int, stride: int, dilation: int, axis: int) -> Any:
    return _windows(b, x, size, stride, dilation, axis)


def _windows(b: Builder, x: Any, size: int, stride: int, dilation: int, axis: int) -> Any:
    """Stacks a strided slice for each position of the kernel."""
    taps = [b.op("Unsqueeze", cut, np.array([axis])) for cut in _cuts(b, x, size, stride, dilation, axis)]
    return b.op("Concat", *taps, axis=axis) if len(taps) > 1 else taps[0]


def _cuts(b: Builder, x: Any, size: int, stride: int, dilation: int, axis: int) -> list[Any]:
    """Returns what each position of the kernel meets: a strided slice that ends where the last one leaves the axis."""
    _check_kernel(size)
    cuts = []
    for k in range(size):
        ahead = dilation * (size - 1 - k)
        stop = np.array([-ahead]) if ahead else np.array([2**62])
        cuts.append(b.op("Slice", x, np.array([k * dilation]), stop, np.array([axis]), np.array([stride])))
    return cuts


def _check_kernel(size: Any) -> None:
    if not isinstance(size, int):
        raise ExportError(f"the size of a kernel must be fixed; got {size}")


@lowers("window_max")
def _(b: Builder, x: Any, size: int, stride: int, dilation: int, axis: int) -> Any:
    # onnxruntime's MaxPool skips NaN, and Max does not.
    cuts = _cuts(b, x, size, stride, dilation, axis)
    largest = call(b, "Max", *cuts) if len(cuts) > 1 else cuts[0]
    if not b.is_read(1):
        return largest, None
    kernel = b.dtype(x) if b.dtype(x).kind == "f" or b.dtype(x).name in ("int32", "int64") else np.int64
    taps = _windows(b, b.cast(x, kernel), size, stride, dilation, axis)
    place = b.op("ArgMax", taps, dtype=np.int64, axis=axis, keepdims=0)
    if b.dtype(x).kind != "f":
        return largest, place
    # The last NaN counts as the largest.
    unknown = b.cast(b.op("IsNaN", taps, dtype=np.bool_), np.int64)
    last = b.op("ArgMax", unknown, dtype=np.int64, axis=axis, keepdims=0, select_last_index=1)
    return largest, b.op("Where", b.op("IsNaN", largest, dtype=np.bool_), last, place, dtype=np.int64)


@lowers("windows_sum")
def _(b: Builder, g: Any, size: int, stride: int, dilation: int, length: Any, axis: int) -> Any:
    _check_kernel(size)
    rank, rest = len(in_shape(b)) - 1, in_shape(b)[axis + 2 :]
    # Fills the gaps of the stride with zeros, shifts each row to its position, and adds up all rows.
    rows = b.op("Split", g, np.ones(size, np.int64), outputs=size, axis=axis) if size > 1 else (g,)
    total = None
    for k, row in enumerate(rows):
        row = b.op("Squeeze", row, np.array([axis]))
        if stride > 1:
            gaps = np.zeros(2 * (rank + 1), np.int64)
            gaps[rank + 1 + axis + 1] = stride - 1
            wide = b.op("Pad", b.op("Unsqueeze", row, np.array([axis + 1])), gaps)
            row = b.op("Reshape", wide, joined(b, [*[0] * axis, -1, *_known(b, g, rest, axis + 2)]))
        # Padded beyond the length, then cut to it: no formula gives the exact padding at the end.
        start = [0] * axis + [k * dilation] + [0] * (rank - axis - 1)
        room = b.op("Concat", np.array(start + [0] * axis), b.size(length), *_zeros(rank - axis - 1), axis=0)
        row = b.op("Slice", b.op("Pad", row, room), np.array([0]), b.size(length), np.array([axis]))
        total = row if total is None else b.op("Add", total, row)
    return total


def _zeros(count: int) -> list[Any]:
    return [np.zeros(count, np.int64)] if count else []


def _known(b: Builder, x: Any, sizes: tuple[Any, ...], first: int) -> list[Any]:
    """Returns the sizes of an axis and those after it; where no formula gives one, a value that measures it."""
    return [measured(b, x, first + i) if n is None else n for i, n in enumerate(sizes)]


# --- losses over classes


@lowers("class_losses")
def _(b: Builder, x: Any, target: Any, weight: Any, dim: int, ignore_index: int) -> Any:
    dtype = out_dtype(b)
    target = b.cast(target, np.int64)
    kept = b.op("Not", b.op("Equal", target, np.array(ignore_index), dtype=np.bool_))
    index = b.op("Where", kept, target, np.array(0), dtype=np.int64)
    logs = b.op("LogSoftmax", b.cast(x, dtype), axis=dim)
    picked = b.op("GatherElements", logs, b.op("Unsqueeze", index, np.array([dim])), axis=dim)
    zero = np.zeros((), dtype)
    loss = b.op("Where", kept, b.op("Neg", b.op("Squeeze", picked, np.array([dim]))), zero, dtype=dtype)
    shares = b.op("Softmax", b.cast(x, dtype), axis=dim)
    if weight is None:
        return loss, b.cast(kept, dtype), shares
    weights = b.op("Where", kept, b.op("Gather", b.cast(weight, dtype), index, axis=0), zero, dtype=dtype)
    return b.op("Mul", loss, weights), weights, shares


@lowers("product_or_zero")
def _(b: Builder, x: Any, weight: Any) -> Any:
    dtype = out_dtype(b)
    zero = np.zeros((), dtype)
    none = b.op("Equal", b.cast(weight, dtype), zero, dtype=np.bool_)
    return b.op("Where", none, zero, call(b, "Mul", x, weight), dtype=dtype)


@lowers("less_one_at")
def _(b: Builder, x: Any, target: Any, dim: int, ignore_index: int) -> Any:
    dtype = out_dtype(b)
    n = in_shape(b)[dim]
    target = b.op("Unsqueeze", b.cast(target, np.int64), np.array([dim]))
    if isinstance(n, int):
        classes: Any = np.arange(n)
    else:
        classes = b.op("Range", np.array(0), scalar(b, n, np.int64), np.array(1), dtype=np.int64)
    after = list(range(1, len(in_shape(b)) - dim))
    classes = b.op("Unsqueeze", classes, np.array(after)) if after else classes
    return b.op("Sub", x, b.cast(b.op("Equal", target, classes, dtype=np.bool_), dtype))


# --- connectionist temporal classification


@lowers("ctc_paths")
def _(b: Builder, emissions: Any, skips: Any) -> Any:
    dtype = out_dtype(b)
    _, batch, labels = out_shape(b)
    never = np.asarray(-1e30, dtype)
    skips = b.cast(skips, dtype)
    # A state before the first step, from which only the first two labels can be reached.
    start = b.op(
        "Pad",
        b.op("Expand", np.zeros((1, 1), dtype), joined(b, [batch, 1])),
        joined(b, [0, 0, 0, labels - 1]),
        never,
    )
    body = b.subgraph()
    a, e = body.argument("paths", dtype, 2), body.argument("emissions", dtype, 2)
    step = _shifted(body, a, 1, never)
    skip = body.op("Add", _shifted(body, a, 2, never), skips)
    top = body.op("Max", a, step, skip)
    parts = [body.op("Exp", body.op("Sub", part, top)) for part in (a, step, skip)]
    total = body.op("Add", top, body.op("Log", body.op("Add", body.op("Add", parts[0], parts[1]), parts[2])))
    now = body.op("Add", e, total)
    graph = body.graph([a, e], [now, body.op("Identity", now)])
    _, out = b.op("Scan", start, emissions, outputs=2, dtype=dtype, body=graph, num_scan_inputs=1)
    return out


def _shifted(b: Builder, x: Any, distance: int, value: np.ndarray[Any, Any] | None) -> Any:
    """Shifts the last axis to the right by a distance, or to the left if negative, and fills with `value` or 0."""
    return padded(b, x, (0, distance), (0, -distance), value)


@lowers("band_scan")
def _(b: Builder, g: Any, stay: Any, step: Any, skip: Any, reverse: bool) -> Any:
    dtype = out_dtype(b)
    _, batch, labels = out_shape(b)
    zero = ir.tensor(np.zeros(1, dtype))
    first = b.op("ConstantOfShape", joined(b, [batch, labels]), dtype=dtype, value=zero)
    # The first step has no predecessor, so its weights do not matter.
    ends = np.array([0, 0, 0, 1, 0, 0]) if reverse else np.array([1, 0, 0, 0, 0, 0])
    weights = [b.op("Pad", b.cast(w, dtype), ends) for w in (stay, step, skip)]
    body = b.subgraph()
    z, h, *w = (body.argument(name, dtype, 2) for name in ("z", "g", "stay", "step", "skip"))
    total = h
    for distance, weight in enumerate(w):
        if reverse:
            moved = body.op("Mul", weight, z)
            moved = _shifted(body, moved, -distance, None) if distance else moved
        else:
            moved = body.op("Mul", weight, _shifted(body, z, distance, None) if distance else z)
        total = body.op("Add", total, moved)
    graph = body.graph([z, h, *w], [total, body.op("Identity", total)])
    direction = int(reverse)
    _, out = b.op(
        "Scan",
        first,
        b.cast(g, dtype),
        *weights,
        outputs=2,
        dtype=dtype,
        body=graph,
        num_scan_inputs=4,
        scan_input_directions=[direction] * 4,
        scan_output_directions=[direction],
    )
    return out
