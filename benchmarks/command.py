"""The command of a benchmark: measure, print, write JSON and a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from . import picture
from .machine import busy, describe, held
from .options import Options, parse
from .result import Result

__all__ = ["Draw", "command", "finish"]

Draw = Callable[[Result, Path], Path | None]


def command(measure: Callable[[Options], Result], draw: Draw = picture.bars) -> None:
    """Runs one benchmark with the options of the command line."""
    options = parse((measure.__doc__ or "").splitlines()[0])
    was_busy = busy()
    finish(measure(options), options, draw, was_busy)


def finish(result: Result, options: Options, draw: Draw = picture.bars, was_busy: str = "") -> None:
    """Prints a result and saves it."""
    result.notes += [note for note in (was_busy, held()) if note]
    result.machine = describe()
    result.options = {name: value for name, value in asdict(options).items() if name != "out"}
    print(f"\n{result.title}\n\n{result.table()}\n", flush=True)
    result.save(options.out)
    if draw(result, options.out) is None:
        print("note: there is no picture, since matplotlib is not installed")
