"""Training: forward pass, backward pass and one step of Adam, through recurrent layers of many sizes."""

from __future__ import annotations

from collections.abc import Sequence

from .case import KINDS, Kind, cases
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratios
from .rounds import compare

__all__ = ["CONTENDERS", "TRAINERS", "findings", "measure"]

TRAINERS = (
    Contender("lucid", "lucid:train"),
    Contender("lucid compiled", "lucid:train_compiled"),
    Contender("torch", "torch:train", peer="torch"),
    Contender("jax", "jax:train", peer="jax"),
)
CONTENDERS = (
    *TRAINERS,
    Contender("lucid step", "lucid:train_step"),
    Contender("lucid file", "lucid:train_file"),
    Contender("floor", "numpy:training_floor"),
    Contender("products in onnxruntime", "onnxruntime:training_products"),
)

FLOOR = (
    "the floor is an estimate of what a step in NumPy needs: matrix products, and the elementwise calls of each time "
    "step and of the gradient's factors, on arrays that never leave the cache"
)


def measure(options: Options) -> Result:
    """Measures a training step: forward, backward and Adam, of lucid, PyTorch and JAX (jit, scan).

    An estimate of NumPy's floor stands beside them.
    """
    rows, notes = compare(CONTENDERS, cases(options.quick), options)
    notes = [FLOOR, *limits(rows), *notes]
    title = (
        "Training step: forward + backward + Adam (T, N, I, H); compiled: forward and backward in onnxruntime; "
        "step: lucid.compile; file: lucid.export.training_step"
    )
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("train", title, names, rows, findings(rows), notes)


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Returns the findings for NumPy's step and both compiled ones: means and worst sizes, over those of one layer."""
    simple = KINDS[:2]
    targets: list[tuple[str, str, float, float | None, tuple[Kind, ...]]] = [
        ("RNN", "torch", 2.5, 0.95, simple),
        ("RNN", "jax", 1.2, None, simple),
        ("GRU", "torch", 2.5, 1.0, ("gru",)),
        ("LSTM", "torch", 1.0, 0.7, ("lstm",)),
        ("LSTM", "jax", 1.5, None, ("lstm",)),
    ]
    found = []
    for label, peer, mean, worst, kinds in targets:
        for own in ("lucid", "lucid compiled", "lucid step"):
            times = ratios(_one_layer(rows, kinds), peer, own)
            measure = f"training, {label}, {peer} / {own}"
            found.append(Finding.at_least(f"{measure}, mean", mean, geometric_mean(times)))
            if worst is not None:
                found.append(Finding.at_least(f"{measure}, worst size", worst, min(times, default=None)))
    return found


def limits(rows: Sequence[Row]) -> list[str]:
    """Returns notes on how far the lower bounds are from the steps, over the six sizes of one layer.

    NumPy's floor is compared with NumPy's step and the peers, the products alone in onnxruntime with the compiled step
    and the peers.
    """
    notes = []
    for label, kinds in (("RNN", KINDS[:2]), ("LSTM", ("lstm",)), ("GRU", ("gru",))):
        for limit, own in (("floor", "lucid"), ("products in onnxruntime", "lucid compiled")):
            for other in ("torch", "jax", own):
                found = ratios(_one_layer(rows, kinds), other, limit)
                if found:
                    mean = geometric_mean(found)
                    notes.append(f"{label}, {other} / {limit}: mean {mean:.3g}, worst size {min(found):.3g}")
    return notes


def _one_layer(rows: Sequence[Row], kinds: Sequence[Kind]) -> list[Row]:
    """Returns the rows of each size of one layer of these kinds."""
    return [row for row in rows if row.case.split()[0] in kinds and "layers" not in row.case]


if __name__ == "__main__":
    command(measure)
