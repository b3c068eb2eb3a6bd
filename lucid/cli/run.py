"""The command `lucid run`."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np

from ..errors import LucidError
from ..files import atomic_write
from ..tables import text_table
from . import arguments
from .arrays import read_inputs
from .session import open_session
from .text import clean

__all__ = ["run"]

Array = np.ndarray[Any, Any]


@click.command(short_help="Run MODEL on arrays from files or from stdin.")
@arguments.model
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="A .npy or .csv file for an input, by name or in order; a .npz file whose arrays are named as the inputs; "
    "or - for stdin, which holds any of these.",
)
@click.option("-o", "--output-dir", type=click.Path(file_okay=False), help="Where to write each output, as <name>.npy.")
@click.option("--csv", "as_csv", metavar="OUTPUT", help="Print this output as CSV, a row for each step.")
@arguments.device
@arguments.threads
@arguments.as_json
@arguments.no_verify
def run(
    model: str,
    inputs: tuple[str, ...],
    output_dir: str | None,
    as_csv: str | None,
    device: str,
    threads: int | None,
    as_json: bool,
    no_verify: bool,
) -> None:
    """Run MODEL in onnxruntime on arrays from files or from stdin.

    \b
    lucid run rnn.onnx -i x.npy -i h0=state.npy -o results
    lucid run rnn.onnx -i - --csv output < steps.csv > results.csv

    The rows of a CSV are those of an input with two axes, the elements of one with one axis, or the steps of one
    sequence if the input has an axis named batch.
    """
    if as_csv is not None and as_json:
        raise click.UsageError("--csv and --json both print the result; give one of them")
    session = open_session(model, device, threads, no_verify)
    if as_csv is not None and as_csv not in session.output_names:
        raise click.UsageError(
            f"there is no output {clean(as_csv)!r}; there is {', '.join(map(clean, session.output_names))}"
        )
    args, kwargs = read_inputs(inputs, session.inputs)
    try:
        outputs = session(*args, **kwargs)
    except LucidError:
        raise
    except TypeError as error:  # an input is missing, unknown or given twice
        raise click.UsageError(clean(str(error))) from error
    found = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), **_summary(array)}
        for name, array in outputs.items()
    ]
    if output_dir is not None:
        for facts, array, path in zip(found, outputs, _paths(output_dir, outputs.names), strict=True):
            with atomic_write(path) as target:
                np.save(target, array, allow_pickle=False)
            facts["path"] = path
    if as_csv is not None:
        _print_csv(outputs[as_csv])
    else:
        click.echo(_json(found) if as_json else _text(found))


def _print_csv(array: Array) -> None:
    """Prints the last axis as columns, and all others as rows."""
    rows = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(-1, 1)
    csv.writer(sys.stdout, lineterminator="\n").writerows([str(x) for x in row] for row in rows)


def _json(found: Sequence[dict[str, Any]]) -> str:
    # JSON has no NaN and no infinity.
    plain = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in f.items()} for f in found]
    return json.dumps({"outputs": plain}, indent=2)


def _text(found: Sequence[dict[str, Any]]) -> str:
    rows = [["output", "dtype", "shape", "least", "mean", "greatest", *(["file"] if "path" in found[0] else [])]]
    for facts in found:
        numbers = [facts[name] for name in ("least", "mean", "greatest")]
        rows.append([clean(facts["name"]), facts["dtype"], str(tuple(facts["shape"]))])
        rows[-1] += ["-" if number is None else f"{number:g}" for number in numbers]
        rows[-1] += [facts["path"]] if "path" in facts else []
    return text_table(rows)


def _paths(folder: str, names: Iterable[str]) -> list[str]:
    os.makedirs(folder, exist_ok=True)
    return [os.path.join(folder, file) for file in _file_names(names)]


def _file_names(names: Iterable[str]) -> list[str]:
    """Returns a safe file name for each output: its name in the model may be anything, even a path to elsewhere."""
    files: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip(".")[:100] or "output"
        taken = {file.lower() for file in files}
        tries = (f"{stem}{suffix}.npy" for suffix in ("", *(f"_{i}" for i in range(1, len(files) + 2))))
        files.append(next(file for file in tries if file.lower() not in taken))
    return files


def _summary(array: Array) -> dict[str, float | None]:
    """Returns the least, the mean and the greatest element; None if there is no element."""
    if not array.size:
        return dict.fromkeys(("least", "mean", "greatest"))
    mean = array.astype(np.float64).mean()
    return {"least": float(array.min()), "mean": float(mean), "greatest": float(array.max())}
