"""Inference: eagerly, and exported to ONNX in every way that there is."""

from __future__ import annotations

from collections.abc import Sequence

from .case import Case, cases
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratio
from .rounds import compare

__all__ = ["CONTENDERS", "findings", "measure"]

CONTENDERS = (
    Contender("lucid compiled", "lucid:compiled"),
    Contender("rnn", "lucid:lowered", {"lowering": "rnn"}),
    Contender("scan", "lucid:lowered", {"lowering": "scan"}),
    Contender("unrolled", "lucid:lowered", {"lowering": "unrolled"}),
    Contender("torch exported", "torch:exported", peer="torch", needs=("onnx",)),
    Contender("lucid eager", "lucid:infer"),
    Contender("products", "numpy:products"),
    Contender("torch eager", "torch:infer", peer="torch"),
    Contender("jax", "jax:infer", peer="jax"),
)


def measure(options: Options) -> Result:
    """Inference: compiled, by each lowering and eager, against PyTorch's own export and eager PyTorch and JAX."""
    rows, notes = compare(CONTENDERS, cases(options.quick, stacked=False), options)
    title = "Inference (T, N, I, H); products: the bare matrix products in NumPy"
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("infer", title, names, rows, findings(rows), [*limits(rows), *notes])


def findings(rows: Sequence[Row]) -> list[Finding]:
    """The targets, for the simple layers; those of LSTM and GRU are reported beside them."""
    simple = [row for row in rows if row.case.startswith(("tanh", "relu"))]
    large = {str(case) for case in cases() if isinstance(case, Case) and case.batch >= 32 and case.hidden >= 128}
    eager = [ratio(row, "lucid eager", "products") for row in simple if row.case in large]
    found = [
        Finding.at_most(
            "eager inference / bare products, worst size from N=32, H=128 on",
            1.3,
            max((r for r in eager if r is not None), default=None),
        )
    ]
    for kind in ("tanh", "relu"):
        exported = [ratio(row, "torch exported", "lucid compiled") for row in simple if row.case.startswith(kind)]
        ratios = [r for r in exported if r is not None]
        label = f"torch's own export / lucid.compile, RNN {kind}"
        found.append(Finding.at_least(f"{label}, mean", 3.0, geometric_mean(ratios)))
        found.append(Finding.at_least(f"{label}, worst size", 1.0, min(ratios, default=None)))
    return found


def limits(rows: Sequence[Row]) -> list[str]:
    """How many times as long as matrix products alone PyTorch's export takes: no export can be that much faster."""
    notes = []
    for kind in ("tanh", "relu"):
        found = [ratio(row, "torch exported", "products") for row in rows if row.case.startswith(kind)]
        if ratios := [r for r in found if r is not None]:
            mean = geometric_mean(ratios)
            notes.append(f"RNN {kind}, torch exported / products: mean {mean:.3g}, worst size {min(ratios):.3g}")
    return notes


if __name__ == "__main__":
    command(measure)
