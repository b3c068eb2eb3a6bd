"""The imports of ONNX's operators, in groups as the lowerings are."""

from . import (
    attention,
    control,
    convolution,
    elementwise,
    index,
    layers,
    linalg,
    pool,
    quantized,
    recurrent,
    reduce,
    resize,
    sequence,
    shape,
    signal,
)

__all__ = [
    "attention",
    "control",
    "convolution",
    "elementwise",
    "index",
    "layers",
    "linalg",
    "pool",
    "quantized",
    "recurrent",
    "reduce",
    "resize",
    "sequence",
    "shape",
    "signal",
]
