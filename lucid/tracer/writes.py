"""Writes: when which memory was overwritten in place, so that a backward pass does not use what is no longer there.

A node keeps arrays for its gradient: parameters, constants, and views of either. Any tensor over the same memory may be
the one that is overwritten. So a write is known by the memory, not by the tensor, and a clock counts the writes: a node
notes the time at which it was recorded. Where nothing was written since, which is the rule, that is all there is to
check.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["WRITES", "Writes", "Written", "touch"]

Array = np.ndarray[Any, Any]

_FEW = 256
"""The least number of entries that is searched for memory that was freed."""


class Written:
    """Memory that was overwritten.

    Attributes:
        data: the array that was written to.
        root: the array that owns the memory. An address means nothing after its memory is freed.
        bounds: the first address, and the one after the last.
        time: when it was overwritten last.
    """

    __slots__ = ("bounds", "data", "root", "time")

    def __init__(self, data: Array, bounds: tuple[int, int]) -> None:
        root = data
        while isinstance(root.base, np.ndarray):
            root = root.base
        self.data = weakref.ref(data)
        self.root = weakref.ref(root)
        self.bounds = bounds
        self.time = 0


class Writes:
    """The writes so far, as the last one to each piece of memory that is still in use.

    Attributes:
        now: the number of writes so far.
    """

    def __init__(self) -> None:
        self.now = 0
        self._latest: dict[tuple[int, int], Written] = {}
        self._limit = _FEW
        self._order: list[Written] = []
        self._ordered = 0
        self._lock = threading.Lock()

    def of(self, data: Array) -> Written:
        """Returns the entry for the memory of an array, which is the same for all arrays over the same memory."""
        bounds = _bounds(data)
        with self._lock:
            written = self._latest.get(bounds)
            if written is None or written.root() is None:
                written = self._latest[bounds] = Written(data, bounds)
                if len(self._latest) > self._limit:
                    self._latest = {key: one for key, one in self._latest.items() if one.root() is not None}
                    self._limit = max(_FEW, 2 * len(self._latest))
            return written

    def add(self, memory: Iterable[Written]) -> None:
        """Notes that memory was overwritten just now."""
        with self._lock:
            self.now += 1
            for written in memory:
                written.time = self.now

    def since(self, time: int, arrays: Iterator[Any]) -> list[Array]:
        """Returns those of some arrays whose memory was overwritten after a moment."""
        with self._lock:
            if self._ordered != self.now:  # once for a backward pass, in which nothing is written
                self._order, self._ordered = sorted(self._latest.values(), key=lambda one: one.time), self.now
            late = []
            for written in reversed(self._order):
                if written.time <= time:
                    break
                if written.root() is not None:
                    late.append(written.bounds)
        if not late:
            return []
        found = []
        for array in arrays:
            if isinstance(array, np.ndarray):
                low, high = _bounds(array)
                if any(low < end and start < high for start, end in late):
                    found.append(array)
        return found


def _bounds(array: Array) -> tuple[int, int]:
    """Returns the first address of an array, and the one after its last."""
    low = high = array.__array_interface__["data"][0]
    if not array.size:
        return low, low
    for n, step in zip(array.shape, array.strides, strict=True):
        if step < 0:
            low += (n - 1) * step
        else:
            high += (n - 1) * step
    return low, high + array.itemsize


WRITES = Writes()


def touch(*tensors: Any) -> None:
    """Marks the elements of tensors as overwritten in place, also for graphs that know them by other tensors."""
    memory = []
    for tensor in tensors:
        if tensor._value is not None:
            tensor._value.version += 1
        try:
            written = tensor._written
        except AttributeError:
            written = None
        if written is None or written.data() is not tensor._data:
            written = tensor._written = WRITES.of(tensor._data)
        memory.append(written)
    WRITES.add(memory)
