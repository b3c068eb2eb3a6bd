"""Score: runs a model over a file of rows, and writes a file of results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import FileError, LucidError, RuntimeUnavailableError, ShapeError
from ...export.exported import Exported
from ...files import atomic_write
from ..session.session import Session
from .column import Column
from .layout import Field, Layout, lay_out, lengths_of
from .npz import Npz
from .table import Source, Window, read_record, rows_in

__all__ = ["ENDINGS", "Scored", "missing", "open_source", "score_file"]

Array = np.ndarray[Any, Any]

ENDINGS = (".parquet", ".npz")
"""How the names of files of rows end."""

_INSTALL = "pip install 'lucid-onnx[score]'"

_COMPARED = 3
"""How many rows are scored alone, too, where the file does not prove that rows do not depend on one another."""


class Scored(NamedTuple):
    """A file that was scored.

    Attributes:
        source: the file of rows.
        target: the file of results.
        rows: the number of rows.
        skipped: whether the file of results was there already, and whole.
    """

    source: str
    target: str
    rows: int
    skipped: bool


def score_file(
    model: Session | str | os.PathLike[str] | Exported | bytes,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    keep: Sequence[str] | None = None,
    batch: str | None = None,
    batch_size: int = 512,
    progress: Callable[[int], Any] | None = None,
) -> Scored:
    """Runs a model over a file of rows, and writes a file of results: one row for a row, in the same order.

    It is a plain function of its arguments, so any engine can map it over files: a pool of processes, Dask, Spark, Ray.
    A `Session` may be one of the arguments, since it can be pickled.

    - A row is one sequence, or whatever the model has one of along its axis of the batch. That nothing mixes along this
      axis stands in the file of the model. For a Parquet file a row of an input (time, features) is a list of lists or
      of lists of a fixed size; for a .npz file an array has the rows along its first axis.
    - Only rows of the same shape share a call, so nothing is ever padded. Lengths are computed if the model takes them
      and the file has no such column; states that may be left out are zero.
    - Results depend neither on the size of a batch nor on how files are shared out, to the last bit: the kernels of
      onnxruntime compute each row of two or more alike, so a row that is alone is computed twice.
    - About 32 MiB of a file is read at a time, so memory does not grow with the file.
    - The target is written under a temporary name in its folder, and renamed. If it exists and says that it was made by
      the same model from the same file, by its size, its time and its number of rows, nothing is done: a job that was
      killed can be run again.

    Args:
        model: the model; anything but a `Session` is loaded with one thread.
        source: the file of rows: .parquet, which needs pyarrow, or .npz.
        target: the file of results, of the same format. Its columns are those that are kept, and the outputs.
        columns: the column that an input reads, if it has another name than the input.
        keep: the columns to carry through; if None, all that the model does not read.
        batch: the name of the axis that counts rows; if None, the one along which the file of the model proves that
            nothing mixes. For any other, the first rows of the file are compared with what each gives alone.
        batch_size: the most rows in one call.
        progress: called with the number of rows, whenever some are done.

    Returns:
        What was done.

    Raises:
        FileError: a file cannot be read, or neither is a file of rows.
        LucidError: a column is missing, or two would have one name; or no axis of the model counts independent rows.
        DtypeError: a column has another type than the input, and a conversion could change numbers.
        ShapeError: a row has no steps, is ragged, or of another size than the model takes.
        RangeError: a row is null, or holds NaN. All messages name the file, the column and the rows, from 0 on.
        RuntimeUnavailableError: pyarrow is needed, and is not installed.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> rows, results = os.path.join(folder.name, "rows.npz"), os.path.join(folder.name, "results.npz")
        >>> x = np.random.default_rng(0).standard_normal((10, 7, 3)).astype(np.float32)  # (rows, time, features)
        >>> np.savez(rows, frames=x, id=np.arange(10))
        >>> rnn = nn.RNN(3, 4)
        >>> session = lucid.runtime.Session(lucid.export.to_onnx(rnn, lucid.randn(5, 2, 3)), threads=1)
        >>> lucid.runtime.score_file(session, rows, results, columns={"x": "frames"})[2:]
        (10, False)
        >>> with np.load(results) as file:
        ...     {name: file[name].shape for name in file.files}
        ...     expected = rnn(lucid.tensor(x.swapaxes(0, 1)))[0].detach().numpy()
        ...     bool(np.allclose(file["output"], expected.swapaxes(0, 1), atol=1e-6))
        {'id': (10,), 'output': (10, 7, 4), 'h_n': (10, 1, 4)}
        True
        >>> lucid.runtime.score_file(session, rows, results, columns={"x": "frames"}).skipped
        True
        >>> folder.cleanup()
    """
    session = model if isinstance(model, Session) else Session(model, threads=1)
    if batch_size < 1:
        raise ValueError(f"score_file: batch_size must be positive; got {batch_size}")
    source, target = os.fspath(source), os.fspath(target)
    if _ending(source) != _ending(target):
        raise FileError(f"score_file: {target} must end as {source} does, since it has the same format")
    if os.path.exists(target) and os.path.samefile(source, target):
        raise FileError(f"score_file: {target} would replace the file of rows; choose another folder")
    found = open_source(source)
    try:
        job = _Job(session, lay_out(session, batch), found, columns or {}, keep, batch_size)
        skipped = _is_whole(target, job.record)
        if not skipped:
            with atomic_write(target) as file:
                found.write(file, job.kept, job.layout.outputs, json.dumps(job.record), job.results(progress))
        elif progress is not None:
            progress(job.rows)
        return Scored(source, target, job.rows, skipped)
    finally:
        found.close()


def open_source(path: str) -> Source:
    """Opens a file of rows.

    Raises:
        FileError: it cannot be read, or is none.
        RuntimeUnavailableError: pyarrow is needed, and is not installed.
    """
    if _ending(path) == ".npz":
        return Npz(path)
    try:
        from .parquet import Parquet
    except ImportError as error:
        raise missing(f"to read {path}", "pyarrow") from error
    return Parquet(path)


def _ending(path: str) -> str:
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise FileError(f"{path} is not a file of rows: its name must end in {' or '.join(ENDINGS)}")
    return ending


def _is_whole(target: str, record: Mapping[str, Any]) -> bool:
    """Returns whether a file of results can be read, has all rows, and was made of just this."""
    try:
        found = open_source(target)
    except LucidError:
        return False
    try:
        return bool(read_record(found.record) == record) and found.count(found.names) == record["rows"]
    finally:
        found.close()


class _Job:
    """A file of rows, and how it is scored.

    Attributes:
        rows: the number of rows.
        kept: the columns to carry through.
        record: what the results are made of; they depend on nothing else.
    """

    def __init__(
        self,
        session: Session,
        layout: Layout,
        source: Source,
        columns: Mapping[str, str],
        keep: Sequence[str] | None,
        batch_size: int,
    ) -> None:
        self.session = session
        self.layout = layout
        self.source = source
        self.batch_size = batch_size
        self.columns = self._columns(columns)
        self.kept = self._kept(keep)
        self.rows = source.count(self.columns)
        status = os.stat(source.path)
        self.record: dict[str, Any] = {
            "model": session.digest(),
            "batch": layout.batch,
            "columns": {field.name: name for name, field in self.columns.items()},
            "kept": list(self.kept),
            "bytes": status.st_size,
            "written": status.st_mtime_ns,
            "rows": self.rows,
        }

    def results(self, progress: Callable[[int], Any] | None) -> Iterator[tuple[Window, list[Column]]]:
        """Yields the windows of the source, each with the columns of the outputs."""
        for window in self.source.windows(self.columns, self.kept):
            parts = []
            for rows in self._batches(window):
                parts.append((rows, self._run(window, rows)))
                if len(parts) == 1 and window.start == 0 and not self.layout.proved:
                    self._compare(window, *parts[0])
                if progress is not None:
                    progress(len(rows))
            columns = [
                Column.joined(field, window.rows, [(rows, results[i]) for rows, results in parts])
                for i, field in enumerate(self.layout.outputs)
            ]
            yield window, columns

    def _columns(self, asked: Mapping[str, str]) -> dict[str, Field]:
        """Returns, for each column that is read, its input."""
        names = [field.name for field in self.layout.inputs]
        if unknown := [name for name in asked if name not in names]:
            raise LucidError(f"score: the model has no input {unknown[0]!r}; the inputs are {', '.join(names)}")
        optional = {name for group in self.session.interface.optional for name in group}
        interface = self.session.interface
        lengths = {*interface.lengths, *interface.counts, *(name for name, _, _ in interface.computed)}
        found: dict[str, Field] = {}
        for field in self.layout.inputs:
            column = asked.get(field.name, field.name)
            if column in self.source.names:
                if column in found:
                    raise LucidError(
                        f"{self.source.path}: the inputs {found[column].name!r} and {field.name!r} would both read the "
                        f"column {column!r}; give each a column of its own"
                    )
                found[column] = field
            elif field.name in asked or field.name not in optional | lengths:
                raise LucidError(
                    f"{self.source.path}: there is no column {column!r} for the input {field.name!r}; there is "
                    f"{', '.join(self.source.names) or 'none'}; columns={{{field.name!r}: ...}}, or --columns "
                    f"{field.name}=COLUMN, says which one holds it"
                )
        if not found:
            raise LucidError(f"{self.source.path}: the model reads no column of it")
        return found

    def _kept(self, keep: Sequence[str] | None) -> list[str]:
        names = self.source.names
        kept = [name for name in names if name not in self.columns] if keep is None else list(dict.fromkeys(keep))
        if missing := [name for name in kept if name not in names]:
            raise LucidError(
                f"{self.source.path}: there is no column {missing[0]!r} to keep; there is {', '.join(names) or 'none'}"
            )
        if twice := [field.name for field in self.layout.outputs if field.name in kept]:
            raise LucidError(
                f"{self.source.path}: the column {twice[0]!r} has the name of an output; keep=, or --keep, names the "
                "columns to carry through, without it"
            )
        return kept

    def _batches(self, window: Window) -> Iterator[Array]:
        """Yields the numbers of rows of the same shape, no more at a time than a batch has."""
        columns = list(window.inputs.values())
        key = np.zeros(window.rows, np.int64)
        for sizes in np.hstack([column.shapes for column in columns]).T:
            if (sizes != sizes[0]).any():
                _, place = np.unique(sizes, return_inverse=True)
                _, key = np.unique(key * (place.max() + 1) + place, return_inverse=True)
        large = np.logical_or.reduce([column.large() for column in columns])
        order = np.flatnonzero(~large)
        order = order[np.argsort(key[order], kind="stable")]
        for group in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]
        for row in np.flatnonzero(large):
            yield np.array([row])

    def _run(self, window: Window, rows: Array) -> list[Array]:
        """Returns what the model gives for some rows of one shape: for each output an array (rows, ...)."""
        try:
            return self._call(window, rows)
        except LucidError as error:
            raise type(error)(
                f"{self.source.path}, {rows_in(window.start + self._blamed(window, rows))}: {error}"
            ) from error

    def _blamed(self, window: Window, rows: Array) -> Array:
        """Returns the rows that fail alone, or all if none does."""
        failing = []
        for row in rows if len(rows) > 1 else ():
            try:
                self._call(window, row[None])
            except LucidError:
                failing.append(row)
        return np.array(failing) if failing else rows

    def _call(self, window: Window, rows: Array) -> list[Array]:
        # onnxruntime multiplies one row by another kernel than two or more, with sums in another order.
        given = rows if len(rows) > 1 else np.repeat(rows, 2)
        taken = {name: column.take(given) for name, column in window.inputs.items()}
        sizes = {
            size: int(n)
            for column in window.inputs.values()
            for size, n in zip(column.field.shape, column.shapes[rows[0]], strict=True)
            if isinstance(size, str)
        }
        args = [taken[f.name] if f.name in taken else self._made_up(f, len(given), sizes) for f in self.layout.inputs]
        results = []
        for field, result in zip(self.layout.outputs, self.session(*args), strict=True):
            if result.ndim != 1 + len(field.shape) or result.shape[field.axis] != len(given):
                raise ShapeError(
                    f"the output {field.name!r} has the shape {result.shape} for {len(given)} rows; axis {field.axis} "
                    f"was to count them"
                )
            results.append(np.moveaxis(result, field.axis, 0)[: len(rows)])
        return results

    def _made_up(self, field: Field, count: int, sizes: Mapping[str, int]) -> Array | None:
        """Returns the lengths of whole sequences; None for a state, which the session fills in."""
        if any(field.name in group for group in self.session.interface.optional):
            return None
        length = lengths_of(self.session, field, sizes)
        if length is None:
            raise LucidError(
                f"the lengths {field.name!r} do not follow from the shape of a row; give them as a column, by "
                f"columns=, or --columns {field.name}=COLUMN"
            )
        return np.full(count, length, field.dtype)

    def _compare(self, window: Window, rows: Array, results: Sequence[Array]) -> None:
        """Compares some rows with what each gives alone."""
        for i, row in enumerate(rows[:_COMPARED] if len(rows) > 1 else ()):
            for field, result, alone in zip(self.layout.outputs, results, self._call(window, row[None]), strict=True):
                if not np.allclose(result[i], alone[0], rtol=1e-3, atol=1e-5, equal_nan=True):
                    raise LucidError(
                        f"{self.source.path}, row {window.start + row}: the output {field.name!r} depends on the other "
                        f"rows of a batch, so {self.layout.batch!r} does not count independent rows"
                    )


def missing(what: str, package: str) -> RuntimeUnavailableError:
    """Returns the error for a package that is not installed."""
    return RuntimeUnavailableError(f"{what}, {package} is needed, which is not installed: {_INSTALL}")
