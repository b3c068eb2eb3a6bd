"""Training: forward pass, backward pass and one step of Adam, through recurrent layers of many sizes."""

from __future__ import annotations

from collections.abc import Sequence

from .case import KINDS, Kind, cases
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratio
from .rounds import compare

__all__ = ["CONTENDERS", "TRAINERS", "findings", "measure"]

TRAINERS = (
    Contender("lucid", "lucid:train"),
    Contender("torch", "torch:train", peer="torch"),
    Contender("jax", "jax:train", peer="jax"),
)
CONTENDERS = (*TRAINERS, Contender("floor", "numpy:floor"))

FLOOR = (
    "the floor is what a step in NumPy cannot do without: matrix products, and the elementwise calls of each time step "
    "and of the gradient's factors, on arrays that never leave the cache"
)


def measure(options: Options) -> Result:
    """Training step: forward + backward + Adam, lucid against PyTorch, JAX (jit, scan) and NumPy's own floor."""
    rows, notes = compare(CONTENDERS, cases(options.quick), options)
    notes = [FLOOR, *limits(rows), *notes]
    title = "Training step: forward + backward + Adam (T, N, I, H)"
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("train", title, names, rows, findings(rows), notes)


def findings(rows: Sequence[Row]) -> list[Finding]:
    """The targets: means and worst cases over the six sizes of one layer."""

    def mean(target: float, label: str, peer: str, *kinds: Kind) -> Finding:
        value = geometric_mean(_ratios(rows, peer, "lucid", *kinds))
        return Finding.at_least(f"training, {label}, {peer} / lucid, mean", target, value)

    def worst(target: float, label: str, peer: str, *kinds: Kind) -> Finding:
        value = min(_ratios(rows, peer, "lucid", *kinds), default=None)
        return Finding.at_least(f"training, {label}, {peer} / lucid, worst size", target, value)

    simple = KINDS[:2]
    return [
        mean(2.5, "RNN", "torch", *simple),
        worst(0.95, "RNN", "torch", *simple),
        mean(1.2, "RNN", "jax", *simple),
        mean(2.5, "GRU", "torch", "gru"),
        worst(1.0, "GRU", "torch", "gru"),
        mean(1.0, "LSTM", "torch", "lstm"),
        worst(0.7, "LSTM", "torch", "lstm"),
        mean(1.5, "LSTM", "jax", "lstm"),
    ]


def limits(rows: Sequence[Row]) -> list[str]:
    """How far the floor is from the peers, over the six sizes of one layer: more than that is out of NumPy's reach."""
    notes = []
    for label, kinds in (("RNN", KINDS[:2]), ("LSTM", ("lstm",)), ("GRU", ("gru",))):
        for peer in ("torch", "jax", "lucid"):
            found = _ratios(rows, peer, "floor", *kinds)
            if found:
                notes.append(f"{label}, {peer} / floor: mean {geometric_mean(found):.3g}, worst size {min(found):.3g}")
    return notes


def _ratios(rows: Sequence[Row], one: str, other: str, *kinds: Kind) -> list[float]:
    """How many times as long one contender takes as another, for each size of one layer of these kinds."""
    chosen = [row for row in rows if row.case.split()[0] in kinds and "layers" not in row.case]
    return [r for row in chosen if (r := ratio(row, one, other)) is not None]


if __name__ == "__main__":
    command(measure)
