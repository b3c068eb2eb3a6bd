"""Writes batches for the drivers: each batch is a dict of arrays, by the names of the step's inputs."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["write_binary", "write_json", "write_npz"]

Array = np.ndarray[Any, Any]
Batch = Mapping[str, Array]

_TYPES = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
"""ONNX's numbers of element types."""


def write_npz(path: str | os.PathLike[str], batches: Sequence[Batch]) -> list[Path]:
    """Writes a file for each batch, beside the path; returns their paths, as drive.py takes them."""
    paths = [Path(path).with_name(f"{Path(path).stem}.{number}.npz") for number in range(len(batches))]
    for each, batch in zip(paths, batches, strict=True):
        arrays: dict[str, Any] = dict(batch)
        np.savez(each, **arrays)
    return paths


def write_json(path: str | os.PathLike[str], batches: Sequence[Batch]) -> None:
    """Writes the file that drive.mjs takes, and the programs of `examples.deploy`, where a batch is a call."""
    described = [
        {name: {"type": str(x.dtype), "dims": x.shape, "data": x.ravel().tolist()} for name, x in batch.items()}
        for batch in batches
    ]
    Path(path).write_text(json.dumps(described))


def write_binary(path: str | os.PathLike[str], batches: Sequence[Batch]) -> None:
    """Writes the file that drive.c takes, and run.c and Run.java of `examples.deploy`."""
    with open(path, "wb") as file:
        for batch in batches:
            file.write(struct.pack("<q", len(batch)))
            for name, x in batch.items():
                sizes = [*x.shape, *[0] * (8 - x.ndim)]
                file.write(struct.pack("<64s11q", name.encode(), _TYPES[str(x.dtype)], x.ndim, *sizes, x.nbytes))
                file.write(x.tobytes())
