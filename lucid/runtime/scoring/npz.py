"""Npz: NumPy's archives, whose arrays have the rows along their first axis."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

import numpy as np

from ...errors import DtypeError, FileError, ShapeError
from .column import Column
from .layout import Field
from .table import Results, Window, as_elements, cannot_read, check_sizes, window_of

__all__ = ["Npz"]

Array = np.ndarray[Any, Any]
_FAULTS = (OSError, ValueError, EOFError, BadZipFile, ZlibError, NotImplementedError)


class Npz:
    """A .npz file of rows. It is read row by row, never as a whole.

    Args:
        path: its path.

    Raises:
        FileError: it is not a .npz file, is damaged, or holds what is not rows of numbers.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._zip = ZipFile(path)
            names = [name for name in self._zip.namelist() if name.endswith(".npy")]
            self._headers = {name.removesuffix(".npy"): self._header(name) for name in names}
        except _FAULTS as error:
            raise cannot_read(path, ".npz", error) from error
        self.names: Sequence[str] = list(self._headers)

    @property
    def record(self) -> bytes | None:
        """What a file of results says that it was made of."""
        return self._zip.comment

    def count(self, columns: Iterable[str]) -> int:
        """See `table.Source`."""
        return next((shape[0] for shape, _ in map(self._headers.__getitem__, columns) if shape), 0)

    def windows(self, columns: Mapping[str, Field], kept: Sequence[str]) -> Iterator[Window]:
        """See `table.Source`."""
        rows = self.count(columns)
        for name, field in columns.items():
            self._check(name, field, rows)
        for name in kept:
            if (self._headers[name][0] or (-1,))[0] != rows:
                raise ShapeError(
                    f"{self.path}, array {name!r}: its shape {self._headers[name][0]} does not begin with the {rows} "
                    "rows of the inputs; keep=, or --keep, says which arrays to carry through"
                )
        read = [self._headers[name] for name in columns]
        size = window_of(sum(prod(shape[1:]) * dtype.itemsize for shape, dtype in read))
        with ExitStack() as stack:
            try:
                files = {name: stack.enter_context(self._zip.open(f"{name}.npy")) for name in (*columns, *kept)}
                for file in files.values():
                    _read_header(file)
                for start in range(0, rows, size):
                    count = min(size, rows - start)
                    arrays = {name: self._rows(name, file, count) for name, file in files.items()}
                    inputs = {f.name: self._column(name, f, arrays[name], start) for name, f in columns.items()}
                    yield Window(start, count, inputs, {name: arrays[name] for name in kept})
            except (EOFError, BadZipFile, ZlibError) as error:
                raise cannot_read(self.path, ".npz", error) from error

    def write(
        self, file: BinaryIO, kept: Sequence[str], outputs: Sequence[Field], record: str, results: Results
    ) -> None:
        """See `table.Source`.

        Raises:
            ShapeError: the rows of an output differ in shape, so they are no array.
        """
        rows = 0
        shapes = {name: self._headers[name][0][1:] for name in kept}
        dtypes = {**{name: self._headers[name][1] for name in kept}, **{field.name: field.dtype for field in outputs}}
        with ExitStack() as stack:
            parts = {name: stack.enter_context(tempfile.TemporaryFile()) for name in dtypes}
            for window, columns in results:
                rows += window.rows
                arrays = {**window.kept, **{column.field.name: self._stacked(column) for column in columns}}
                for name, array in arrays.items():
                    if shapes.setdefault(name, array.shape[1:]) != array.shape[1:]:
                        raise self._differ(name)
                    parts[name].write(np.ascontiguousarray(array).data)
            for field in outputs:
                shapes.setdefault(field.name, tuple([n if isinstance(n, int) else 0 for n in field.shape]))
            with ZipFile(file, "w", ZIP_STORED) as archive:
                archive.comment = record.encode()
                for name, part in parts.items():
                    part.seek(0)
                    header = {"descr": np.lib.format.dtype_to_descr(dtypes[name]), "fortran_order": False}
                    # The date of a ZipInfo is always the same, and so are the bytes of the file.
                    with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                        np.lib.format.write_array_header_2_0(member, {**header, "shape": (rows, *shapes[name])})
                        shutil.copyfileobj(part, member, 1 << 20)

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        with self._zip.open(name) as file:
            shape, fortran, dtype = _read_header(file)
        if dtype.hasobject:
            raise FileError(f"{self.path}, array {name!r}: it holds pickled objects, which could run code")
        if fortran and len(shape) > 1:
            raise FileError(f"{self.path}, array {name!r}: it is in Fortran order, so its rows are not in one piece")
        return shape, dtype

    def _rows(self, name: str, file: Any, count: int) -> Array:
        """Reads some rows of an array."""
        shape, dtype = self._headers[name]
        size = count * prod(shape[1:]) * dtype.itemsize
        data = file.read(size)
        if len(data) < size:
            raise EOFError(f"the array {name!r} ends too early")
        return np.frombuffer(data, dtype).reshape(count, *shape[1:])

    def _check(self, name: str, field: Field, rows: int) -> None:
        """Checks that an array may hold the rows of an input."""
        shape, dtype = self._headers[name]
        if dtype.kind not in "biuf":
            raise DtypeError(
                f"{self.path}, column {name!r}: it holds {dtype}, but the input {field.name!r} is {field.dtype}"
            )
        if len(shape) != 1 + len(field.shape) or shape[0] != rows:
            raise ShapeError(
                f"{self.path}, column {name!r}: its shape is {shape}, but a row of input {field.name!r} is "
                f"{field.dims}, and there are {rows} rows"
            )

    def _column(self, name: str, field: Field, rows: Array, start: int) -> Column:
        where, column = (self.path, name, start), Column.stacked(field, rows)
        for axis in range(len(field.shape)):
            check_sizes(where, field, axis, column.shapes[:, axis])
        return as_elements(where, field, column.shapes, column.flat)

    def _stacked(self, column: Column) -> Array:
        """Returns the rows of an output as an array."""
        if len(column.shapes) and (column.shapes != column.shapes[0]).any():
            raise self._differ(column.field.name)
        return column.flat.reshape(column.shapes.shape[0], *column.shapes[0])

    def _differ(self, name: str) -> ShapeError:
        return ShapeError(
            f"{self.path}: the rows of output {name!r} differ in shape, so they are no array; write the inputs "
            "as Parquet"
        )


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, fortran, dtype
