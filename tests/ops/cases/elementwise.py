"""Rows: arithmetic, functions of one element, comparisons, activations."""

from __future__ import annotations

import math

import numpy as np

from tests.ops.case import Case, bools, floats, ints, positive, row, unit

erf = np.vectorize(math.erf, otypes=[np.float64])


def each(name, *inputs, ref, **options):
    return row(name, *inputs, ref=ref, elementwise=True, **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def quiet(function):
    """Returns a function without warnings where it gives NaN."""
    return np.errstate(all="ignore")(function)


SIGNS = np.array([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf])


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def divided(x, y, rounding_mode):
    return {"floor": np.floor, "trunc": np.trunc}[rounding_mode](x / y)


def gelu_slope(x):
    return 0.5 * (1 + erf(x / 2**0.5)) + x * np.exp(-x * x / 2) / (2 * np.pi) ** 0.5


NAMES: list[Case] = [
    each("add", floats(2, 3), floats(3), ref=np.add),
    each("sub", floats(2, 3), floats(2, 1), ref=np.subtract),
    each("mul", floats(2, 3), floats(3), ref=np.multiply),
    each("div", floats(2, 3), positive(3), ref=np.true_divide),
    row("div", floats(2, 3), positive(3), ref=divided, rounding_mode="floor", note="floor"),
    row("div", floats(2, 3), positive(3), ref=divided, rounding_mode="trunc", note="trunc"),
    row(
        "div",
        np.array([7, -7, 6, -6, 2**60 + 1]),
        np.array([2, 2, -4, -3, 1]),
        ref=lambda x, y, rounding_mode: np.array([3, -3, -1, 2, 2**60 + 1]),
        rounding_mode="trunc",
        note="ints",
    ),
    each("pow", positive(2, 3), floats(3), ref=np.power),
    row(
        "pow",
        np.array([-2.0, 0.0, 0.0, 0.0, -0.5, -3.0]),
        np.array([2.0, 0.0, 1.5, -1.0, 1.5, 0.0]),
        ref=np.errstate(all="ignore")(np.power),
        note="below_0",
        derivative=False,
    ),
    row("pow", 0.0, np.array([0.0, 2.0, -1.0]), ref=np.errstate(all="ignore")(np.power), note="of_0", derivative=False),
    row("pow", floats(3), 2, ref=np.power, note="square"),
    row("pow", floats(3), 3.0, ref=np.power, note="cube"),
    row("pow", positive(3), -0.5, ref=np.power, note="root"),
    row("pow", 2.0, floats(3), ref=np.power, note="number_below"),
    row("pow", np.array([0.0, 0.0, 2.0]), 0.0, ref=np.power, note="to_0", derivative=False),
    row("pow", ints(4, 3), 3, ref=np.power, note="ints"),
    each("floor_divide", floats(2, 3), positive(3), ref=np.floor_divide, derivative=False, torch="values"),
    row("floor_divide", ints(9, 5, low=-9), 4, ref=np.floor_divide, note="ints"),
    each("remainder", floats(2, 3), positive(3), ref=np.remainder),
    row("remainder", floats(5), -0.7, ref=np.remainder, note="negative"),
    row("remainder", ints(9, 5, low=-9), -4, ref=np.remainder, note="ints"),
    each("fmod", floats(2, 3), positive(3), ref=np.fmod),
    row("fmod", floats(5), -0.7, ref=np.fmod, note="negative"),
    row("fmod", ints(9, 5, low=-9), -4, ref=np.fmod, note="ints"),
    row("frac", floats(2, 3), ref=lambda x: x - np.trunc(x)),
    each("neg", floats(2, 3), ref=np.negative),
    each("abs", floats(2, 3), ref=np.abs),
    each("sign", floats(2, 3), ref=np.sign, derivative=False),
    row("sign", bools(4), ref=np.array, note="bools"),
    each("maximum", floats(2, 3), floats(3), ref=np.maximum),
    each("minimum", floats(2, 3), floats(3), ref=np.minimum),
    row("where", bools(2, 3), floats(2, 3), floats(3), ref=np.where),
    row("where", bools(2, 3), floats(3), 0.0, ref=np.where, note="number", torch=None),
    row("where", bools(3), bools(3), bools(3), ref=np.where, note="bools"),
    each("clone", floats(2, 3), ref=np.array),
    row("detach", floats(2, 3), ref=np.array, derivative=False),
    row("astype", floats(2, 3), ref=lambda x, dtype: x.astype(dtype), dtype="float32", torch=None, derivative=False),
    row(
        "astype",
        floats(2, 3),
        ref=lambda x, dtype: x.astype(dtype),
        dtype="int64",
        torch=None,
        note="int64",
        derivative=False,
    ),
    row("astype", ints(3, 4), ref=lambda x, dtype: x.astype(dtype), dtype="bool", torch=None, note="bool"),
    row("to", ints(3, 4), ref=lambda x, dtype: x.astype(dtype), dtype="float64", torch=None),
    row(
        "to",
        floats(2),
        ref=lambda x: x.astype(np.float32),
        call=lambda f, x: f(x, "cpu", np.dtype("float32"), False, True),
        derivative=False,
        note="device",
        torch=None,
    ),
    # --- functions
    each("exp", floats(2, 3), ref=np.exp),
    each("expm1", floats(2, 3), ref=np.expm1),
    row("expm1", np.array([1e-12, -1e-9, 30.0, -40.0]), ref=np.expm1, note="extremes", derivative=False),
    each("log", positive(2, 3), ref=np.log),
    each("log1p", positive(2, 3), ref=np.log1p),
    row("log1p", np.array([1e-12, -1e-9, 1e9, -0.999, np.inf]), ref=np.log1p, note="extremes", derivative=False),
    each("log2", positive(2, 3), ref=np.log2),
    each("log10", positive(2, 3), ref=np.log10),
    each("logaddexp", floats(2, 3), floats(3), ref=np.logaddexp),
    row(
        "logaddexp",
        np.array([-np.inf, -np.inf, np.inf, 1e3]),
        np.array([-np.inf, 0.0, np.inf, 1e3]),
        ref=np.logaddexp,
        torch="values",
        note="extremes",
        derivative=False,
    ),
    each("sqrt", positive(2, 3), ref=np.sqrt),
    each("rsqrt", positive(2, 3), ref=lambda x: 1 / np.sqrt(x)),
    each("reciprocal", positive(2, 3), ref=lambda x: 1 / x),
    each("square", floats(2, 3), ref=np.square),
    each("sin", floats(2, 3), ref=np.sin),
    each("cos", floats(2, 3), ref=np.cos),
    each("tanh", floats(2, 3), ref=np.tanh),
    each("tan", unit(2, 3), ref=np.tan),
    row("tan", np.array([1e-9, -1.5, 3.0, 100.0]), ref=np.tan, note="extremes", derivative=False),
    each("sinh", floats(2, 3), ref=np.sinh),
    row("sinh", np.array([1e-12, -30.0, 80.0, np.inf]), ref=np.sinh, note="extremes", derivative=False),
    each("cosh", floats(2, 3), ref=np.cosh),
    each("asin", unit(2, 3), ref=np.arcsin),
    row("asin", np.array([-1.0, 1.0, 1e-12, 0.9999999, 2.0]), ref=quiet(np.arcsin), note="ends", derivative=False),
    each("acos", unit(2, 3), ref=np.arccos),
    row("acos", np.array([-1.0, 1.0, 1e-12, 1 - 2.0**-20, 2.0]), ref=quiet(np.arccos), note="ends", derivative=False),
    each("atan", floats(2, 3), ref=np.arctan),
    row("atan", np.array([1e-12, -3e8, 1.0, np.inf, -np.inf]), ref=np.arctan, note="extremes", derivative=False),
    each("atan2", floats(2, 3), floats(3), ref=np.arctan2),
    row("atan2", np.repeat(SIGNS, 6), np.tile(SIGNS, 6), ref=np.arctan2, note="all_signs", derivative=False),
    each("hypot", floats(2, 3), positive(3), ref=np.hypot),
    row(
        "hypot",
        np.array([0.0, 1e30, -np.inf, 3.0]),
        np.array([0.0, 1e30, 1.0, -4.0]),
        ref=np.hypot,
        note="extremes",
        derivative=False,
    ),
    each("sigmoid", floats(2, 3), ref=sigmoid),
    row("sigmoid", np.array([-800.0, 800.0, -np.inf]), ref=lambda x: np.array([0, 1, 0.0]), note="extremes"),
    each("erf", floats(4, 5), ref=erf, rtol=4e-16),
    row(
        "erf",
        np.array([1e-300, 1e-9, 0.999999, 1.0, 1.000001, 5.9, 6.1, 30.0, -2.5, np.inf]),
        ref=erf,
        note="extremes",
        derivative=False,
        rtol=4e-16,
    ),
    row("erf", np.array([np.nan]), ref=erf, note="nan", no_export="Erf of onnxruntime 1.22 gives 1", derivative=False),
    each("round", floats(2, 3), ref=np.round, derivative=False),
    row(
        "round",
        floats(5),
        ref=lambda x, decimals: np.round(x, decimals),
        decimals=2,
        note="hundredths",
        derivative=False,
    ),
    each("rint", floats(2, 3), ref=np.rint, torch=None, derivative=False),
    row("rint", np.array([0.5, 1.5, 2.5, -0.5, -1.5]), ref=np.rint, torch=None, note="ties", derivative=False),
    each("floor", floats(2, 3), ref=np.floor, derivative=False),
    each("ceil", floats(2, 3), ref=np.ceil, derivative=False),
    each("trunc", floats(2, 3), ref=np.trunc, derivative=False),
    row("clamp_to", floats(2, 3), -0.5, 0.5, ref=np.clip, torch=None),
    row(
        "clamp_to",
        floats(2, 3),
        floats(3),
        floats(2, 3),
        ref=lambda x, a, b: np.minimum(np.maximum(x, a), b),
        torch=None,
        note="tensors",
    ),
    row("clamp_to", floats(2, 3), None, floats(3), ref=lambda x, a, b: np.minimum(x, b), torch=None, note="upper"),
    row("clamp_to", floats(2, 3), 0.3, None, ref=lambda x, a, b: np.maximum(x, a), torch=None, note="lower"),
    row("clamp", floats(2, 3), ref=lambda x, min, max: np.clip(x, min, max), min=-0.5, max=0.5),
    row("clip", floats(2, 3), -0.5, 0.5, ref=np.clip),
    row("clip", floats(2, 3), floats(3), None, ref=lambda x, a, b: np.maximum(x, a), note="tensor"),
    row("clamp", ints(9, 4), ref=lambda x, min: np.maximum(x, min), min=3, note="ints"),
    # --- activations
    each("relu", floats(2, 3), ref=lambda x: np.maximum(x, 0)),
    each("leaky_relu", floats(2, 3), ref=lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x)),
    row(
        "leaky_relu",
        floats(4),
        ref=lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
        negative_slope=0.2,
        note="slope",
    ),
    each("elu", floats(2, 3), ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x))),
    row("elu", floats(4), ref=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)), alpha=0.4, note="alpha"),
    row("elu", np.array([800.0, -800.0]), ref=lambda x: np.array([800.0, -1.0]), note="extremes"),
    each("silu", floats(2, 3), ref=lambda x: x * sigmoid(x)),
    each("softplus", floats(2, 3), ref=softplus),
    row("softplus", np.array([-800.0, 30.0, 800.0]), ref=softplus, note="extremes"),
    row("softplus", floats(4), ref=softplus, beta=2.0, threshold=1.0, note="beta"),
    each("logsigmoid", floats(2, 3), ref=lambda x: -np.logaddexp(0, -x)),
    each("gelu_slope", floats(2, 3), ref=gelu_slope, torch=None),
    each("gelu_erf", floats(2, 3), ref=lambda x: x * 0.5 * (1 + erf(x / 2**0.5)), torch=None),
    each(
        "gelu_tanh",
        floats(2, 3),
        ref=lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
        torch=None,
    ),
    row("gelu", floats(2, 3), ref=lambda x: x * 0.5 * (1 + erf(x / 2**0.5))),
    row(
        "gelu",
        floats(2, 3),
        ref=lambda x, approximate: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
        approximate="tanh",
        note="tanh",
    ),
    each("hardtanh", floats(2, 3), ref=lambda x: np.clip(x, -1.0, 1.0)),
    row(
        "hardtanh",
        floats(4),
        ref=lambda x, min_val, max_val: np.clip(x, min_val, max_val),
        min_val=-0.2,
        max_val=0.4,
        note="limits",
    ),
    row(
        "hardtanh",
        ints(9, 6, low=-9),
        ref=lambda x, min_val, max_val: np.clip(x, -2, 3),
        min_val=-2.5,
        max_val=3.9,
        note="ints",
    ),
    row("relu6", np.array([-1.0, 3.0, 9.0]), ref=lambda x: np.clip(x, 0, 6)),
    row("glu", floats(2, 4), ref=lambda x: x[:, :2] * sigmoid(x[:, 2:])),
    row("glu", floats(4, 2), ref=lambda x, dim: x[:2] * sigmoid(x[2:]), dim=0, note="dim"),
    # --- comparisons and logic
    *(
        each(name, floats(2, 3), floats(3), ref=ref)
        for name, ref in {
            "eq": np.equal,
            "ne": np.not_equal,
            "lt": np.less,
            "le": np.less_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
            "logical_and": np.logical_and,
            "logical_or": np.logical_or,
            "logical_xor": np.logical_xor,
        }.items()
    ),
    row("eq", ints(3, 4), ints(3, 4), ref=np.equal, note="ints"),
    row("ge", ints(9, 4), 3.5, ref=np.greater_equal, note="number"),
    each("logical_not", floats(2, 3), ref=np.logical_not),
    *(
        row(name, kind(*size), kind(*size), ref=ref, note=note, opset=opset)
        for name, ref in {
            "bitwise_and": np.bitwise_and,
            "bitwise_or": np.bitwise_or,
            "bitwise_xor": np.bitwise_xor,
        }.items()
        for kind, size, note, opset in ((ints, (99, 4), "ints", 18), (bools, (4,), "bools", 13))
    ),
    row("bitwise_not", ints(99, 4), ref=np.invert, note="ints", opset=18),
    row("bitwise_not", bools(4), ref=np.invert, note="bools"),
    *(
        row(name, np.array([1.0, np.nan, np.inf, -np.inf]), ref=ref)
        for name, ref in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}.items()
    ),
    *(
        row(name, ints(5, 3), ref=ref, note="ints")
        for name, ref in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}.items()
    ),
    # --- losses of each element
    row("surprise", unit(2, 3), unit(2, 3), ref=lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)), torch=None),
    row(
        "surprise",
        np.array([0.0, 1.0, 0.0, 1.0]),
        np.array([0.0, 1.0, 1.0, 0.0]),
        ref=lambda x, y: np.array([0.0, 0.0, 100.0, 100.0]),
        torch=None,
        note="extremes",
        derivative=False,
    ),
]
