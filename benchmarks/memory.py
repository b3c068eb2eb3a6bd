"""Memory: the peak of a training step."""

from __future__ import annotations

from .case import cases
from .command import command
from .contender import available
from .options import Options
from .result import Finding, Result, Row, ratios
from .rounds import LeftOut, chosen, say
from .train import OWN, TRAINERS
from .worker import Worker, WorkerError

__all__ = ["measure"]

STEPS = 3


def measure(options: Options) -> Result:
    """Measures the peak memory of training steps, over the bare interpreter and over the memory before the first."""
    found, notes = available(TRAINERS, options.against)
    left_out = LeftOut()
    whole, steps = [], []
    for case in chosen(cases(options.quick, stacked=False), options):
        peaks: dict[str, dict[str, int]] = {}
        for contender in found:
            with Worker(contender) as worker:  # a new process: a peak cannot be taken back
                try:
                    worker.prepare(case)
                    peaks[contender.name] = worker.peak(STEPS)
                except WorkerError as error:
                    left_out.add(contender.name, case, str(error), error.details)
        whole.append(_row(f"{case}, process", peaks, "interpreter"))
        steps.append(_row(f"{case}, steps", peaks, "before"))
        say(f"{case}: " + ", ".join(f"{name} {n[0] / 2**20:.0f}" for name, n in whole[-1].values.items()) + " MiB")
    names = [c.name for c in found if any(c.name in row.values for row in whole)]
    findings = [
        Finding.at_most(
            f"peak memory of a training step, {own} / torch, {label}, worst size",
            1.0,
            max(ratios(rows, own, "torch"), default=None),
        )
        for own in OWN
        for label, rows in (("over the bare interpreter", whole), ("over what stood there before", steps))
    ]
    title = "Peak memory of training; process: over a bare interpreter; steps: over what stood there before the first"
    return Result("memory", title, names, [*whole, *steps], findings, notes + left_out.notes(), unit=("MiB", 2**-20))


def _row(label: str, peaks: dict[str, dict[str, int]], base: str) -> Row:
    return Row(label, {name: [float(max(1, bytes["peak"] - bytes[base]))] for name, bytes in peaks.items()})


if __name__ == "__main__":
    command(measure)
