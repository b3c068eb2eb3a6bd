"""Imports of elementwise operators."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import onnx

from ... import ops
from ...errors import ModelImportError
from ...nn import functional as F
from ...tensor import Tensor
from ...tracer.extent import greater, lesser
from ..registry import Operation, imports
from ..values import COMPARISONS, DTYPES, Sizes, as_tensor, chosen, constant, elementwise, has_sizes, quotient

__all__ = ["dtype_of"]

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": ops.abs,
    "Acos": ops.acos,
    "Asin": ops.asin,
    "Atan": ops.atan,
    "BitwiseNot": ops.bitwise_not,
    "Ceil": ops.ceil,
    "Cos": ops.cos,
    "Cosh": ops.cosh,
    "Erf": ops.erf,
    "Exp": ops.exp,
    "Floor": ops.floor,
    "HardSwish": F.hardswish,
    "IsNaN": ops.isnan,
    "Log": ops.log,
    "Mish": F.mish,
    "Neg": ops.neg,
    "Not": ops.logical_not,
    "Reciprocal": ops.reciprocal,
    "Relu": ops.relu,
    "Round": ops.round,
    "Sigmoid": ops.sigmoid,
    "Sign": ops.sign,
    "Sin": ops.sin,
    "Sinh": ops.sinh,
    "Softsign": F.softsign,
    "Sqrt": ops.sqrt,
    "Tan": ops.tan,
    "Tanh": ops.tanh,
}

_UNARY_SIZES: dict[str, Callable[[Any], Any]] = {
    "Abs": lambda x: greater(x, -x),
    "Ceil": math.ceil,
    "Floor": math.floor,
    "Neg": operator.neg,
    "Sqrt": lambda x: x**0.5,
}

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": ops.add,
    "And": ops.logical_and,
    "BitwiseAnd": ops.bitwise_and,
    "BitwiseOr": ops.bitwise_or,
    "BitwiseXor": ops.bitwise_xor,
    "Equal": ops.eq,
    "Greater": ops.gt,
    "GreaterOrEqual": ops.ge,
    "Less": ops.lt,
    "LessOrEqual": ops.le,
    "Mul": ops.mul,
    "Or": ops.logical_or,
    "Sub": ops.sub,
    "Xor": ops.logical_xor,
}

_BINARY_SIZES: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Mul": operator.mul,
    "Sub": operator.sub,
    **COMPARISONS,
}


def _register(op_type: str, function: Callable[..., Tensor], sizes: Callable[..., Any] | None = None) -> None:
    imports(op_type, sizes=sizes)(lambda node, *given: function(*given))


for _name, _unary in _UNARY.items():
    _register(_name, _unary, _UNARY_SIZES.get(_name))
for _name, _binary in _BINARY.items():
    _register(_name, _binary, _BINARY_SIZES.get(_name))

_register("Acosh", lambda x: ops.log(x + ops.sqrt(x - 1) * ops.sqrt(x + 1)))


@imports("Asinh")
def _(node: Operation, x: Tensor) -> Tensor:
    size = ops.abs(x)
    # The square of a large number is infinite; there asinh is the logarithm of twice the number.
    limit = float(np.finfo(x.dtype).eps) ** -0.5
    near = ops.minimum(size, limit)
    found = ops.log1p(near + near * near / (1 + ops.sqrt(near * near + 1)))
    return ops.sign(x) * ops.where(size > limit, ops.log(size) + math.log(2), found)


_register("Atanh", lambda x: 0.5 * (ops.log1p(x) - ops.log1p(-x)))


@imports("Identity", "Dropout", plain=True)
def _(node: Operation, x: Any, ratio: Any = None, training: Any = None) -> Any:
    if training is not None and not (constant(training) and not np.asarray(training).any()):
        raise ModelImportError(f"{node} is in training mode, so its results are random")
    if node.op_type == "Dropout" and node.outputs > 1:
        x = as_tensor(x)
        return x, ops.ones_like(x, dtype="bool")
    return x


# --- arithmetic


@imports("Div", sizes=quotient)
def _(node: Operation, x: Tensor, y: Tensor) -> Tensor:
    kind = x.dtype.kind
    if kind == "f":
        return x / y
    whole = ops.floor_divide(x, y)
    if kind == "u":
        return whole
    # ONNX divides towards zero: one more where the signs differ and something remains.
    rest = x - whole * y
    return ops.where((rest != 0) & ((x < 0) != (y < 0)), whole + 1, whole).to(x.dtype)


@imports("Mod", plain=True)
def _(node: Operation, x: Any, y: Any) -> Any:
    towards_zero = bool(node.get("fmod", 0))
    if has_sizes((x, y)):
        return elementwise(_rest if towards_zero else operator.mod, (x, y))
    known = constant(x) and constant(y)
    x, y = as_tensor(x), as_tensor(y)
    rest = ops.fmod(x, y) if towards_zero else ops.remainder(x, y)
    return np.asarray(rest._data) if known else rest


def _rest(x: Any, y: Any) -> Any:
    return x - quotient(x, y) * y


@imports("Pow", sizes=operator.pow)
def _(node: Operation, x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.kind in "iu" and y.dtype.kind == "f":
        return ops.pow(x.to("float64"), y.to("float64")).to(x.dtype)
    return ops.pow(x, y.to(x.dtype))


_EXTREMES = {"Max": (ops.maximum, greater), "Min": (ops.minimum, lesser)}


@imports("Max", "Min", plain=True)
def _(node: Operation, *given: Any) -> Any:
    function, of_sizes = _EXTREMES[node.op_type]
    if has_sizes(given) and all(x.dtype.kind in "iu" for x in given):
        return elementwise(lambda *xs: reduce(of_sizes, xs), given)
    result = reduce(function, map(as_tensor, given))
    return np.asarray(result._data) if all(map(constant, given)) else result


_register("Sum", lambda *xs: reduce(ops.add, xs), lambda *xs: reduce(operator.add, xs))
_register("Mean", lambda *xs: reduce(ops.add, xs) / len(xs))


@imports("Clip")
def _(node: Operation, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    # The lower bound first: where both are given and cross, ONNX's result is the upper one.
    x = x if low is None else ops.maximum(x, low)
    return x if high is None else ops.minimum(x, high)


@imports("BitShift")
def _(node: Operation, x: Tensor, y: Tensor) -> Tensor:
    bits = 8 * x.dtype.itemsize
    inside = (y >= 0) & (y < bits)
    if node.get("direction") == "LEFT":
        factor = ops.pow(ops.full((), 2, dtype=x.dtype), ops.where(inside, y, 0).to(x.dtype))
        return ops.where(inside, x * factor, 0).to(x.dtype)
    # Halved twice: 2 to the power of all bits but the sign is no signed integer.
    half = ops.where(inside, y, bits - 1) // 2
    rest = ops.where(inside, y, bits - 1) - half
    for part in (half, rest):
        x = ops.floor_divide(x, ops.pow(ops.full((), 2, dtype=x.dtype), part.to(x.dtype)))
    return ops.where(inside | (x < 0), x, 0).to(x.dtype)


# --- conditions


@imports("IsInf")
def _(node: Operation, x: Tensor) -> Tensor:
    infinite = ops.isinf(x)
    infinite = infinite if node.get("detect_negative", 1) else infinite & (x > 0)
    return infinite if node.get("detect_positive", 1) else infinite & (x < 0)


@imports("Where", plain=True)
def _(node: Operation, condition: Any, x: Any, y: Any) -> Any:
    if all(map(constant, (condition, x, y))):
        return np.where(condition, x, y)
    if constant(condition) and all(constant(part) or isinstance(part, Sizes) for part in (x, y)):
        return elementwise(chosen, (condition, x, y))
    condition, x, y = map(as_tensor, (condition, x, y))
    return ops.where(condition, x, y)


# --- dtypes


def dtype_of(node: Operation, code: int) -> np.dtype[Any]:
    """Returns the NumPy dtype of one of ONNX's."""
    names = onnx.TensorProto.DataType
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code)) if code in names.values() else np.dtype(object)
    if dtype.name not in DTYPES:
        raise ModelImportError(
            f"{node}: lucid has no tensors of {names.Name(code) if code in names.values() else code}"
        )
    return dtype


