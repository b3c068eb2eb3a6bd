"""Which ops convert their inputs to one dtype, and which refuse several; see `lucid.tracer.promotion`."""

from ..tracer.op import OPS

for _name in (
    *("add", "sub", "mul", "pow", "floor_divide", "remainder", "fmod", "maximum", "minimum"),
    *("eq", "ne", "lt", "le", "gt", "ge", "bitwise_and", "bitwise_or", "bitwise_xor"),
):
    OPS[_name].promotes("x", "y")
OPS["where"].promotes("x", "y")
OPS["clamp_to"].promotes("x", "low", "high")
OPS["isin"].promotes("elements", "test_elements")
OPS["places_in_order"].promotes("ordered", "values")
OPS["concat"].promotes("tensors")

for _name in ("div", "logaddexp", "atan2", "hypot"):
    OPS[_name].promotes("x", "y", to_float=True)
for _name in (
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sigmoid", "silu", "erf"),
    "logsumexp",
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan"),
):
    OPS[_name].promotes("x", to_float=True)

OPS["matmul"].needs_one_dtype("x", "y")
OPS["linear"].needs_one_dtype("x", "weight", "bias")
OPS["convolved"].needs_one_dtype("x", "weight", "bias")
OPS["normalized"].needs_one_dtype("x", "weight", "bias")
