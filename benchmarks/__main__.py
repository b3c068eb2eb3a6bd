"""Runs all benchmarks, one after the other: `python -m benchmarks [--quick] [--against torch jax]`."""

from __future__ import annotations

from collections.abc import Callable

from . import (
    export,
    files,
    first,
    history,
    imports,
    infer,
    loops,
    memory,
    overhead,
    page,
    parts,
    picture,
    scaling,
    stream,
    train,
)
from .command import Draw, finish
from .contender import package
from .machine import busy
from .options import PEERS, Options, parse
from .result import Result
from .table import table

BENCHMARKS: tuple[tuple[Callable[[Options], Result], Draw], ...] = (
    (train.measure, picture.bars),
    (loops.measure, picture.bars),
    (parts.measure, picture.bars),
    (infer.measure, picture.bars),
    (files.measure, picture.bars),
    (first.measure, picture.bars),
    (export.measure, picture.bars),
    (stream.measure, picture.bars),
    (imports.measure, picture.bars),
    (memory.measure, picture.bars),
    (overhead.measure, picture.bars),
    (scaling.measure, scaling.draw),
)


def main() -> None:
    options = parse("All benchmarks, against PyTorch and JAX where they are installed.")
    results: list[Result] = []
    was_busy = busy()  # before any benchmark: later the load is our own
    for measure, draw in BENCHMARKS:
        result = measure(options)
        finish(result, options, draw, was_busy)
        results.append(result)
    findings = [finding for result in results for finding in result.findings]
    print(table([["measure", "target", "here", ""], *([f.measure, f.target, f.value, f.verdict] for f in findings)]))
    if full(options) and page.write(options.out):
        history.append([history.of_results(results)])
        print("\ndocs/performance.md and benchmarks/history.jsonl have this run now")


def full(options: Options) -> bool:
    """Returns whether all cases run, against all peers."""
    peers = set(options.against) == set(PEERS) and all(package(peer) is not None for peer in PEERS)
    return peers and not options.quick and not options.only


if __name__ == "__main__":
    main()
