"""lucid: train sequence models in plain NumPy, ship them as ONNX, run everything in onnxruntime.

``import lucid`` imports only NumPy and takes little longer: everything but tensors and ops is loaded on first use.
`lucid.export` and `lucid.runtime` then import onnx and onnxruntime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as _np

from . import autograd, errors, ops, tracer
from .absent import absence_of as _absence_of
from .autograd import grad
from .devices import device, get_default_device, set_default_device
from .kinds import (
    BoolTensor,
    ByteTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    get_default_dtype,
    is_tensor,
    set_default_dtype,
)
from .malloc import keep_pages as _keep_pages
from .ops import *
from .ops.generator import Generator
from .shape import Size
from .tensor import Parameter, Tensor, as_tensor, from_numpy, op, tensor
from .tracer import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .tracer.promotion import promote_types, result_type

if TYPE_CHECKING:
    from . import accelerator, backends, cuda, data, distributed, distributions, export, nn, optim, runtime, utils
    from . import checkpoint as checkpoint
    from . import io as io
    from .backends import use_deterministic_algorithms
    from .checkpoint import load_checkpoint, save_checkpoint
    from .importing import from_onnx as from_onnx
    from .importing import from_torch as from_torch
    from .io import load, save
    from .runtime import compile as compile
    from .runtime import compile_backward as compile_backward
    from .seeing import progress as progress
    from .seeing import summary as summary
    from .threads import get_num_threads, set_num_threads

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "DoubleTensor",
    "FloatTensor",
    "Generator",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "Parameter",
    "ShortTensor",
    "Size",
    "Tensor",
    "abs",
    "absolute",
    "accelerator",
    "acos",
    "add",
    "addcdiv",
    "addcmul",
    "addmm",
    "addmv",
    "all",
    "allclose",
    "amax",
    "amin",
    "aminmax",
    "any",
    "arange",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "argmax",
    "argmin",
    "argsort",
    "argwhere",
    "as_tensor",
    "asin",
    "astype",
    "atan",
    "atan2",
    "atleast_1d",
    "atleast_2d",
    "autograd",
    "backends",
    "baddbmm",
    "bernoulli",
    "bincount",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "bmm",
    "bool_",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "bucketize",
    "cat",
    "cdist",
    "ceil",
    "chunk",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "clone",
    "column_stack",
    "concat",
    "concatenate",
    "cos",
    "cosh",
    "count_nonzero",
    "cuda",
    "cummax",
    "cumprod",
    "cumsum",
    "data",
    "deg2rad",
    "detach",
    "device",
    "diag",
    "diag_embed",
    "diagonal",
    "diff",
    "dist",
    "distributed",
    "distributions",
    "div",
    "divide",
    "dot",
    "e",
    "einsum",
    "empty",
    "empty_like",
    "enable_grad",
    "eq",
    "equal",
    "erf",
    "errors",
    "exp",
    "exp2",
    "expand",
    "expm1",
    "export",
    "eye",
    "finfo",
    "fix",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "from_numpy",
    "from_onnx",
    "from_torch",
    "full",
    "full_like",
    "gather",
    "ge",
    "get_default_device",
    "get_default_dtype",
    "get_num_threads",
    "get_rng_state",
    "getitem",
    "grad",
    "greater",
    "greater_equal",
    "gt",
    "hstack",
    "hypot",
    "iinfo",
    "index_add",
    "index_fill",
    "index_select",
    "inf",
    "inference_mode",
    "initial_seed",
    "inner",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_nonzero",
    "is_tensor",
    "isclose",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "le",
    "lerp",
    "less",
    "less_equal",
    "linspace",
    "load",
    "load_checkpoint",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logit",
    "logspace",
    "logsumexp",
    "lt",
    "manual_seed",
    "masked_fill",
    "masked_select",
    "matmul",
    "max",
    "maximum",
    "mean",
    "median",
    "meshgrid",
    "min",
    "minimum",
    "mm",
    "moveaxis",
    "movedim",
    "mul",
    "multinomial",
    "multiply",
    "mv",
    "nan",
    "nan_to_num",
    "nanmean",
    "nansum",
    "narrow",
    "ne",
    "neg",
    "negative",
    "nn",
    "no_grad",
    "nonzero",
    "norm",
    "normal",
    "not_equal",
    "numel",
    "ones",
    "ones_like",
    "op",
    "ops",
    "optim",
    "outer",
    "permute",
    "pi",
    "pow",
    "prod",
    "progress",
    "promote_types",
    "quantile",
    "rad2deg",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "ravel",
    "reciprocal",
    "relu",
    "remainder",
    "repeat_interleave",
    "reshape",
    "result_type",
    "roll",
    "round",
    "rsqrt",
    "runtime",
    "save",
    "save_checkpoint",
    "scatter",
    "scatter_add",
    "searchsorted",
    "select",
    "set_default_device",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "set_rng_state",
    "sgn",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "std_mean",
    "sub",
    "subtract",
    "sum",
    "summary",
    "swapaxes",
    "swapdims",
    "t",
    "take",
    "take_along_dim",
    "tan",
    "tanh",
    "tensor",
    "tensor_split",
    "tensordot",
    "tile",
    "topk",
    "trace",
    "tracer",
    "transpose",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
    "true_divide",
    "trunc",
    "uint8",
    "unbind",
    "unflatten",
    "unique",
    "unique_consecutive",
    "unsqueeze",
    "use_deterministic_algorithms",
    "utils",
    "var",
    "var_mean",
    "vstack",
    "where",
    "xlogy",
    "zeros",
    "zeros_like",
]

__version__ = "0.1.0"

e, inf, nan, pi = _np.e, _np.inf, _np.nan, _np.pi
finfo, iinfo = _np.finfo, _np.iinfo

float16 = _np.dtype("float16")
float32 = _np.dtype("float32")
float64 = _np.dtype("float64")
int8 = _np.dtype("int8")
int16 = _np.dtype("int16")
int32 = _np.dtype("int32")
int64 = _np.dtype("int64")
uint8 = _np.dtype("uint8")
bool_ = _np.dtype("bool")
# PyTorch's other names; left out of __all__, since they would shadow Python's builtins.
half, float, double = float16, float32, float64
short, int, long, bool = int16, int32, int64, bool_

_keep_pages()

_LAZY = {
    "accelerator": (),
    "backends": ("use_deterministic_algorithms",),
    "checkpoint": ("load_checkpoint", "save_checkpoint"),
    "cuda": (),
    "data": (),
    "distributed": (),
    "distributions": (),
    "export": (),
    "importing": ("from_onnx", "from_torch"),
    "io": ("load", "save"),
    "nn": (),
    "optim": (),
    "runtime": ("compile", "compile_backward"),
    "seeing": ("progress", "summary"),
    "threads": ("get_num_threads", "set_num_threads"),
    "utils": (),
}
"""The parts that are loaded on first use, and the names that `lucid` re-exports from each."""


# Type checkers would assume that every name exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for part, names in _LAZY.items():
            if name == part or name in names:
                module = importlib.import_module(f"{__name__}.{part}")
                return module if name == part else getattr(module, name)
        raise _absence_of(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LAZY, "compile", "compile_backward"})
