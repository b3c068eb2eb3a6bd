"""Several processes: what the exchange costs, and what two processes bring on two cores."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import lucid
import lucid.distributed as dist
from lucid import nn
from lucid.distributed.group import current

from .command import command
from .options import Options
from .place import ROOT
from .result import Finding, Result, Row, ratio
from .rounds import say

__all__ = ["measure", "on_paper", "worker"]

FEATURES, CLASSES, STEPS, BATCH = 12, 9, 50, 64
BYTES = (1 << 3, 1 << 10, 1 << 14, 1 << 17, 1 << 20)

NETWORKS = {"2 us, 10 Gbit/s": (2e-6, 8e-10), "30 us, 1 Gbit/s": (30e-6, 8e-9)}
"""Networks on paper: seconds for a message, and for each byte of it."""

WORKERS = (8, 64, 512)


class Loss(nn.Module):
    """The loss of a GRU that classifies sequences."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(FEATURES, hidden), nn.Linear(hidden, CLASSES)

    def forward(self, x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(self.head(self.rnn(x)[1][-1]), y)


def measure(options: Options) -> Result:
    """Measures training steps in one and in two processes, and exchanges between two, over MPI."""
    hidden = (64,) if options.quick else (64, 256)
    rounds = 2 if options.quick else max(3, options.rounds)
    rows = [Row(f"GRU {STEPS}, {BATCH}, {FEATURES}, {n}", {name: [] for name in _CONTENDERS}) for n in hidden]
    exchanges: dict[int, list[float]] = {n: [] for n in BYTES}
    for i in range(rounds):
        for row, n in zip(rows, hidden, strict=True):
            # By turns, since the machine has other work, too.
            for processes in (1, 2):
                found = _launched(processes, {"hidden": n, "steps": 5 if options.quick else 40})
                for name, seconds in found["steps"].items():
                    row.values[name].append(seconds)
                for size, seconds in found["exchanges"].items():
                    exchanges[int(size)].append(seconds)
        say(f"round {i}")
    sizes = {n: median(values) for n, values in exchanges.items()}
    rows += [Row(f"exchange of {n:,} bytes", {"lucid": [], "two processes": values}) for n, values in exchanges.items()]
    alpha, beta = _fitted(sizes)
    findings = []
    for row in rows[: len(hidden)]:
        findings.append(
            Finding.at_most(f"{row.case}: wrapped / plain, one process", 1.15, ratio(row, "wrapped", "lucid"))
        )
        for one, two in (("lucid", "two processes"), ("compiled", "two processes, compiled")):
            findings.append(Finding.at_least(f"{row.case}: {one} / {two}, each half", 1.5, ratio(row, one, two)))
    notes = [
        f"an exchange takes {alpha * 1e6:.1f} us and {beta * 1e9:.2f} ns a byte between two processes of this machine",
        "lucid: a plain step of the whole batch; wrapped: the same by DistributedDataParallel, alone",
        "compiled: the same with compile=True, in one thread",
        "two processes: each has half of the batch, and a core",
    ]
    for n in (64,) if options.quick else (64, 256, 1024):
        notes += _papers(n, _launched(1, {"hidden": n, "steps": 5 if options.quick else 20})["steps"]["lucid"])
    title = "Training steps in several processes"
    return Result("distributed", title, list(_CONTENDERS), rows, findings, notes)


_CONTENDERS = ("lucid", "wrapped", "two processes", "compiled", "two processes, compiled")


def on_paper(step: float, parameters: int, alpha: float, beta: float, workers: int) -> float:
    """Returns the efficiency of more workers, each with the same part of a batch, by the usual model of an exchange.

    A step has an exchange of sizes, one of totals, one of losses and one of gradients; each takes two messages for each
    halving of the workers, and sends twice its bytes.

    Args:
        step: the seconds of a step without exchange.
        parameters: the number of float32 parameters.
        alpha, beta: the seconds of a message, and of each byte.
        workers: how many there are.
    """
    rounds = 2 * math.ceil(math.log2(workers))
    exchange = 4 * rounds * alpha + 2 * 4 * parameters * (workers - 1) / workers * beta
    return step / (step + exchange)


def _papers(hidden: int, step: float) -> list[str]:
    """Returns what the model says of more workers, each with a whole batch of its own."""
    parameters = sum(p._data.size for p in Loss(hidden).parameters())
    return [
        f"on paper, hidden {hidden} ({parameters:,} parameters, a step of {step * 1e3:.1f} ms), {network}: "
        + ", ".join(f"{on_paper(step, parameters, alpha, beta, n):.0%} at {n}" for n in WORKERS)
        for network, (alpha, beta) in NETWORKS.items()
    ]


def _fitted(seconds: dict[int, float]) -> tuple[float, float]:
    """Returns the seconds of a message and of each byte: the smallest exchange, and the slope of the largest."""
    small, large = min(seconds), max(seconds)
    return seconds[small], (seconds[large] - seconds[small]) / (large - small)


def _launched(processes: int, what: dict[str, Any]) -> Any:
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if mpiexec is None:
        raise RuntimeError("there is no mpiexec; pip install '.[mpi]'")
    words = [sys.executable, "-m", "mpi4py", "-m", "benchmarks.distributed", "--worker", json.dumps(what)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    made = subprocess.run(
        [mpiexec, "-n", str(processes), *words], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    if made.returncode:
        raise RuntimeError(f"{processes} processes failed:\n{made.stdout}{made.stderr}")
    return json.loads(made.stdout.splitlines()[-1])


def worker(what: dict[str, Any]) -> dict[str, Any]:
    """Measures in one of the processes: the seconds of a step by contender, and of an exchange by bytes."""
    dist.init_process_group()
    rank, size = dist.get_rank(), dist.get_world_size()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((STEPS, BATCH, FEATURES)).astype(np.float32)
    y = rng.integers(0, CLASSES, BATCH)
    begin, end = BATCH * rank // size, BATCH * (rank + 1) // size
    part = lucid.tensor(x[:, begin:end]), lucid.tensor(y[begin:end])
    wrapped = dist.DistributedDataParallel(Loss(what["hidden"]))
    compiled = dist.DistributedDataParallel(Loss(what["hidden"]), compile=True, threads=1)
    steps, exchanges = {}, {}
    if size == 1:
        steps = {"lucid": _step(Loss(what["hidden"]), part, what), "wrapped": _step(wrapped, part, what)}
        steps["compiled"] = _step(compiled, part, what)
    else:
        steps = {"two processes": _step(wrapped, part, what), "two processes, compiled": _step(compiled, part, what)}
        for n in BYTES:
            array = np.zeros(n // 8)
            exchanges[n] = _fastest(lambda array=array: current().sum(array), 30)
    return {"steps": steps, "exchanges": exchanges}


def _step(model: Any, part: tuple[Any, ...], what: dict[str, Any]) -> float:
    optimizer = lucid.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        model(*part).backward()
        optimizer.step()

    step()
    return _fastest(step, what["steps"])


def _fastest(call: Any, times: int) -> float:
    """Returns the lower quartile of the seconds of a call."""
    seconds = []
    for _ in range(times):
        dist.barrier()
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.quantile(seconds, 0.25))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        measured = worker(json.loads(sys.argv[2]))
        if dist.get_rank() == 0:
            print(json.dumps(measured))
    else:
        command(measure)
