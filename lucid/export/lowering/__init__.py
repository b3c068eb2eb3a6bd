"""The lowerings, grouped as the ops are: each turns one op into ONNX nodes."""

from . import (  # noqa: F401 - they fill the table
    bidirectional,
    cells,
    creation,
    elementwise,
    gather,
    gru,
    index,
    layers,
    linalg,
    logic,
    lstm,
    math,
    order,
    random,
    reduce,
    rnn,
    scan,
    search,
    shape,
    trigonometry,
)
from .registry import LOWERINGS, lowers

__all__ = ["LOWERINGS", "lowers"]
