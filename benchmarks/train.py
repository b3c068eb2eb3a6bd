"""Training: forward pass, backward pass and one step of Adam, through recurrent layers of many sizes."""

from __future__ import annotations

from collections.abc import Sequence

from .case import KINDS, Kind, cases
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratio
from .rounds import compare

__all__ = ["CONTENDERS", "findings", "measure"]

CONTENDERS = (
    Contender("lucid", "lucid:train"),
    Contender("torch", "torch:train", peer="torch"),
    Contender("jax", "jax:train", peer="jax"),
)


def measure(options: Options) -> Result:
    """Training step: forward + backward + Adam, lucid against PyTorch and JAX (jit, scan)."""
    rows, notes = compare(CONTENDERS, cases(options.quick), options)
    title = "Training step: forward + backward + Adam (T, N, I, H)"
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("train", title, names, rows, findings(rows), notes)


def findings(rows: Sequence[Row]) -> list[Finding]:
    """The targets: means and worst cases over the six sizes of one layer."""

    def ratios(peer: str, *kinds: Kind) -> list[float]:
        chosen = [row for row in rows if row.case.split()[0] in kinds and "layers" not in row.case]
        return [r for row in chosen if (r := ratio(row, peer, "lucid")) is not None]

    def mean(target: float, label: str, peer: str, *kinds: Kind) -> Finding:
        return Finding.at_least(
            f"training, {label}, {peer} / lucid, mean", target, geometric_mean(ratios(peer, *kinds))
        )

    def worst(target: float, label: str, peer: str, *kinds: Kind) -> Finding:
        return Finding.at_least(
            f"training, {label}, {peer} / lucid, worst size", target, min(ratios(peer, *kinds), default=None)
        )

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


if __name__ == "__main__":
    command(measure)
