"""verify: checks a file against its own digests."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ...errors import VerificationError
from ...tables import counted
from .digest import GRAPH, TENSORS, WEIGHTS, altered, digests
from .metadata import AXES, OPSET, PREFIX, REPORT, VERSION, read_json
from .read import folder_of, read
from .tensors import Contents

__all__ = ["Verified", "verify"]


class Verified(NamedTuple):
    """A file that was not altered since it was written; prints as a table.

    Attributes:
        path: the file.
        version: the version of lucid that wrote it.
        opset: the version of the ONNX operator set.
        axes: for each input, the name of each free axis.
        report: the verification report of its export; None if verification was off.
        weights: the SHA-256 of the weights.
        graph: the SHA-256 of everything else.
        tensors: the number of weight tensors.
        metadata: the user's metadata.
    """

    path: str
    version: str
    opset: int
    axes: dict[str, dict[int, str]]
    report: dict[str, Any] | None
    weights: str
    graph: str
    tensors: int
    metadata: dict[str, str]

    def __str__(self) -> str:
        axes = [f"axis {axis} of {name} is {s}" for name, free in self.axes.items() for axis, s in free.items()]
        rows = [
            ("written by", f"lucid {self.version}, opset {self.opset}"),
            ("weights", f"as written, {counted(self.tensors, 'tensor')}, SHA-256 {self.weights}"),
            ("graph", f"as written, SHA-256 {self.graph}"),
            ("free axes", "; ".join(axes) or "none"),
            ("compared", _compared(self.report)),
            *self.metadata.items(),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join([self.path, *(f"  {name.ljust(width)}  {text}" for name, text in rows)])


def verify(path: str | os.PathLike[str]) -> Verified:
    """Checks that the graph, the weights and the metadata of a file written by lucid were not altered.

    This finds accidents and careless edits. Someone who alters a file on purpose can also alter its digests; to detect
    that, store `weights` and `graph` of the result elsewhere, and compare.

    Args:
        path: the model.

    Raises:
        VerificationError: it was altered, or lucid did not write it; the message says what was altered.
        FileError: it cannot be read, is not an ONNX model, is damaged, or refers to files that are not its own.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "rnn.onnx")
        ...     exported = lucid.export.to_onnx(nn.RNN(3, 4), lucid.randn(5, 2, 3), path=path, metadata={"task": "x"})
        ...     lucid.export.verify(path).metadata
        {'task': 'x'}
    """
    proto = read(path)
    name = os.fspath(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if missing := [key for key in (VERSION, OPSET, AXES, REPORT, GRAPH, WEIGHTS, TENSORS) if key not in metadata]:
        raise VerificationError(
            f"{name} has no {', '.join(missing)} in its metadata: lucid did not write it, or they were removed"
        )
    found = digests(proto, Contents(folder_of(path)))
    try:
        differing = altered(found.tensors, read_json(metadata[TENSORS]))
        if not differing and found.weights != metadata[WEIGHTS]:
            raise ValueError("they do not fit each other")
    except (ValueError, TypeError, AttributeError) as error:
        raise VerificationError(f"{name} was altered: its digests of the weights make no sense: {error}") from error
    parts = [f"the weights {', '.join(differing)}"] if differing else []
    if found.graph != metadata[GRAPH]:
        parts.append("the graph or the metadata")
    if parts:
        raise VerificationError(f"{name} was altered after it was written: {' and '.join(parts)}")
    try:
        report = read_json(metadata[REPORT])
        _compared(report)
        return Verified(
            name,
            metadata[VERSION],
            int(metadata[OPSET]),
            {input: {int(axis): s for axis, s in free.items()} for input, free in read_json(metadata[AXES]).items()},
            report,
            found.weights,
            found.graph,
            len(found.tensors),
            {key: value for key, value in metadata.items() if not key.startswith(PREFIX)},
        )
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise VerificationError(f"{name} has metadata that lucid did not write: {error}") from error


def _compared(report: dict[str, Any] | None) -> str:
    if report is None:
        return "no"
    made = [check for check in report["checks"] if check["difference"] is not None]
    greatest = max((check["difference"] for check in made), default=0.0)
    return f"with the eager model at {counted(len(made), 'size')}, greatest difference {greatest:.1e}"
