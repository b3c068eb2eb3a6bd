"""Calls of single operators at the edges: numbers that are no numbers, overflow, empty axes, negative axes, dtypes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["ROWS", "Row"]

Array = np.ndarray[Any, Any]


class Row(NamedTuple):
    """A call of an operator.

    Attributes:
        op_type: the operator.
        inputs: its inputs; None for one that is left out.
        attributes: its attributes.
        outputs: the number of its outputs.
        opset: the operator set.
        otherwise: what lucid returns, where onnxruntime's kernel does not do what the standard says.
    """

    op_type: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    outputs: int = 1
    opset: int = 18
    otherwise: Any = None

    def __str__(self) -> str:
        given = ["-" if x is None else f"{x.dtype}{list(x.shape)}" for x in self.inputs]
        return " ".join([self.op_type, *given, *(f"{name}={value}" for name, value in self.attributes.items())])


ROWS: list[Row] = []


def row(
    op_type: str, *inputs: Any, outputs: int = 1, opset: int = 18, otherwise: Any = None, **attributes: Any
) -> None:
    ROWS.append(Row(op_type, inputs, attributes, outputs, opset, otherwise))


def f32(*values: Any) -> Array:
    return np.array(values[0] if len(values) == 1 else values, np.float32)


def i64(*values: Any) -> Array:
    return np.array(values[0] if len(values) == 1 else values, np.int64)


def as_(dtype: str, *values: Any) -> Array:
    return np.array(values[0] if len(values) == 1 else values, dtype)


_rng = np.random.default_rng(0)


def normal(*shape: int, dtype: str = "float32") -> Array:
    return _rng.standard_normal(shape).astype(dtype)


def whole(high: int, *shape: int, dtype: str = "uint8") -> Array:
    return _rng.integers(0, high, shape).astype(dtype)


NAN, INF = float("nan"), float("inf")
EXTREMES = f32(NAN, INF, -INF, 0.0, -0.0, 1.5, -2.5, 0.5, 1e30, -1e30)
X = normal(2, 3, 4)
I32 = as_("int32", [[1, -7], [3, 4]])

# --- elementwise

for _name in (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp"),
    *("Floor", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu"),
    *("Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh"),
    "ThresholdedRelu",
):
    row(_name, EXTREMES)
for _name in ("Abs", "Elu", "Exp", "Log", "LogSoftmax", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Tanh"):
    row(_name, as_("float16", -1.5, 0.25, 2.5, 7))
    row(_name, as_("float64", -1.5, 0.25, 2.5, 7))
row("Gelu", EXTREMES, opset=20)
row("Gelu", EXTREMES, opset=20, approximate="tanh")
row("Shrink", EXTREMES, lambd=0.7, bias=0.2)
row("PRelu", EXTREMES, f32([0.2]))
row("IsInf", EXTREMES, detect_negative=0)
row("IsInf", EXTREMES, detect_positive=0)
for _name in ("Max", "Min"):
    row(_name, EXTREMES, f32([1.0] * 10))
    row(_name, f32([1.0] * 10), EXTREMES)
    row(_name, EXTREMES)
    row(_name, as_("int32", 1, -5), as_("int32", [[3], [-9]]))
    row(_name, as_("int8", 1, 5), as_("int8", 3, 4))
    row(_name, as_("float16", 1, NAN), as_("float16", 0, 0))
    row(_name, f32(1.0), f32(NAN), f32([2.0, NAN]))
row("Clip", EXTREMES, f32(-1.0), f32(1.0))
row("Clip", EXTREMES, f32(2.0), f32(-2.0))
# onnxruntime takes the largest float for a bound that is left out; the standard has none.
row("Clip", EXTREMES, None, f32(1.0), otherwise=[np.minimum(EXTREMES, 1)])
row("Clip", EXTREMES, otherwise=[EXTREMES])
row("Clip", as_("int8", -100, 5, 100), as_("int8", -3), as_("int8", 9))
row("Clip", i64(1, 5, 100), i64(3), i64(7))
row("Add", as_("int32", 2**31 - 1, -(2**31)), as_("int32", 1, -1))
row("Mul", as_("int32", [2**30]), as_("int32", [4]))
row("Mul", i64([2**62]), i64([4]))
row("Add", as_("uint8", [250]), as_("uint8", [10]))
row("Sub", as_("uint32", [0]), as_("uint32", [1]))
row("Neg", as_("int8", [-128]))
row("Div", as_("int32", 7, -7, 7, -7, 0), as_("int32", 2, 2, -2, -2, 3))
row("Div", as_("uint8", 7, 200), as_("uint8", 2, 3))
row("Div", f32(1, -1, 0, NAN), f32(0, 0, 0, 1))
for _fmod in (0, 1):
    row("Mod", as_("int32", 7, -7, 7, -7), as_("int32", 3, 3, -3, -3), fmod=_fmod)
    row("Mod", as_("int8", 7, -7, 7, -7), as_("int8", 3, 3, -3, -3), fmod=_fmod)
row("Mod", f32(5.5, -5.5, 5.5, NAN, INF), f32(2, 2, -2, 1, 2), fmod=1)
row("Pow", f32(0, -8, 2, NAN, 1, -1), f32(0, 1 / 3, -1, 0, NAN, INF))
row("Pow", as_("int32", 2, 3, -2), as_("int32", 3, 2, 3))
row("Pow", as_("int32", 2, 3), f32(0.5, 2))
row("Pow", i64(2, 3), f32(-1, 2))
row("Pow", f32(2, 3), as_("int32", 2, -1))
row("Mean", f32([1]), f32([2]), f32([4]))
row("Equal", f32(NAN, INF), f32(NAN, INF))
row("Less", f32([NAN]), f32([1]))
row("BitShift", as_("uint8", 1, 255, 128), as_("uint8", 1, 3, 7), direction="LEFT")
row("BitShift", as_("uint64", 1, 2**63), as_("uint64", 63, 63), direction="RIGHT")
row("BitwiseXor", as_("int32", -1, 5), as_("int32", 3, -4))
row("Where", as_("bool", [[True], [False]]), f32(1, NAN), f32([[3, 4]]))
for _dtype, _values in (
    ("float32", [1.7, 0.0, 100.4]),
    ("float64", [1.7, 0.0, 100.4]),
    ("int64", [300, -1, 2**40]),
    ("int32", [300, -1, 70000]),
    ("bool", [True, False]),
    ("uint8", [0, 200]),
):
    for _to in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13):
        row("Cast", as_(_dtype, _values), to=_to)
row("Cast", f32(NAN, INF, 0, -0.0), to=9)
row("Cast", f32(1e6, 65520, 65519, 1e-8, 6e-8), to=10)
row("Softmax", f32([[-INF, -INF], [INF, 1], [NAN, 1], [-INF, 0]]))
row("LogSoftmax", f32([[-INF, -INF], [1000, 1], [NAN, 1], [-INF, 0]]))
row("Softmax", normal(2, 0))
row("Hardmax", f32([[1, 1, 0], [0, 2, 2]]))
row("Hardmax", X, axis=1)

# --- reductions

for _name in (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
):
    row(_name, X, i64([-1]), keepdims=0)
    row(_name, X, i64([-1, 0]))
    row(_name, X, i64([]), noop_with_empty_axes=1)
    row(_name, X, i64([]))
    row(_name, I32)
    row(_name, f32(3.0))
    row(_name, X.astype("float16"), i64([1]))
    # The standard has no mean of nothing; onnxruntime gives 0, and NumPy NaN.
    row(_name, normal(2, 0, 3), i64([1]), otherwise=[np.full((2, 1, 3), NAN)] if _name == "ReduceMean" else None)
# What is no number stays none; onnxruntime's kernels lose it, depending on its place and the axes.
ROW = f32([[1, NAN, 3], [4, 5, 6]])
row("ReduceMax", ROW, i64([1]), otherwise=[f32([[NAN], [6]])])
row("ReduceMin", ROW, i64([0]), otherwise=[f32([[1, NAN, 3]])])
row("ArgMax", ROW, axis=1, otherwise=[i64([[1], [2]])])
row("ArgMin", ROW, axis=1, otherwise=[i64([[1], [0]])])
for _name in ("ArgMax", "ArgMin"):
    for _last in (0, 1):
        row(_name, f32([[1, 1, 0], [0, 0, 0]]), axis=-1, select_last_index=_last)
        row(_name, as_("int32", [[1, 5, 5], [0, 0, 0]]), axis=0, keepdims=0, select_last_index=_last)
row("ReduceMax", as_("bool", [[True, False]]), i64([1]), opset=20)
row("ReduceMin", as_("int8", 3, -100))
for _largest in (0, 1):
    row("TopK", f32([[1, 1, 0], [0, 0, 0]]), i64([2]), outputs=2, largest=_largest)
    row("TopK", X, i64([0]), outputs=2, largest=_largest, axis=1)
    row("TopK", i64([1, 5, 5, 3]), i64([3]), outputs=2, largest=_largest)
for _exclusive in (0, 1):
    for _reverse in (0, 1):
        row("CumSum", X, i64(-1), exclusive=_exclusive, reverse=_reverse)
        row("CumSum", as_("int32", 2**31 - 1, 1), i64(0), exclusive=_exclusive, reverse=_reverse)
        row("CumSum", normal(2, 0), i64(1), exclusive=_exclusive, reverse=_reverse)
row("NonZero", f32(0, 1, NAN))
# The standard: a number has no axes, so no places along them.
row("NonZero", f32(3.0), otherwise=[np.zeros((0, 1), np.int64)])
row("Unique", f32(2, 1, 1, 3), outputs=4)
row("Unique", f32(2, 1, 1, 3), outputs=4, sorted=0)
row("Unique", f32([[2, 1], [2, 1], [0, 5]]), outputs=4, axis=0)

# --- places

row("Gather", X, i64(-1, 0), axis=1)
row("Gather", X, i64(-1))
row("Gather", X, as_("int32", []), axis=-1)
row("Gather", i64(1, 2, 3), i64([-3]))
row("GatherElements", X, as_("int32", [[[3, -4]]]), axis=-1)
row("GatherND", X, i64([[-1, 0], [0, -3]]))
row("GatherND", X, i64([[[-1]], [[0]]]), batch_dims=1)
for _reduction in ("none", "add", "mul"):
    row("ScatterElements", X, i64([[[-1, 0]]]), f32([[[5, 6]]]), axis=2, reduction=_reduction)
    row("ScatterND", X, i64([[-1], [0]]), normal(2, 3, 4), reduction=_reduction)
    if _reduction != "none":
        row("ScatterElements", X, i64([[[1, 1]]]), f32([[[5, 6]]]), axis=2, reduction=_reduction)
        row("ScatterND", X, i64([[1, 2], [1, 2]]), normal(2, 4), reduction=_reduction)
row("ScatterND", X, i64([[1, 2, 3], [0, -1, -4]]), f32(5, 6))
row("OneHot", i64(0, -1, 5, 2, -4), i64(3), f32(0, 1))
row("OneHot", i64([[1], [2]]), i64([3]), f32(-1, 2), axis=1)
row("Compress", X, as_("bool", True, False, True), axis=1)
row("Compress", X, as_("bool", False, True), axis=-1)
row("ReverseSequence", normal(4, 2, 3), i64(2, 4))
row("ReverseSequence", normal(2, 4, 3), i64(2, 4), time_axis=1, batch_axis=0)

# --- shapes

FAR = 2**63 - 1
for _start, _end, _step in (
    *((0, 100, 1), (-100, 2, 1), (3, 1, 1), (-1, -100, -1), (100, -100, -1), (2, 0, -1), (0, 3, 2), (-1, -2, -1)),
    *((0, -5, -1), (0, 0, -1), (2**31 - 1, -(2**31), -2), (FAR, -FAR - 1, -1), (-(2**62), 2**62, 3), (1, FAR, 1)),
):
    row("Slice", X, i64([_start]), i64([_end]), i64([2]), i64([_step]))
    row("Slice", i64(1, 2, 3, 4), i64([_start]), i64([_end]), i64([0]), i64([_step]))
row("Slice", X, i64(0, 1), i64(2, 3))
for _mode in ("constant", "reflect", "edge", "wrap"):
    row("Pad", X, i64(0, 1, 2, 0, 0, 1), mode=_mode, opset=19)
    row("Pad", X, i64(1, 2), None, i64([-1]), mode=_mode, opset=19)
row("Pad", X, i64(0, -1, 2, 0, 0, -1))
row("Pad", X, i64(1, 2, 3, 0), f32(1.0), i64(2, 0))
row("Pad", as_("int32", 1, 2), i64(1, 1), as_("int32", -3))
row("Pad", as_("bool", [True]), i64(1, 1), as_("bool", True))
row("Concat", X, X, axis=-1)
row("Concat", i64([1]), i64([]), axis=0)
row("Split", X, i64(1, 3), axis=-1, outputs=2)
row("Split", normal(5), outputs=2, num_outputs=2)
row("Split", normal(2, 0), i64(0, 0), axis=1, outputs=2)
row("Squeeze", normal(1, 2, 1), i64([-1]))
row("Squeeze", normal(1, 2, 1))
row("Unsqueeze", X, i64(-1, 0))
row("Expand", normal(3, 1), i64(2, 1, 4))
row("Expand", f32(1.0), i64([]))
row("Tile", X, i64(1, 0, 2))
row("Reshape", X, i64(0, -1))
row("Reshape", normal(0, 3), i64(0, 3))
row("Reshape", normal(2, 0), i64(0, 5), allowzero=1)
row("Flatten", X, axis=0)
row("Flatten", X, axis=-1)
row("Flatten", X, axis=3)
row("Transpose", X)
row("Transpose", f32(1.0))
row("Shape", X, start=-2)
row("Shape", X, start=-10, end=10)
row("Range", f32(0.0), f32(1.0), f32(0.3))
row("Range", i64(5), i64(0), i64(-2))
row("Range", i64(5), i64(0), i64(1))
row("ConstantOfShape", i64(2, 0))
row("ConstantOfShape", i64([]))
row("EyeLike", normal(3, 4), k=-1)
row("EyeLike", normal(2, 2), dtype=7, k=1)
row("Trilu", X, i64(-1), upper=0)
row("Trilu", X, i64(-7))
row("Trilu", f32([[1, NAN], [NAN, 4]]))
row("DepthToSpace", normal(1, 8, 2, 3), blocksize=2, mode="CRD")
row("CenterCropPad", normal(3, 6), i64(4, 3))

# --- layers

row("MatMul", normal(4), normal(2, 4, 3))
row("MatMul", normal(2, 1, 3, 4), normal(5, 4, 2))
row("MatMul", as_("int32", [[1, 2]]), as_("int32", [[3], [4]]))
row("MatMul", normal(2, 0), normal(0, 3))
row("Gemm", normal(2, 3), normal(3, 4), normal(4), alpha=0.5, beta=2.0)
row("Gemm", normal(3, 2), normal(4, 3), normal(2, 1), transA=1, transB=1)
row("Einsum", normal(2, 3, 3), equation="bii->bi")
row("LayerNormalization", X, normal(3, 4), axis=1)
row("LayerNormalization", X, normal(4), normal(4), outputs=3)
row("RMSNormalization", X, normal(4), opset=23)
row("InstanceNormalization", X, normal(3), normal(3))
row("GroupNormalization", normal(2, 4, 3), normal(4), normal(4), num_groups=2, opset=21)
row("BatchNormalization", X, normal(3), normal(3), normal(3), np.abs(normal(3)), epsilon=0.1)
row("LpNormalization", f32([[0, 0], [3, -4]]), p=1, axis=1)
row("LpNormalization", f32([[0, 0], [3, -4]]))
row("LRN", normal(2, 5, 3, 3), size=3, alpha=0.1, bias=2.0, beta=0.5)
row("MaxPool", normal(1, 2, 7), kernel_shape=[3], strides=[2], ceil_mode=1)
row("MaxPool", normal(1, 2, 7, 6), kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], dilations=[2, 1])
row(
    "MaxPool",
    normal(1, 2, 7, 6),
    kernel_shape=[3, 2],
    strides=[2, 3],
    auto_pad="SAME_LOWER",
    storage_order=1,
    outputs=2,
)
row("MaxPool", np.ones((1, 1, 3, 3), np.float32), kernel_shape=[2, 2], outputs=2)
row("MaxPool", as_("int8", [[[1, 2, 3, 0]]]), kernel_shape=[2], pads=[1, 1])
row("MaxPool", f32([[[NAN, 1, 2]]]), kernel_shape=[2], otherwise=[f32([[[NAN, 2]]])])
for _ceil in (0, 1):
    for _pads in (0, 1):
        row(
            *("AveragePool", normal(1, 2, 7, 6)),
            kernel_shape=[3, 2],
            strides=[2, 3],
            pads=[1, 0, 1, 1],
            ceil_mode=_ceil,
            count_include_pad=_pads,
            opset=19,
        )
row("LpPool", normal(1, 2, 8), kernel_shape=[3], p=3, pads=[1, 1])
for _group in (1, 2):
    row("Conv", normal(1, 4, 9), normal(2, 4 // _group, 3), normal(2), group=_group, strides=[2], auto_pad="SAME_LOWER")
    row("Conv", normal(1, 4, 9, 8), normal(2, 4 // _group, 3, 2), group=_group, pads=[1, 0, 2, 1], dilations=[2, 1])
    row("Conv", normal(1, 4, 5, 6, 4), normal(2, 4 // _group, 3, 2, 2), group=_group, pads=[1, 0, 2, 1, 0, 0])
    row(
        *("ConvTranspose", normal(1, 4, 5), normal(4, 3, 3), normal(3 * _group)),
        group=_group,
        strides=[3],
        output_padding=[1],
        pads=[1, 0],
    )
    for _auto in ("SAME_UPPER", "SAME_LOWER"):
        row("ConvTranspose", normal(1, 4, 5), normal(4, 3, 3), group=_group, strides=[2], auto_pad=_auto)
    for _length in (9, 10, 12):
        row("ConvTranspose", normal(1, 4, 5), normal(4, 3, 4), group=_group, strides=[2], output_shape=[_length])
for _frame in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
    _by = {"coordinate_transformation_mode": _frame}
    for _mode in ("nearest", "linear", "cubic"):
        row("Resize", normal(1, 2, 5, 6), None, f32(1, 1, 1.6, 0.7), mode=_mode, **_by)
        row("Resize", normal(1, 2, 5, 6), None, None, i64(1, 2, 8, 3), mode=_mode, **_by)
    for _mode in ("floor", "ceil", "round_prefer_ceil", "round_prefer_floor"):
        row("Resize", normal(1, 2, 5, 6), None, f32(1, 1, 2, 0.5), nearest_mode=_mode, **_by)
row("Resize", normal(1, 2, 5, 6), None, f32([1.5]), axes=[2], mode="linear")
row("Attention", normal(2, 3, 4, 8), normal(2, 3, 6, 8), normal(2, 3, 6, 5), opset=23)
row("Attention", normal(2, 3, 4, 8), normal(2, 3, 4, 8), normal(2, 3, 4, 5), is_causal=1, opset=23)
row("RotaryEmbedding", normal(2, 3, 4, 8), normal(2, 4, 4), normal(2, 4, 4), opset=23)

# --- losses, quantized numbers, transforms

for _reduction in ("none", "mean", "sum"):
    row("SoftmaxCrossEntropyLoss", normal(3, 5), i64(0, 4, 2), reduction=_reduction, outputs=2)
    row(
        *("NegativeLogLikelihoodLoss", normal(3, 5, 2), i64([[0, 4], [2, 1], [1, 1]]), np.abs(normal(5))),
        reduction=_reduction,
        ignore_index=1,
    )
row("NegativeLogLikelihoodLoss", normal(2, 5), i64(-1, 3), ignore_index=-1)
row("SoftmaxCrossEntropyLoss", normal(2, 5), i64(1, 1), ignore_index=1)
for _zero in (as_("uint8", 10), as_("int8", -3)):
    row("QuantizeLinear", f32(-1e6, 0.25, 0.75, 1.25, 1e6, -0.25), f32(0.5), _zero)
    row("DequantizeLinear", as_(str(_zero.dtype), 0, 5, 100), f32(0.5), _zero)
row("QuantizeLinear", normal(2, 3), f32(0.1, 0.2, 0.3), as_("uint8", 1, 2, 3), axis=-1)
row("DequantizeLinear", as_("int8", [[1, 2], [3, 4]]), f32(0.1, 0.2), as_("int8", 1, -2), axis=0)
row("DynamicQuantizeLinear", normal(7), outputs=3)
row("DynamicQuantizeLinear", f32(0, 0), outputs=3)
row("DynamicQuantizeLinear", f32(2, 3), outputs=3)
row("MatMulInteger", as_("uint8", [[1, 200]]), as_("int8", [[3], [-4]]), as_("uint8", 7), as_("int8", -1))
row("MatMulInteger", whole(255, 2, 3), whole(255, 3, 2), as_("uint8", 1), as_("uint8", 1, 2))
row("ConvInteger", whole(255, 1, 2, 5), whole(255, 3, 2, 3), as_("uint8", 3), pads=[1, 1])
row(
    *("QLinearMatMul", whole(255, 2, 3), f32(0.1), as_("uint8", 7), whole(255, 3, 2), f32(0.2), as_("uint8", 1)),
    *(f32(30.0), as_("uint8", 5)),
)
row(
    *("QLinearConv", whole(255, 1, 2, 5), f32(0.02), as_("uint8", 3), whole(255, 3, 2, 3), f32(0.01)),
    *(as_("uint8", 100), f32(0.5), as_("uint8", 30), as_("int32", 1, 2, 3)),
    pads=[1, 1],
)
for _name in ("HannWindow", "HammingWindow", "BlackmanWindow"):
    for _periodic in (0, 1):
        row(_name, i64(7), periodic=_periodic)
row("DFT", normal(2, 8, 1), axis=1, opset=17)
row("DFT", normal(2, 8, 2), axis=1, inverse=1, opset=17)
row("DFT", normal(2, 7, 1), axis=1, onesided=1, opset=17)
row("DFT", normal(2, 8, 1), i64(5), i64(1), opset=20)
row("DFT", normal(2, 8, 1), i64(11), i64(1), opset=20)
row("STFT", normal(2, 20, 1), i64(3), normal(8))
row("STFT", normal(2, 20, 1), i64(3), None, i64(8))
row("MelWeightMatrix", i64(8), i64(64), i64(8000), f32(20.0), f32(3800.0))
