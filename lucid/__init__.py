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
from .malloc import keep_pages as _keep_pages
from .ops import *
from .ops.generator import Generator
from .tensor import Parameter, Tensor, as_tensor, from_numpy, op, tensor
from .tracer import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

if TYPE_CHECKING:
    from . import accelerator, backends, cuda, data, export, nn, optim, runtime, utils
    from . import checkpoint as checkpoint
    from . import io as io
    from .backends import use_deterministic_algorithms
    from .checkpoint import load_checkpoint, save_checkpoint
    from .io import load, save
    from .runtime import compile as compile
    from .runtime import compile_backward as compile_backward
    from .threads import get_num_threads, set_num_threads

__all__ = [
    "Generator",
    "Parameter",
    "Tensor",
    "abs",
    "accelerator",
    "add",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "as_tensor",
    "astype",
    "autograd",
    "backends",
    "bernoulli",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "bmm",
    "bool_",
    "broadcast_to",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clone",
    "cos",
    "cuda",
    "cumsum",
    "data",
    "detach",
    "device",
    "div",
    "dot",
    "einsum",
    "empty",
    "empty_like",
    "enable_grad",
    "eq",
    "erf",
    "errors",
    "exp",
    "expand",
    "expm1",
    "export",
    "eye",
    "flatten",
    "flip",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_numpy",
    "full",
    "full_like",
    "gather",
    "ge",
    "get_default_device",
    "get_num_threads",
    "get_rng_state",
    "getitem",
    "grad",
    "gt",
    "index_select",
    "initial_seed",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "linspace",
    "load",
    "load_checkpoint",
    "log",
    "log1p",
    "log2",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lt",
    "manual_seed",
    "masked_fill",
    "masked_select",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "movedim",
    "mul",
    "multinomial",
    "mv",
    "ne",
    "neg",
    "nn",
    "no_grad",
    "nonzero",
    "norm",
    "ones",
    "ones_like",
    "op",
    "ops",
    "optim",
    "outer",
    "permute",
    "pow",
    "prod",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "reciprocal",
    "relu",
    "remainder",
    "repeat_interleave",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "runtime",
    "save",
    "save_checkpoint",
    "scatter",
    "scatter_add",
    "set_default_device",
    "set_grad_enabled",
    "set_num_threads",
    "set_rng_state",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "swapaxes",
    "t",
    "take",
    "tanh",
    "tensor",
    "tile",
    "topk",
    "tracer",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "unbind",
    "unflatten",
    "unsqueeze",
    "use_deterministic_algorithms",
    "utils",
    "var",
    "where",
    "zeros",
    "zeros_like",
]

__version__ = "0.1.0"

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
    "export": (),
    "io": ("load", "save"),
    "nn": (),
    "optim": (),
    "runtime": ("compile", "compile_backward"),
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
