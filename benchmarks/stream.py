"""Streaming: one time step per call, at batch one, with the state kept between calls."""

from __future__ import annotations

from .case import Case
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, ratios
from .rounds import compare

__all__ = ["CASES", "CONTENDERS", "measure"]

CASES = (Case("tanh", 20, 1, 32, 64), Case("lstm", 20, 1, 32, 64), Case("gru", 20, 1, 32, 64))
"""Twenty steps are compared; one is timed."""

CONTENDERS = (
    Contender("lucid", "lucid:stream"),
    Contender("onnxruntime", "onnxruntime:stream"),
    Contender("torch", "torch:stream", peer="torch"),
    Contender("jax", "jax:stream", peer="jax"),
)


def measure(options: Options) -> Result:
    """Measures the microseconds of a step, against a bare onnxruntime call with bound buffers and eager peers."""
    rows, notes = compare(CONTENDERS, CASES, options)
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    worst = max(ratios(rows, "lucid", "onnxruntime"), default=None)
    findings = [Finding.at_most("streaming, lucid / bare onnxruntime, worst layer", 1.3, worst)]
    title = "Streaming, one step at batch 1, hidden 64; onnxruntime: the bare call, nothing copied"
    return Result("stream", title, names, rows, findings, notes, unit=("µs", 1e6))


if __name__ == "__main__":
    command(measure)
