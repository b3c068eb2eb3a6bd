"""The command `lucid run`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import click
import numpy as np

from ..errors import FileError, LucidError
from ..files import atomic_write
from ..tables import text_table
from . import arguments
from .session import open_session
from .text import clean

__all__ = ["run"]

Array = np.ndarray[Any, Any]


@click.command()
@arguments.model
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="A .npy file for an input, by name or in order, or a .npz file whose arrays are named as the inputs.",
)
@click.option("-o", "--output-dir", type=click.Path(file_okay=False), help="Where to write each output, as <name>.npy.")
@arguments.device
@arguments.threads
@arguments.no_verify
def run(
    model: str, inputs: tuple[str, ...], output_dir: str | None, device: str, threads: int | None, no_verify: bool
) -> None:
    """Run MODEL in onnxruntime on arrays from files.

    \b
    lucid run rnn.onnx -i x.npy -i h0=state.npy -o results
    """
    session = open_session(model, device, threads, no_verify)
    args, kwargs = _inputs(inputs, session.input_names)
    try:
        outputs = session(*args, **kwargs)
    except LucidError:
        raise
    except TypeError as error:  # an input is missing, unknown or given twice
        raise click.UsageError(clean(str(error))) from error
    rows = [["output", "dtype", "shape", "least", "mean", "greatest", *([""] if output_dir is not None else [])]]
    if output_dir is not None:
        os.makedirs(output_dir, exist_ok=True)
    for (name, array), file in zip(outputs.items(), _file_names(outputs.names), strict=True):
        row = [clean(name), str(array.dtype), str(array.shape), *_summary(array)]
        if output_dir is not None:
            path = os.path.join(output_dir, file)
            with atomic_write(path) as target:
                np.save(target, array, allow_pickle=False)
            row.append(path)
        rows.append(row)
    click.echo(text_table(rows))


def _inputs(inputs: Iterable[str], names: tuple[str, ...]) -> tuple[list[Array], dict[str, Array]]:
    """Returns the arrays given by position and by name."""
    args: list[Array] = []
    kwargs: dict[str, Array] = {}
    for text in inputs:
        name, equals, path = text.partition("=")
        if not equals or (name not in names and os.path.exists(text)):
            name, path = "", text
        loaded = _load(path)
        if isinstance(loaded, dict) and not name:
            found = loaded
        elif isinstance(loaded, dict):
            raise click.UsageError(f"{path} holds several arrays, each with a name; give it without {name}=")
        elif name:
            found = {name: loaded}
        else:
            args.append(loaded)
            continue
        if twice := kwargs.keys() & found.keys():
            raise click.UsageError(f"input {', '.join(sorted(twice))} is given twice")
        kwargs |= found
    return args, kwargs


def _load(path: str) -> Array | dict[str, Array]:
    """Loads a .npy or .npz file; refuses pickled objects, which could run code."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except Exception as error:  # NumPy raises many types of error for a file that it cannot read
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} is not a .npy or .npz file that can be read: {reason}") from error


def _file_names(names: Iterable[str]) -> list[str]:
    """Returns a safe file name for each output: its name in the model may be anything, even a path to elsewhere."""
    files: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip(".")[:100] or "output"
        taken = {file.lower() for file in files}
        tries = (f"{stem}{suffix}.npy" for suffix in ("", *(f"_{i}" for i in range(1, len(files) + 2))))
        files.append(next(file for file in tries if file.lower() not in taken))
    return files


def _summary(array: Array) -> tuple[str, str, str]:
    if not array.size:
        return ("-", "-", "-")
    least, mean, greatest = array.min(), array.astype(np.float64).mean(), array.max()
    return (f"{least:g}", f"{mean:g}", f"{greatest:g}")
