"""Table: what files of rows have in common, whatever their format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np

from ...errors import DtypeError, FileError, RangeError, ShapeError
from .column import Column
from .layout import Field

__all__ = [
    "RECORD",
    "Results",
    "Source",
    "Window",
    "as_elements",
    "at_row",
    "cannot_read",
    "check_sizes",
    "read_record",
    "rows_in",
    "window_of",
]

Array = np.ndarray[Any, Any]

RECORD = "lucid.score"
"""The key under which a file of results says what it was made of."""

_BYTES, _ROWS = 1 << 25, 1 << 13
"""How much of a file is read at a time, at most; a single row may be larger."""

_NAMED = 5
"""How many rows a message names."""


class Window(NamedTuple):
    """Some rows of a file, as many as are read at a time.

    Attributes:
        start: the number of the first one.
        rows: how many there are.
        inputs: the columns of the inputs that the file has, by the input's name.
        kept: the columns that are carried through, as the format has them.
    """

    start: int
    rows: int
    inputs: Mapping[str, Column]
    kept: Any


Results = Iterable[tuple[Window, Sequence[Column]]]
"""The windows of a source in order, each with the columns of the outputs."""


class Source(Protocol):
    """A file of rows.

    Attributes:
        path: its path.
        names: the names of its columns.
        record: what a file of results says that it was made of, as JSON; None or nothing if it says nothing.
    """

    path: str
    names: Sequence[str]

    @property
    def record(self) -> bytes | None: ...

    def count(self, columns: Iterable[str]) -> int:
        """Returns the number of rows, that of the columns that are read."""
        ...

    def windows(self, columns: Mapping[str, Field], kept: Sequence[str]) -> Iterator[Window]:
        """Yields its rows, window by window.

        Args:
            columns: by the name of a column, the input that reads it.
            kept: the names of the columns to carry through.

        Raises:
            LucidError: a column does not hold rows of its input; the message names the file, the column and the rows.
        """
        ...

    def write(
        self, file: BinaryIO, kept: Sequence[str], outputs: Sequence[Field], record: str, results: Results
    ) -> None:
        """Writes a file of the same format: the columns that are kept, and the outputs.

        Args:
            file: the file, opened in binary mode.
            kept: the names of the columns to carry through.
            outputs: the outputs.
            record: what the results are made of, as JSON.
            results: the windows of this source, each with the columns of the outputs.
        """
        ...

    def close(self) -> None:
        """Closes the file."""
        ...


def window_of(size: float) -> int:
    """Returns the number of rows in a window, from the number of bytes of a row."""
    return int(min(_ROWS, max(1, _BYTES // max(size, 1))))


def at_row(path: str, column: str, rows: Iterable[int]) -> str:
    """Returns the beginning of a message: the file, the column and the numbers of rows, the first one 0."""
    return f"{path}, column {column!r}, {rows_in(rows)}"


def rows_in(rows: Iterable[int]) -> str:
    """Returns the numbers of rows as text.

    Example:
        >>> from lucid.runtime.scoring.table import rows_in
        >>> rows_in([3]), rows_in(range(7))
        ('row 3', 'rows 0, 1, 2, 3, 4 and 2 more')
    """
    numbers = [int(row) for row in rows]
    named = ", ".join(map(str, numbers[:_NAMED]))
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return f"row{'s' if len(numbers) > 1 else ''} {named}{more}"


def as_elements(where: tuple[str, str, int], field: Field, shapes: Array, flat: Array) -> Column:
    """Returns the column of an input, once its elements are checked.

    Args:
        where: the file, the column, and the number of the first row.
        field: the input.
        shapes: (rows, axes), the shape of each row.
        flat: all elements.

    Raises:
        DtypeError: the model takes another dtype, and a conversion could change numbers.
        RangeError: a number is NaN.
    """
    path, column, start = where
    if not np.can_cast(flat.dtype, field.dtype, "safe"):
        raise DtypeError(
            f"{path}, column {column!r}: it holds {flat.dtype}, but the input {field.name!r} is {field.dtype}; convert "
            "the column, since not every number of it is one of the model's"
        )
    found = Column(field, shapes, flat.astype(field.dtype, copy=False))
    if flat.dtype.kind == "f" and np.isnan(flat).any():
        raise RangeError(
            f"{at_row(path, column, start + found.rows_of(np.flatnonzero(np.isnan(flat))))}: it holds NaN; fill it in, "
            "or leave such rows out"
        )
    return found


def check_sizes(where: tuple[str, str, int], field: Field, axis: int, sizes: Array) -> None:
    """Checks the sizes of rows along one axis.

    Raises:
        ShapeError: a row has no elements, or another size than the model takes.
    """
    path, column, start = where
    if len(wrong := np.flatnonzero(sizes == 0)):
        what = "no steps" if axis == 0 else f"nothing along axis {axis}"
        raise ShapeError(f"{at_row(path, column, start + wrong)}: it has {what}; leave such rows out")
    wanted = field.shape[axis]
    if isinstance(wanted, int) and len(wrong := np.flatnonzero(sizes != wanted)):
        raise ShapeError(
            f"{at_row(path, column, start + wrong)}: axis {axis} must be {wanted}; got {int(sizes[wrong[0]])}; a "
            f"row of input {field.name!r} is {field.dims}"
        )


def read_record(text: str | bytes | None) -> Any:
    """Returns the record of a file of results; None if it has none."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def cannot_read(path: str, kind: str, error: Exception) -> FileError:
    """Returns the error for a file that cannot be read."""
    return FileError(f"{path} is not a {kind} file that can be read: {getattr(error, 'strerror', None) or error}")
