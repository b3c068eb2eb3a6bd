"""Arrays from files and from stdin, as the inputs of a model."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable
from typing import Any

import click
import numpy as np

from ..errors import FileError
from ..runtime.session.spec import Spec

__all__ = ["read_inputs"]

Array = np.ndarray[Any, Any]

STDIN = "-"

_NPY, _ZIP = b"\x93NUMPY", b"PK"
"""How a .npy file and a .npz file begin."""


def read_inputs(texts: Iterable[str], specs: tuple[Spec, ...]) -> tuple[list[Array], dict[str, Array]]:
    """Returns the arrays given by position and by name.

    Args:
        texts: files, ``-`` for stdin, or ``name=`` and one of these.
        specs: the inputs of the model.
    """
    by_name = {spec.name: spec for spec in specs}
    args: list[Array] = []
    kwargs: dict[str, Array] = {}
    content = None
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or (name not in by_name and os.path.exists(text)):
            name, path = "", text
        if path == STDIN:
            if content is not None:
                raise click.UsageError("stdin can be read once; give - for one input")
            content = sys.stdin.buffer.read()
        spec = by_name.get(name) if name else specs[len(args)] if len(args) < len(specs) else None
        loaded = _loaded(path, content if path == STDIN else None, spec)
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


def _loaded(path: str, content: bytes | None, spec: Spec | None) -> Array | dict[str, Array]:
    """Loads a file, or what stdin gave; refuses pickled objects, which could run code."""
    name = "stdin" if content is not None else path
    is_text = not content.startswith((_NPY, _ZIP)) if content is not None else path.lower().endswith(".csv")
    try:
        if content is None:
            with open(path, "rb") as file:
                content = file.read()
        if not is_text and not content.startswith((_NPY, _ZIP)):
            raise FileError(f"{name} is neither a .npy nor a .npz file, and its name does not end in .csv")
        if is_text:
            return _fitted(name, _table(content.decode("utf-8-sig"), spec), spec)
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except FileError:
        raise
    except Exception as error:  # NumPy raises many types of error for a file that it cannot read
        reason = getattr(error, "strerror", None) or error
        kinds = "CSV of numbers" if is_text else ".npy or .npz file"
        raise FileError(f"{name} is not a {kinds} that can be read: {reason}") from error


def _table(text: str, spec: Spec | None) -> Array:
    """Returns the rows of a CSV in the dtype of an input, without a heading."""
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if rows and not all(map(_is_number, rows[0])):
        rows = rows[1:]
    if not rows:
        raise ValueError("it has no row of numbers")
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its rows differ in length")
    kind = np.dtype(np.float32) if spec is None else spec.dtype
    if kind.kind in "iub":
        return np.array([[int(cell) for cell in row] for row in rows]).astype(kind)
    return np.array([[float(cell) for cell in row] for row in rows], kind)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _fitted(name: str, rows: Array, spec: Spec | None) -> Array:
    """Gives rows and columns the axes of an input: a sequence of (time, features) is a batch of one."""
    if spec is None or len(spec.shape) == 2:
        return rows
    if len(spec.shape) == 1 and 1 in rows.shape:
        return rows.reshape(-1)
    if len(spec.shape) == 3 and "batch" in spec.shape:
        return np.expand_dims(rows, spec.shape.index("batch"))
    raise FileError(
        f"{name} has {len(rows)} rows and {rows.shape[1]} columns, which do not make {spec}; give a .npy file"
    )
