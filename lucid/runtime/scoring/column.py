"""Column: the rows of one input or output, one after the other in memory, whatever the shape of each."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .layout import Field

__all__ = ["Column"]

Array = np.ndarray[Any, Any]

_LARGE = 1e6
"""Up to this magnitude no batch meets the bound of a session that has left out guards, nor a guard's own."""


class Column:
    """The rows of one input or output, one after the other in memory.

    Args:
        field: what a row is.
        shapes: (rows, axes of a row), the shape of each row.
        flat: the elements of all rows.
    """

    def __init__(self, field: Field, shapes: Array, flat: Array) -> None:
        self.field = field
        self.shapes = shapes
        self.flat = flat
        # A step is a block, if the steps of all rows have one size.
        alike = len(shapes) > 0 and shapes.shape[1] > 1 and bool((shapes[:, 1:] == shapes[0, 1:]).all())
        self._block = max(prod(shapes[0, 1:].tolist()), 1) if alike else 1
        sizes = shapes.prod(1, dtype=np.int64)
        self._starts = np.cumsum(sizes) - sizes

    @classmethod
    def stacked(cls, field: Field, rows: Array) -> Column:
        """Returns the column of an array (rows, ...)."""
        shapes = np.broadcast_to(np.array(rows.shape[1:], np.int64), (len(rows), rows.ndim - 1))
        return cls(field, shapes, rows.reshape(-1))

    @classmethod
    def joined(cls, field: Field, count: int, parts: Sequence[tuple[Array, Array]]) -> Column:
        """Returns the column of results.

        Args:
            field: the output.
            count: the number of rows.
            parts: the numbers of the rows, and the results (rows, ...) of each part; each row is in one of them.
        """
        shapes = np.zeros((count, len(field.shape)), np.int64)
        for rows, results in parts:
            shapes[rows] = results.shape[1:]
        column = cls(field, shapes, np.empty(int(shapes.prod(1).sum()), field.dtype))
        for rows, results in parts:
            blocks, places = column._places(rows, results.shape[1:])
            blocks[places] = results.reshape(*places.shape, blocks.shape[1])
        return column

    def take(self, rows: Array) -> Array:
        """Returns some rows of one shape, in the layout of the input."""
        shape, axis = tuple(self.shapes[rows[0]].tolist()), self.field.axis
        blocks, places = self._places(rows, shape)
        if axis == 1 and places.shape[1] == shape[0]:  # step by step, as recurrent layers read them: one copy
            return blocks[places.T].reshape(shape[0], len(rows), *shape[1:])
        return np.ascontiguousarray(np.moveaxis(blocks[places].reshape(len(rows), *shape), 0, axis))

    def large(self) -> Array:
        """Returns whether each row holds numbers of a magnitude that may change how a whole batch is computed."""
        rows = np.zeros(len(self.shapes), bool)
        if self.flat.dtype.kind == "f" and self.flat.size and max(self.flat.max(), -self.flat.min()) > _LARGE:
            rows[self.rows_of(np.flatnonzero(np.abs(self.flat) > _LARGE))] = True
        return rows

    def rows_of(self, places: Array) -> Array:
        """Returns the rows that some elements belong to, each once."""
        return np.unique(np.searchsorted(self._starts, places, "right") - 1)

    def _places(self, rows: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Returns the elements in blocks, and the places (rows, blocks) of those of some rows of one shape."""
        starts = self._starts[rows] // self._block
        return self.flat.reshape(-1, self._block), starts[:, None] + np.arange(prod(shape) // self._block)
