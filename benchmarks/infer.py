"""Inference: eager, compiled, and exported to ONNX by each lowering."""

from __future__ import annotations

from collections.abc import Sequence

from .case import Case, cases
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratios
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
    Contender("floor", "numpy:inference_floor"),
    Contender("torch eager", "torch:infer", peer="torch"),
    Contender("jax", "jax:infer", peer="jax"),
)

LARGE = frozenset(str(case) for case in cases() if isinstance(case, Case) and case.batch >= 32 and case.hidden >= 128)
"""The cases in which matrix products dominate."""


TARGETS = {"RNN tanh": (3.0, 1.0), "RNN relu": (3.0, 1.0), "LSTM": (1.25, 0.97), "GRU": (1.25, 0.97)}
"""What PyTorch's own export must take, times what lucid.compile takes: in the mean, and at the worst size."""


def measure(options: Options) -> Result:
    """Measures inference: compiled, lowered and eager, against PyTorch's own export and eager PyTorch and JAX."""
    rows, notes = compare(CONTENDERS, cases(options.quick, stacked=False), options)
    title = "Inference (T, N, I, H); products: the bare matrix products in NumPy; floor: and the elementwise calls"
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("infer", title, names, rows, findings(rows), [*limits(rows), *notes])


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Returns the findings: eager inference of the simple layers, and each layer against PyTorch's own export."""
    simple = [row for row in rows if row.case.startswith(("tanh", "relu"))]
    eager = ratios([row for row in simple if row.case in LARGE], "lucid eager", "products")
    found = [
        Finding.at_most(
            "eager inference / bare products, worst size from N=32, H=128 on",
            1.3,
            max(eager, default=None),
        )
    ]
    for layer, (mean, worst) in TARGETS.items():
        kind = layer.split()[-1].lower()
        times = ratios([row for row in rows if row.case.startswith(kind)], "torch exported", "lucid compiled")
        label = f"torch's own export / lucid.compile, {layer}"
        found.append(Finding.at_least(f"{label}, mean", mean, geometric_mean(times)))
        found.append(Finding.at_least(f"{label}, worst size", worst, min(times, default=None)))
    return found


def limits(rows: Sequence[Row]) -> list[str]:
    """Returns notes on how far the lower bounds are from the targets.

    The bounds are matrix products and elementwise calls for eager inference, and matrix products and a bare call of the
    same operator for PyTorch's export.
    """
    notes = []
    for kind in ("tanh", "relu"):
        own = [row for row in rows if row.case.startswith(kind)]
        large = [row for row in own if row.case in LARGE]
        if found := ratios(large, "floor", "products"):
            notes.append(f"RNN {kind}, floor / products, from N=32, H=128 on: worst size {max(found):.3g}")
        for other in ("products", "rnn"):
            if found := ratios(own, "torch exported", other):
                mean = geometric_mean(found)
                notes.append(f"RNN {kind}, torch exported / {other}: mean {mean:.3g}, worst size {min(found):.3g}")
    return notes


if __name__ == "__main__":
    command(measure)
