"""lucid: train sequence models in plain NumPy, ship them as ONNX, run everything in onnxruntime.

``import lucid`` needs NumPy alone; `lucid.export` and `lucid.runtime` bring in onnx and onnxruntime when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as _np

from . import autograd, data, errors, nn, ops, optim, tracer
from .autograd import grad
from .checkpoint import load_checkpoint, save_checkpoint
from .io import load, save
from .ops import *
from .tensor import Parameter, Tensor, as_tensor, from_numpy, op, tensor
from .tracer import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

if TYPE_CHECKING:
    from . import export, runtime
    from .runtime import compile as compile

__all__ = [
    "Parameter",
    "Tensor",
    "as_tensor",
    "autograd",
    "bool_",
    "data",
    "enable_grad",
    "errors",
    "export",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "grad",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "load",
    "load_checkpoint",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
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

float16 = _np.dtype("float16")
float32 = _np.dtype("float32")
float64 = _np.dtype("float64")
int8 = _np.dtype("int8")
int16 = _np.dtype("int16")
int32 = _np.dtype("int32")
int64 = _np.dtype("int64")
uint8 = _np.dtype("uint8")
bool_ = _np.dtype("bool")

_LAZY = ("export", "runtime")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "compile":
        return importlib.import_module(f"{__name__}.runtime").compile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
