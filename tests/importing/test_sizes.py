"""Graphs that compute with sizes: imported, right at sizes that nobody saw, and exported again with free axes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import lucid
from lucid.export import to_onnx
from tests.tiers import thinned

GRAPHS = {
    # PyTorch's exporter: x.view(x.size(0), -1)
    "view": """(float[N, T, 4] x) => (float[N, M] y) <int64 zero = {0}, int64[1] minus = {-1}, int64[1] first = {0}> {
        shape = Shape (x)  n = Gather <axis = 0> (shape, zero)  row = Unsqueeze (n, first)
        target = Concat <axis = 0> (row, minus)  y = Reshape (x, target) }""",
    # PyTorch's exporter: weight.expand(x.size(0), -1)
    "expand": """(float[N, T, 4] x) => (float[N, 4] y)
        <int64 zero = {0}, int64[1] first = {0}, int64[1] minus = {-1}, int64[1] two = {2},
         float[1, 4] w = {1, 2, 3, 4}> {
        shape = Shape (x)  n = Gather (shape, zero)  row = Unsqueeze (n, first)
        target = Concat <axis = 0> (row, minus)
        ones = ConstantOfShape <value = int64[1] {1}> (two)  all = Mul (ones, minus)
        kept = Equal (target, all)  whole = Where (kept, ones, target)  y = Expand (w, whole) }""",
    # a mean over time, as tf2onnx divides
    "mean": """(float[N, T, 4] x) => (float[N, 4] y) <int64[1] axis = {1}, int64 one = {1}> {
        sum = ReduceSum <keepdims = 0> (x, axis)  shape = Shape (x)  t = Gather (shape, one)
        count = Cast <to = 1> (t)  y = Div (sum, count) }""",
    # a causal mask: Range, Unsqueeze and a comparison
    "causal": """(float[N, T, 4] x) => (float[N, T, T] y)
        <int64 one = {1}, int64 zero = {0}, int64[1] last = {1}, float low = {-10000.0}> {
        shape = Shape (x)  t = Gather (shape, one)  places = Range (zero, t, one)
        rows = Unsqueeze (places, last)  seen = LessOrEqual (places, rows)
        turned = Transpose <perm = [0, 2, 1]> (x)  scores = MatMul (x, turned)  y = Where (seen, scores, low) }""",
    # PyTorch's exporter: torch.ones(T, T).triu(1)
    "triu": """(float[N, T, 4] x) => (float[T, T] y) <int64[1] from = {1}, int64[1] to = {2}, int64 k = {1}> {
        shape = Shape (x)  t = Slice (shape, from, to)  both = Concat <axis = 0> (t, t)
        ones = ConstantOfShape <value = float[1] {1}> (both)  y = Trilu <upper = 1> (ones, k) }""",
    # the first half of the steps, by a quotient that rounds towards zero
    "half": """(float[N, T, 4] x) => (float[N, S, 4] y)
        <int64 one = {1}, int64 two = {2}, int64[1] first = {0}, int64[1] axis = {1}> {
        shape = Shape (x)  t = Gather (shape, one)  s = Div (t, two)  end = Unsqueeze (s, first)
        y = Slice (x, first, end, axis) }""",
    # heads of attention: (N, T, 4) to (N, 2, T, 2) and back
    "heads": """(float[N, T, 4] x) => (float[N, T, 4] y)
        <int64 zero = {0}, int64 one = {1}, int64[1] first = {0}, int64[2] tail = {2, 2}, int64[1] four = {4}> {
        shape = Shape (x)  n = Gather (shape, zero)  t = Gather (shape, one)
        rows = Unsqueeze (n, first)  steps = Unsqueeze (t, first)
        wide = Concat <axis = 0> (rows, steps, tail)  z = Reshape (x, wide)  h = Transpose <perm = [0, 2, 1, 3]> (z)
        e = Exp (h)  back = Transpose <perm = [0, 2, 1, 3]> (e)
        flat = Concat <axis = 0> (rows, steps, four)  y = Reshape (back, flat) }""",
    # padding to a multiple of 8
    "multiple": """(float[N, T, 4] x) => (float[N, S, 4] y)
        <int64[1] from = {1}, int64[1] to = {2}, int64[1] eight = {8}, int64[4] before = {0, 0, 0, 0},
         int64[1] after = {0}> {
        shape = Shape (x)  t = Slice (shape, from, to)  rest = Mod (t, eight)  lack = Sub (eight, rest)
        more = Mod (lack, eight)  pads = Concat <axis = 0> (before, more, after)  y = Pad (x, pads) }""",
    # zeros as the first state of a recurrent layer
    "state": """(float[T, N, 2] x) => (float[T, 1, N, 2] y)
        <int64[1] from = {1}, int64[1] to = {2}, int64[1] one = {1}, int64[1] two = {2},
         float[1, 2, 2] w = {0.1, 0.2, 0.3, 0.4}, float[1, 2, 2] r = {0.5, 0.6, 0.7, 0.8}> {
        shape = Shape (x)  n = Slice (shape, from, to)  size = Concat <axis = 0> (one, n, two)
        h0 = ConstantOfShape <value = float[1] {0}> (size)  y, last = RNN <hidden_size = 2> (x, w, r, , , h0) }""",
    # tf2onnx: sizes as int32, StridedSlice as Slice and Squeeze, Pack as Unsqueeze and Concat
    "packed": """(float[N, T, 4] x) => (float[M, 4] y)
        <int64[1] i = {0}, int64[1] j = {1}, int64[1] k = {2}, int32[1] four = {4}> {
        shape = Shape (x)  whole = Cast <to = 6> (shape)  a = Slice (whole, i, j)  n = Squeeze (a, i)
        b = Slice (whole, j, k)  t = Squeeze (b, i)  m = Mul (n, t)  row = Unsqueeze (m, i)
        both = Concat <axis = 0> (row, four)  target = Cast <to = 7> (both)  y = Reshape (x, target) }""",
    # scores that are divided by the root of a size
    "root": """(float[N, T, 4] x) => (float[N, T, 4] y) <int64[1] from = {1}, int64[1] to = {2}> {
        shape = Shape (x)  t = Slice (shape, from, to)  f = Cast <to = 1> (t)  s = Sqrt (f)  y = Div (x, s) }""",
    # twice as many steps, by sizes
    "resize": """(float[N, 4, T] x) => (float[N, 4, S] y) <int64[1] i = {0}, int64[1] j = {2},
        int64[1] k = {3}, int64[1] two = {2}> {
        shape = Shape (x)  head = Slice (shape, i, j)  t = Slice (shape, j, k)  s = Mul (t, two)
        sizes = Concat <axis = 0> (head, s)
        y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , , sizes) }""",
    # the same by scales
    "scales": """(float[N, 4, T] x) => (float[N, 4, S] y) <float[3] by = {1, 1, 2}> {
        y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
                    nearest_mode = "floor"> (x, , by) }""",
    # the positions of the steps, looked up in a table
    "positions": """(float[N, T, 2] x) => (float[N, T, 2] y)
        <int64 one = {1}, int64 zero = {0}, float[32, 2] table> {
        shape = Shape (x)  t = Gather (shape, one)  at = Range (zero, t, one)
        rows = Gather (table, at)  y = Add (x, rows) }""",
    # at most three steps, and at least one less than all
    "bounds": """(float[N, T, 4] x) => (float[N, S, 4] y, float[N, R, 4] z)
        <int64[1] from = {1}, int64[1] to = {2}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}> {
        shape = Shape (x)  t = Slice (shape, from, to)  s = Min (t, three)  y = Slice (x, zero, s, one)
        less = Sub (t, one)  r = Max (less, one)  z = Slice (x, zero, r, one) }""",
    # two axes as one, by the product of their sizes, and the number of all elements
    "product": """(float[N, T, 4] x) => (float[M, 4] y, float m)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[1] minus = {-1}> {
        shape = Shape (x)  head = Slice (shape, zero, two)  m1 = ReduceProd <keepdims = 1> (head)
        target = Concat <axis = 0> (m1, minus)  y = Reshape (x, target)
        all = Size (x)  m = Cast <to = 1> (all) }""",
    # a row for each sequence, by Tile
    "tile": """(float[N, T, 4] x) => (float[N, 4] y)
        <int64[1] zero = {0}, int64[1] one = {1}, float[1, 4] row = {1, 2, 3, 4}> {
        shape = Shape (x)  n = Slice (shape, zero, one)  by = Concat <axis = 0> (n, one)  y = Tile (row, by) }""",
    # time turned around, and its last step
    "reversed": """(float[N, T, 4] x) => (float[N, T, 4] y, float[N, 4] z)
        <int64[1] start = {-1}, int64[1] end = {-9223372036854775808}, int64[1] axis = {1}, int64 last = {-1}> {
        y = Slice (x, start, end, axis, start)  z = Gather <axis = 1> (x, last) }""",
    # PyTorch's exporter: chunk, a last piece that may be smaller
    "split": """(float[N, T, 4] x) => (float[N, A, 4] y, float[N, B, 4] z)
        <int64[1] from = {1}, int64[1] to = {2}, int64[1] one = {1}, int64[1] two = {2}> {
        shape = Shape (x)  t = Slice (shape, from, to)  more = Add (t, one)  a = Div (more, two)  b = Sub (t, a)
        sizes = Concat <axis = 0> (a, b)  y, z = Split <axis = 1> (x, sizes) }""",
    # the steps before the last, by a negative end, and the axes of what is flattened
    "flat": """(float[N, T, 4] x) => (float[N, M] y)
        <int64[1] zero = {0}, int64[1] end = {-1}, int64[1] axis = {1}> {
        less = Slice (x, zero, end, axis)  y = Flatten <axis = 1> (less) }""",
    # as many results as steps, by padding that follows from the length
    "same": """(float[N, 4, T] x) => (float[N, 2, S] y) <float[2, 4, 3] w> {
        y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w) }""",
    # windows that the padding completes
    "pool": """(float[N, 4, T] x) => (float[N, 4, S] y, float[N, 4, S] z) {
        y = MaxPool <kernel_shape = [3], strides = [2], pads = [1, 1], ceil_mode = 1> (x)
        z = AveragePool <kernel_shape = [3], strides = [2], pads = [1, 1]> (x) }""",
    # twice as many steps, learnt
    "transposed": """(float[N, 4, T] x) => (float[N, 2, S] y) <float[4, 2, 4] w> {
        y = ConvTranspose <strides = [2], pads = [1, 1]> (x, w) }""",
    # spectra of frames
    "spectra": """(float[N, T, 1] x) => (float[N, F, 2, 2] y) <int64 step = {1}, int64 length = {2}> {
        y = STFT (x, step, , length) }""",
    # running totals of the steps before
    "totals": """(float[N, T, 4] x) => (float[N, T, 4] y) <int64 axis = {1}> {
        y = CumSum <exclusive = 1, reverse = 1> (x, axis) }""",
    # the largest steps, no more than there are
    "largest": """(float[N, T, 4] x) => (float[N, K, 4] y)
        <int64[1] from = {1}, int64[1] to = {2}, int64[1] three = {3}> {
        shape = Shape (x)  t = Slice (shape, from, to)  k = Min (t, three)  y, at = TopK <axis = 1> (x, k) }""",
}


def model_of(name: str) -> onnx.ModelProto:
    """Returns the model of a text; a weight without numbers is made up."""
    declared = re.compile(r",? ?float\[([\d, ]+)\] (\w+)(?=[,>])")
    text = GRAPHS[name]
    rng = np.random.default_rng(4)
    weights = []
    for shape, weight in declared.findall(text):
        array = rng.standard_normal([int(n) for n in shape.split(",")]).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(array, weight))
    text = declared.sub("", text).replace("<>", "").replace("<,", "<")
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]> graph ' + text)
    model.graph.initializer.extend(weights)
    return model


def example(model: onnx.ModelProto, n: int, t: int) -> Any:
    sizes = {"N": n, "T": t}
    axes = model.graph.input[0].type.tensor_type.shape.dim
    shape = [sizes[axis.dim_param] if axis.dim_param else axis.dim_value for axis in axes]
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def by_onnxruntime(model: onnx.ModelProto, x: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


@pytest.mark.parametrize("name", thinned(GRAPHS, 2))
def test_sizes_stay_sizes(name):
    model = model_of(name)
    imported = lucid.from_onnx(model)
    exported = to_onnx(imported, lucid.tensor(example(model, 3, 6)))
    axes = model.graph.input[0].type.tensor_type.shape.dim
    assert [*exported.fixed["x"]] == [i for i, axis in enumerate(axes) if not axis.dim_param], exported.fixed
    again = lucid.from_onnx(exported.proto)
    for n, t in ((3, 6), (1, 2), (4, 9), (2, 16)):
        x = example(model, n, t)
        for want, *found in zip(
            by_onnxruntime(model, x),
            by_onnxruntime(exported.proto, x),
            *([y.detach().numpy() for y in listed(module(lucid.tensor(x)))] for module in (imported, again)),
            strict=True,
        ):
            for y in found:
                assert (y.shape, y.dtype) == (want.shape, want.dtype)
                np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)


def listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple) else [results]
