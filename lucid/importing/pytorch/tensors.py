"""Tensors of PyTorch's as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..values import Array

__all__ = ["array_of", "is_half", "obstacle"]

_DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def is_half(tensor: Any) -> bool:
    """Returns whether a tensor is bfloat16, which NumPy does not have."""
    return str(tensor.dtype) == "torch.bfloat16"


def obstacle(tensor: Any) -> str | None:
    """Returns why a tensor cannot become an array; None if it can."""
    if type(tensor).__name__.startswith("Uninitialized"):
        return "it has no elements yet: call the module once"
    if type(tensor).__module__ not in ("torch", "torch.nn.parameter"):
        return f"it is a {type(tensor).__module__}.{type(tensor).__qualname__}, no plain tensor"
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _DTYPES:
        return f"lucid has no tensors of {dtype}"
    if str(tensor.layout) != "torch.strided":
        return f"it is sparse ({tensor.layout}); use x.to_dense()"
    if tensor.device.type == "meta":
        return "it is on the device 'meta', and has no elements"
    if getattr(tensor, "_backward_hooks", None) or getattr(tensor, "_post_accumulate_grad_hooks", None):
        return "it has hooks; remove them first"
    return None


def array_of(tensor: Any) -> Array:
    """Returns a copy of a tensor without obstacles as an array; bfloat16 becomes float32."""
    tensor = tensor.detach().cpu()
    return np.array((tensor.float() if is_half(tensor) else tensor).resolve_neg().numpy(), order="C")