@imports("Cast", "CastLike", plain=True)
def _(node: Operation, x: Any, like: Any = None) -> Any:
    dtype = like.dtype if node.op_type == "CastLike" else dtype_of(node, node.get("to"))
    if dtype.name not in DTYPES:
        raise ModelImportError(f"{node}: lucid has no tensors of {dtype.name}")
    if constant(x):
        with np.errstate(all="ignore"):
            return x.astype(dtype)
    if isinstance(x, Sizes) and dtype.kind in "iuf":
        return x.cast(dtype)
    if isinstance(x, Sizes) and dtype.kind == "b":
        return elementwise(operator.ne, [x, np.array(0)])
    return as_tensor(x).to(dtype)


# --- activations

_register("Softplus", lambda x: F.softplus(x, threshold=50.0))


@imports("LeakyRelu")
def _(node: Operation, x: Tensor) -> Tensor:
    return F.leaky_relu(x, node.get("alpha", 0.01))


@imports("Elu")
def _(node: Operation, x: Tensor) -> Tensor:
    return F.elu(x, node.get("alpha", 1.0))


@imports("Celu")
def _(node: Operation, x: Tensor) -> Tensor:
    return F.celu(x, node.get("alpha", 1.0))


@imports("Selu")
def _(node: Operation, x: Tensor) -> Tensor:
    return node.get("gamma", 1.0507009873554805) * F.elu(x, node.get("alpha", 1.6732632423543772))


@imports("PRelu")
def _(node: Operation, x: Tensor, slope: Tensor) -> Tensor:
    return ops.where(x < 0, slope * x, x)


@imports("ThresholdedRelu")
def _(node: Operation, x: Tensor) -> Tensor:
    return ops.where(x > node.get("alpha", 1.0), x, 0.0)


@imports("Shrink")
def _(node: Operation, x: Tensor) -> Tensor:
    limit, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    return ops.where(x < -limit, x + bias, ops.where(x > limit, x - bias, 0)).to(x.dtype)


@imports("HardSigmoid")
def _(node: Operation, x: Tensor) -> Tensor:
    return ops.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0, 1)


@imports("Gelu")
def _(node: Operation, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.get("approximate", "none"))


@imports("Swish")
def _(node: Operation, x: Tensor) -> Tensor:
    return x * ops.sigmoid(node.get("alpha", 1.0) * x)


@imports("SwiGLU")
def _(node: Operation, x: Tensor, y: Tensor) -> Tensor:
    return x * ops.sigmoid(node.get("alpha", 1.0) * x) * y


@imports("Softmax", "LogSoftmax")
def _(node: Operation, x: Tensor) -> Tensor:
    function = ops.softmax if node.op_type == "Softmax" else ops.log_softmax
    return function(x, node.get("axis", -1))


@imports("Hardmax")
def _(node: Operation, x: Tensor) -> Tensor:
    axis = node.get("axis", -1) % x.ndim
    places = ops.arange(x.shape[axis]).reshape(-1, *[1] * (x.ndim - 1 - axis))
    return (places == ops.argmax(x, axis, True)).to(x.dtype)
