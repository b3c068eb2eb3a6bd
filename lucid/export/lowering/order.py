"""Lowering of sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from .builder import Builder
from .operands import out_dtype
from .registry import lowers


@lowers("ordered")
def _(b: Builder, x: Any, k: Any, dim: int, descending: bool) -> Any:
    dtype = out_dtype(b)
    # onnxruntime's TopK supports float32, float64, int32 and int64.
    kernel = dtype if dtype.name in ("float32", "float64", "int32", "int64") else np.dtype(np.int64)
    kernel = np.dtype(np.float32) if dtype == np.float16 else kernel
    values, indices = b.op("TopK", b.cast(x, kernel), b.sizes([k]), outputs=2, axis=dim, largest=int(descending))
    indices.dtype = b.const(np.array(0)).dtype
    return b.cast(values, dtype), indices
