"""First calls: how long lucid.compile and lucid.compile_backward take to an answer, each in a new process."""

from __future__ import annotations

from .case import Case, Kind
from .command import command
from .contender import Contender
from .options import Options
from .result import Finding, Result, Row
from .rounds import LeftOut, chosen, say
from .worker import Worker, WorkerError

__all__ = ["CASES", "CONTENDERS", "measure"]

KINDS: tuple[Kind, ...] = ("tanh", "lstm", "gru")
CASES = tuple(Case(kind, 100, 32, 64, 128) for kind in KINDS)
ROUNDS = 3

CONTENDERS = (
    Contender("lucid.compile", "lucid_first:forward"),
    Contender("lucid.compile_backward", "lucid_first:backward"),
)


def measure(options: Options) -> Result:
    """Measures the seconds of the first call of lucid.compile and of lucid.compile_backward, in new processes."""
    left_out = LeftOut()
    rows = []
    for case in chosen(CASES[:1] if options.quick else CASES, options):
        row = Row(str(case), {})
        for _ in range(1 if options.quick else ROUNDS):
            for contender in CONTENDERS:
                with Worker(contender) as worker:
                    try:
                        worker.prepare(case)  # the imports and the weights, which do not count
                        row.values.setdefault(contender.name, []).extend(worker.time(1))
                    except WorkerError as error:
                        left_out.add(contender.name, case, str(error), error.details)
        rows.append(row)
        say(f"{case}: " + ", ".join(f"{name} {min(n):.3g}" for name, n in row.values.items()) + " s")
    findings = []
    for contender in CONTENDERS:
        times = [seconds for row in rows if (seconds := row.middle(contender.name)) is not None]
        label = f"first call of {contender.name}, worst layer"
        findings.append(Finding.at_most(label, 0.5, max(times, default=None), " s"))
    title = "The first call (T, N, I, H), in a new process, without imports"
    names = [c.name for c in CONTENDERS]
    return Result("first", title, names, rows, findings, left_out.notes(), unit=("s", 1.0), compared=False)


if __name__ == "__main__":
    command(measure)
