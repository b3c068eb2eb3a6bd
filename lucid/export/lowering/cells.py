"""Lowerings of recurrent cells. Letters: N batch, I input, H hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .linalg import linear
from .operands import out_dtype, out_shape
from .registry import lowers


@lowers("rnn_cell")
def _(b: Builder, x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, nonlinearity: str) -> Any:
    total = b.op("Add", linear(b, x, weight_ih, bias_ih), linear(b, h, weight_hh, bias_hh))
    return b.op("Tanh" if nonlinearity == "tanh" else "Relu", total)


@lowers("lstm_cell")
def _(b: Builder, x: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> Any:
    total = b.op("Add", linear(b, x, weight_ih, bias_ih), linear(b, h, weight_hh, bias_hh))
    parts = _parts(b, total, 4)
    i, f, o = (b.op("Sigmoid", parts[gate]) for gate in (0, 1, 3))
    g = b.op("Tanh", parts[2])
    c_next = b.op("Add", b.op("Mul", f, c), b.op("Mul", i, g))
    gates = b.op("Concat", i, f, g, o, axis=-1) if b.is_read(2) else None
    return b.op("Mul", o, b.op("Tanh", c_next)), c_next, gates


@lowers("gru_cell")
def _(b: Builder, x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> Any:
    x_r, x_z, x_n = _parts(b, linear(b, x, weight_ih, bias_ih), 3)
    h_r, h_z, q = _parts(b, linear(b, h, weight_hh, bias_hh), 3)
    r, z = (b.op("Sigmoid", b.op("Add", *pair)) for pair in ((x_r, h_r), (x_z, h_z)))
    n = b.op("Tanh", b.op("Add", x_n, b.op("Mul", r, q)))
    kept = b.op("Mul", b.op("Sub", np.ones((), out_dtype(b)), z), n)
    gates = b.op("Concat", r, z, n, axis=-1) if b.is_read(1) else None
    return b.op("Add", kept, b.op("Mul", z, h)), gates, q


def _parts(b: Builder, total: ir.Value, count: int) -> list[ir.Value]:
    """Splits pre-activations by gate."""
    hidden = int(out_shape(b)[-1])
    return list(b.op("Split", total, np.full(count, hidden, np.int64), outputs=count, axis=-1))
