"""The command `lucid bench`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from itertools import product
from typing import Any

import click
import numpy as np
import onnxruntime

from ..runtime import Session
from ..tables import text_table
from . import arguments
from .session import open_session
from .text import clean

__all__ = ["bench"]

_DEFAULTS = {"batch": (1, 8, 32), "time": (1, 32, 128)}


def _parsed(text: str) -> tuple[int, ...]:
    """Parses several sizes, as in 1,8,32."""
    sizes = [size.strip() for size in text.split(",")]
    if not all(size.isascii() and size.isdecimal() and 0 < int(size) < 2**31 for size in sizes):
        raise click.BadParameter(f"{text!r}: expected positive whole numbers, as in 1,8,32")
    return tuple(map(int, sizes))


def _optional(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    return None if text is None else _parsed(text)


@click.command(short_help="Time MODEL in onnxruntime, on generated inputs.")
@arguments.model
@click.option("--batch", callback=_optional, metavar="SIZES", help="Sizes of the axis named batch.  [default: 1,8,32]")
@click.option(
    "--length", callback=_optional, metavar="SIZES", help="Sizes of the axis named time.  [default: 1,32,128]"
)
@click.option(
    "--axis", "axes", multiple=True, metavar="NAME=SIZES", help="Sizes of any other free axis; 1 if not given."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=0.3,
    show_default=True,
    help="Seconds to measure each row, at least.",
)
@arguments.device
@arguments.threads
@arguments.as_json
@arguments.no_verify
def bench(
    model: str,
    batch: tuple[int, ...] | None,
    length: tuple[int, ...] | None,
    axes: tuple[str, ...],
    seconds: float,
    device: str,
    threads: int | None,
    as_json: bool,
    no_verify: bool,
) -> None:
    """Time MODEL in onnxruntime on generated inputs: latency and throughput for each batch size and length.

    The time of a call includes copying the inputs in and the outputs out.
    """
    session = open_session(model, device, threads, no_verify)
    sizes = _sizes(session, {"batch": batch, "time": length}, axes)
    rows = []
    for chosen in product(*sizes.values()):
        rows.append(_measured(session, dict(zip(sizes, chosen, strict=True)), seconds))
        if not as_json:
            _report(rows)
    if as_json:
        facts = {
            "model": model,
            "device": str(session.device),
            "threads": threads,
            "processors": os.cpu_count(),
            "onnxruntime": onnxruntime.__version__,
            "results": rows,
        }
        click.echo(json.dumps(facts, indent=2))


def _sizes(
    session: Session, named: dict[str, tuple[int, ...] | None], others: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Returns the sizes to try for each free axis."""
    asked = {name: sizes for name, sizes in named.items() if sizes is not None}
    for text in others:
        name, equals, sizes = text.rpartition("=")
        if not equals:
            raise click.UsageError(f"--axis takes a name and sizes, as in {text}=1,8,32")
        asked[name] = _parsed(sizes)
    for name in asked:
        if name not in session.axes:
            there = ", ".join(map(clean, session.axes)) or "none"
            raise click.UsageError(f"the model has no free axis {clean(name)}; there is {there}")
    # The batch first, the length next, so that neighbouring rows differ in length.
    names = sorted(session.axes, key=lambda name: (name != "batch", name != "time"))
    return {name: asked.get(name, _DEFAULTS.get(name, (1,))) for name in names}


def _measured(session: Session, sizes: dict[str, int], seconds: float) -> dict[str, Any]:
    arrays = session.sample(**sizes)
    for _ in range(3):
        session(*arrays)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        session(*arrays)
        times.append(time.perf_counter() - start)
    median, slow = np.percentile(times, [50, 95])
    batch, steps = sizes.get("batch", 1), sizes.get("time", 1)
    return {
        "sizes": sizes,
        "calls": len(times),
        "median_ms": median * 1e3,
        "p95_ms": slow * 1e3,
        "sequences_per_second": batch / median,
        "steps_per_second": batch * steps / median,
    }


def _report(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the last row, after the heading if it is the first; columns are wide enough for any number."""
    row = rows[-1]
    heading = [*map(clean, row["sizes"]), "median ms", "95 % ms", "sequences/s", "steps/s"]
    numbers = [*map(str, row["sizes"].values()), f"{row['median_ms']:.4f}", f"{row['p95_ms']:.4f}"]
    numbers += [f"{row['sequences_per_second']:,.0f}", f"{row['steps_per_second']:,.0f}"]
    lines = text_table([[name.rjust(12) for name in heading], numbers], left=0).splitlines()
    for line in lines if len(rows) == 1 else lines[1:]:
        click.echo(line)
