"""lucid: train sequence models in plain NumPy, ship them as ONNX, run everything in onnxruntime.

``import lucid`` imports only NumPy and takes little longer: everything but tensors and ops is loaded on first use.
`lucid.export` and `lucid.runtime` then import onnx and onnxruntime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as _np

from . import autograd, errors, ops, tracer
from .autograd import grad
from .kinds import (
    BoolTensor,
    ByteTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    is_tensor,
)
from .malloc import keep_pages as _keep_pages
from .ops import *
from .shape import Size
from .tensor import Parameter, Tensor, as_tensor, from_numpy, op, tensor
from .tracer import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .tracer.promotion import promote_types, result_type

if TYPE_CHECKING:
    from . import checkpoint as checkpoint
    from . import data, distributions, export, nn, optim, runtime
    from . import io as io
    from .checkpoint import load_checkpoint, save_checkpoint
    from .io import load, save
    from .runtime import compile as compile
    from .runtime import compile_backward as compile_backward

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "Parameter",
    "ShortTensor",
    "Size",
    "Tensor",
    "as_tensor",
    "autograd",
    "bool_",
    "data",
    "distributions",
    "e",
    "enable_grad",
    "errors",
    "export",
    "finfo",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "grad",
    "iinfo",
    "inf",
    "inference_mode",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "is_tensor",
    "load",
    "load_checkpoint",
    "nan",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
    "pi",
    "promote_types",
    "result_type",
    "runtime",
    "save",
    "save_checkpoint",
    "set_grad_enabled",
    "tensor",
    "tracer",
    "uint8",
]
__all__ += ops.__all__

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
    "checkpoint": ("load_checkpoint", "save_checkpoint"),
    "data": (),
    "distributions": (),
    "export": (),
    "io": ("load", "save"),
    "nn": (),
    "optim": (),
    "runtime": ("compile", "compile_backward"),
}
"""The parts that are loaded on first use, and the names that `lucid` re-exports from each."""


def __getattr__(name: str) -> Any:
    for part, names in _LAZY.items():
        if name == part or name in names:
            module = importlib.import_module(f"{__name__}.{part}")
            return module if name == part else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LAZY, "compile", "compile_backward"})
