"""Training: forward pass, backward pass and one step of Adam, through recurrent layers of many sizes."""

from __future__ import annotations

from collections.abc import Sequence

from .case import KINDS, SIZES, Kind, cases
from .command import command
from .contender import Contender
from .machine import vectors
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratios
from .rounds import compare

__all__ = ["CONTENDERS", "TRAINERS", "findings", "measure"]

TRAINERS = (
    Contender("lucid", "lucid:train"),
    Contender("lucid compiled", "lucid:train_compiled"),
    Contender("torch", "torch:train", peer="torch"),
    Contender("jax", "jax:train", peer="jax"),
    Contender("lucid step", "lucid:train_step"),
)
CONTENDERS = (
    *TRAINERS,
    Contender("lucid file", "lucid:train_file"),
    Contender("floor", "numpy:training_floor"),
    Contender("products in onnxruntime", "onnxruntime:training_products"),
)

OWN = ("lucid", "lucid compiled", "lucid step")
"""lucid's ways to train: NumPy, forward and backward in onnxruntime, and the compiled step."""

LARGE = ", ".join(map(str, SIZES[4]))
"""The largest products, at which threads matter most."""

Worst = tuple[float | None, float | None, float | None]

EAGER = (
    "PyTorch is eager, since torch.compile leaves its recurrent layers to eager code (torch._dynamo.config.allow_rnn "
    "is False)"
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
    notes = [FLOOR, EAGER, *limits(rows), *notes]
    title = (
        "Training step: forward + backward + Adam (T, N, I, H); compiled: forward and backward in onnxruntime; "
        "step: lucid.compile; file: lucid.export.training_step"
    )
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("train", title, names, rows, findings(rows), notes)


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Returns the findings for NumPy's step and both compiled ones: means and worst sizes, over those of one layer."""
    found = []
    for label, peer, means, worsts, kinds in _targets("avx512f" in vectors()):
        for own, mean, worst in zip(OWN, means, worsts, strict=True):
            times = ratios(_one_layer(rows, kinds), peer, own)
            measure = f"training, {label}, {peer} / {own}"
            found.append(Finding.at_least(f"{measure}, mean", mean, geometric_mean(times)))
            if worst is not None:
                found.append(Finding.at_least(f"{measure}, worst size", worst, min(times, default=None)))
    for label, kinds in (("RNN", KINDS[:2]), ("GRU", ("gru",))):
        large = [row for row in rows if row.case in [f"{kind} {LARGE}" for kind in kinds]]
        for own in OWN[1:]:
            slowest = min(ratios(large, "lucid", own), default=None)
            found.append(Finding.at_least(f"training, {label} at {LARGE}, lucid / {own}", 1.0, slowest))
    return found


def _targets(wide: bool) -> list[tuple[str, str, tuple[float, float, float], Worst, tuple[Kind, ...]]]:
    """Returns label, peer, and for each of `OWN` the target of the mean and of the worst size.

    Args:
        wide: whether the processor has AVX-512, on which the compiled step is further ahead.
    """
    simple = KINDS[:2]
    return [
        ("RNN", "torch", (2.5, 2.5, 3.5 if wide else 3.3), (0.95, 0.95, 0.95), simple),
        ("RNN", "jax", (1.2, 1.2, 1.3 if wide else 1.2), (None, None, None), simple),
        ("GRU", "torch", (2.5, 2.5, 3.3 if wide else 3.0), (1.0, 1.0, 1.0), ("gru",)),
        ("LSTM", "torch", (0.85, 1.1, 1.2), (0.7, 0.7, 0.8), ("lstm",)),
        ("LSTM", "jax", (1.5, 1.5, 1.5), (None, None, None), ("lstm",)),
    ]


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
