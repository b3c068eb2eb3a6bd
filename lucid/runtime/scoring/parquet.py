"""Parquet: files whose list columns are sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import DtypeError, RangeError, ShapeError
from .column import Column
from .layout import Field
from .table import RECORD, Results, Window, as_elements, at_row, cannot_read, check_sizes, window_of

__all__ = ["Parquet"]

Array = np.ndarray[Any, Any]

_BUFFER = 1 << 20
"""How many bytes of a column are read from the disk at a time; otherwise it would be a whole row group."""


class Parquet:
    """A Parquet file of rows.

    Args:
        path: its path.

    Raises:
        FileError: it is not a Parquet file, or is damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            self._schema = self._file.schema_arrow
        except (OSError, pa.ArrowException) as error:
            raise cannot_read(path, "Parquet", error) from error
        self.names: Sequence[str] = list(self._schema.names)

    @property
    def record(self) -> bytes | None:
        """What a file of results says that it was made of."""
        return (self._schema.metadata or {}).get(RECORD.encode())

    def count(self, columns: Iterable[str]) -> int:
        """See `table.Source`."""
        return int(self._file.metadata.num_rows)

    def windows(self, columns: Mapping[str, Field], kept: Sequence[str]) -> Iterator[Window]:
        """See `table.Source`."""
        start, size = 0, self._window(columns)
        chosen = [name for name in self.names if name in columns or name in kept]
        try:
            for batch in self._file.iter_batches(size, columns=chosen, use_threads=False):
                inputs = {
                    field.name: _column((self.path, name, start), field, batch.column(name))
                    for name, field in columns.items()
                }
                yield Window(start, batch.num_rows, inputs, batch.select(list(kept)))
                start += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise cannot_read(self.path, "Parquet", error) from error

    def _window(self, columns: Mapping[str, Field]) -> int:
        """Returns the number of rows in a window: of the row group with the largest rows."""
        most = 0.0
        for i in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(i)
            chunks = (group.column(k) for k in range(group.num_columns))
            size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.partition(".")[0] in columns)
            most = max(most, size / max(group.num_rows, 1))
        return window_of(ceil(most))

    def write(
        self, file: BinaryIO, kept: Sequence[str], outputs: Sequence[Field], record: str, results: Results
    ) -> None:
        """See `table.Source`."""
        fields = [*map(self._schema.field, kept), *(pa.field(field.name, _type(field)) for field in outputs)]
        schema = pa.schema(fields, {RECORD: record})
        with pq.ParquetWriter(file, schema, use_dictionary=list(kept)) as writer:  # results hardly repeat
            for window, columns in results:
                arrays = [*window.kept.columns, *map(_array, columns)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _type(field: Field) -> pa.DataType:
    """Returns the type of a column: lists where sizes differ, lists of a fixed size where they do not."""
    kind = pa.from_numpy_dtype(field.dtype)
    for size in reversed(field.shape):
        kind = pa.list_(kind, size) if isinstance(size, int) else pa.list_(kind)
    return kind


def _array(column: Column) -> pa.Array:
    """Returns a column as Arrow has it."""
    shapes, array = column.shapes, pa.array(column.flat)
    for axis in reversed(range(shapes.shape[1])):
        size = column.field.shape[axis]
        if isinstance(size, int):
            array = pa.FixedSizeListArray.from_arrays(array, size)
        else:
            counts = np.repeat(shapes[:, axis], shapes[:, :axis].prod(1))
            array = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), array)
    return array


def _column(where: tuple[str, str, int], field: Field, array: pa.Array) -> Column:
    """Returns the column of an input.

    Raises:
        DtypeError: its type is not that of the input's rows.
        RangeError: it has nulls, or NaN.
        ShapeError: the rows are ragged, or of the wrong size.
    """
    path, name, start = where
    _check_type(where, field, array.type)
    shapes = np.empty((len(array), len(field.shape)), np.int64)
    bounds = np.arange(len(array) + 1)  # where the lists of each row begin at this level
    for axis in range(len(field.shape)):
        _refuse_nulls(where, array, bounds)
        if pa.types.is_fixed_size_list(array.type):
            offsets = np.arange(len(array) + 1) * array.type.list_size
        else:
            offsets = array.offsets.to_numpy().astype(np.int64)
            offsets = offsets - offsets[0]
        lengths = np.diff(offsets)
        if len(shapes):
            shapes[:, axis] = lengths[bounds[:-1]]
            unlike = lengths != np.repeat(shapes[:, axis], np.diff(bounds))
            if len(ragged := np.unique(np.searchsorted(bounds, np.flatnonzero(unlike), "right") - 1)):
                raise ShapeError(
                    f"{at_row(path, name, start + ragged)}: it is ragged: lists along axis {axis} differ in length; "
                    f"a row of input {field.name!r} is {field.dims}"
                )
            check_sizes(where, field, axis, shapes[:, axis])
        bounds = offsets[bounds]
        array = array.flatten()
    _refuse_nulls(where, array, bounds)
    return as_elements(where, field, shapes, array.to_numpy(zero_copy_only=False))


def _refuse_nulls(where: tuple[str, str, int], array: pa.Array, bounds: Array) -> None:
    if array.null_count:
        path, name, start = where
        places = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
        rows = np.unique(np.searchsorted(bounds, places, "right") - 1)
        raise RangeError(
            f"{at_row(path, name, start + rows)}: it is null, or holds one; fill it in, or leave such rows out"
        )


def _check_type(where: tuple[str, str, int], field: Field, kind: pa.DataType) -> None:
    path, name, _ = where
    inner, types = kind, pa.types
    for _ in field.shape:
        nested = types.is_list(inner) or types.is_large_list(inner) or types.is_fixed_size_list(inner)
        inner = inner.value_type if nested else pa.null()
    if not (types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner)):
        lists = f"lists nested {len(field.shape)} deep, of {field.dtype}" if field.shape else f"{field.dtype}, no lists"
        raise DtypeError(
            f"{path}, column {name!r}: its type is {kind}, but a row of input {field.name!r} is {field.dims}: {lists}"
        )
