"""Loops: whole programs of small ops, one time step after another in Python."""

from __future__ import annotations

from collections.abc import Sequence

from .command import command
from .contender import Contender
from .loop import LOOPS
from .options import Options
from .result import Finding, Result, Row, geometric_mean, ratio, ratios
from .rounds import compare

__all__ = ["CONTENDERS", "findings", "measure"]

CONTENDERS = (
    Contender("lucid", "lucid_loops:run"),
    Contender("lucid compiled", "lucid_loops:run", {"compiled": True}),
    Contender("torch", "torch_loops:run", peer="torch"),
    Contender("torch compiled", "torch_loops:run", {"compiled": True}, peer="torch"),
    Contender("jax", "jax_loops:run", peer="jax"),
)

TARGETS = {"tutorial": 0.9, "own cell": 0.9, "RNNCell": 1.0, "LSTMCell": 1.0, "policy": 1.0}
"""What PyTorch, eager, must take, times what lucid takes: less where all ops are the program's own."""


def measure(options: Options) -> Result:
    """Measures loops of small ops and of cells: lucid, lucid.compile_backward, PyTorch, torch.compile and JAX (jit)."""
    rows, notes = compare(CONTENDERS, LOOPS[:2] if options.quick else LOOPS, options)
    title = "Loops in Python (program, T, N, I, H): forward, backward and SGD; policy: the forward pass alone"
    names = [c.name for c in CONTENDERS if any(c.name in row.values for row in rows)]
    return Result("loops", title, names, rows, findings(rows), notes)


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Returns a finding for each loop, and one for those that lucid.compile_backward trains."""
    found = [
        Finding.at_least(
            f"loop, {row.case}, torch / lucid",
            next(target for program, target in TARGETS.items() if row.case.startswith(program)),
            ratio(row, "torch", "lucid"),
        )
        for row in rows
    ]
    trained = ratios([row for row in rows if not row.case.startswith("policy")], "torch", "lucid compiled")
    label = "loops, torch / lucid.compile_backward"
    found.append(Finding.at_least(f"{label}, mean", 2.5, geometric_mean(trained)))
    found.append(Finding.at_least(f"{label}, worst size", 1.0, min(trained, default=None)))
    return found


if __name__ == "__main__":
    command(measure)
