"""Writes: when which memory was overwritten in place, so that nobody uses what is no longer there.

A node keeps arrays for its gradient, and a compiled module those of its weights. Any tensor over the same memory may be
the one that is overwritten. So a write is known by the memory, not by the tensor, and a clock counts the writes: a node
notes the time at which it was recorded. Where nothing was written since, which is the rule, that is all there is to
check.

A write that a graph records also changes what the other tensors over the memory stand for: see `Family`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["CUT", "LIVE", "WRITES", "Family", "Writes", "Written", "base_for", "shares", "touch", "written_of"]

Array = np.ndarray[Any, Any]

_FEW = 256
"""The least number of entries that is searched for memory that was freed."""

_MANY = 4096
"""The most parts of one piece of memory that are told apart."""

_FOREIGN = 0
"""The key of memory that no array owns: several arrays may begin it, each for itself."""


class Written:
    """A part of some memory that was overwritten.

    Attributes:
        data: the array that was written to.
        root: the array that owns the memory. An address means nothing after its memory is freed.
        bounds: the first address, and the one after the last.
        time: when it was overwritten last.
        memory: the memory that it is a part of.
    """

    __slots__ = ("bounds", "data", "memory", "root", "time")

    def __init__(self, data: Array, root: Array, bounds: tuple[int, int], memory: _Memory) -> None:
        self.data = weakref.ref(data)
        self.root = weakref.ref(root)
        self.bounds = bounds
        self.time = 0
        self.memory = memory


class _Memory:
    """The memory that one array owns, and what of it was overwritten.

    Attributes:
        root: the array.
        parts: the parts that were overwritten, by their bounds.
        indices: further parts, as indices of the array, each with the time of the write; the bounds are seldom needed.
        time: when it was overwritten last.
    """

    __slots__ = ("indices", "parts", "root", "time")

    def __init__(self, root: Array) -> None:
        self.root = weakref.ref(root)
        self.parts: dict[tuple[int, int], Written] = {}
        self.indices: list[tuple[int, Any]] = []
        self.time = 0

    def overwritten(self, time: int) -> Iterator[tuple[int, int]]:
        """Yields the bounds of what was overwritten after a moment, and still exists."""
        for part in list(self.parts.values()):
            if part.time > time and part.root() is not None:
                yield part.bounds
        if self.indices and (root := self.root()) is not None:
            for written, index in reversed(self.indices):
                if written <= time:
                    break
                part = root[index]
                yield _bounds(part if type(part) is np.ndarray else root[(*index, ...)])


class Writes:
    """The writes so far, as the last one to each piece of memory that is still in use.

    Attributes:
        now: the number of writes so far.
    """

    def __init__(self) -> None:
        self.now = 0
        self._memories: dict[int, _Memory] = {}
        self._limit = _FEW
        self._lock = threading.Lock()

    def of(self, data: Array) -> Written:
        """Returns the entry for the memory of an array, which is the same for all arrays over the same memory."""
        bounds = _bounds(data)
        key, root = _root(data)
        with self._lock:
            memory = self._memories.get(key)
            if memory is None or (memory.root() is not root and key != _FOREIGN):
                memory = self._memories[key] = _Memory(root)
                if len(self._memories) > self._limit:
                    self._forget()
            written = memory.parts.get(bounds)
            if written is None or written.root() is None:
                if len(memory.parts) >= _MANY:
                    self._merge(memory)
                written = memory.parts[bounds] = Written(data, root, bounds, memory)
            return written

    def _forget(self) -> None:
        """Drops memory that was freed."""
        left = {key: one for key, one in self._memories.items() if key == _FOREIGN or one.root() is not None}
        self._memories, self._limit = left, max(_FEW, 2 * len(left))

    def _merge(self, memory: _Memory) -> None:
        """Makes one part of all the parts of some memory that is still in use."""
        parts = [part for part in memory.parts.values() if part.root() is not None]
        memory.parts = {part.bounds: part for part in parts}
        root = memory.root()
        if len(parts) >= _MANY // 2 and root is not None and memory is not self._memories.get(_FOREIGN):
            whole = Written(root, root, _bounds(root), memory)
            whole.time = memory.time
            # A part is entered anew when it is written to again.
            memory.parts = {whole.bounds: whole}

    def add(self, memory: Iterable[Written]) -> None:
        """Notes that memory was overwritten just now."""
        with self._lock:
            self.now += 1
            for written in memory:
                written.time = written.memory.time = self.now
                written.memory.parts.setdefault(written.bounds, written)

    def add_part(self, written: Written, array: Array, index: tuple[Any, ...]) -> None:
        """Notes that a part of an array was overwritten just now.

        Args:
            written: the entry for the memory of the array.
            array: the array.
            index: integers, slices, None and Ellipsis.
        """
        memory = written.memory
        if memory.root() is not array:
            self.add([self.of(array[index if ... in index else (*index, ...)])])
            return
        with self._lock:
            self.now += 1
            memory.time = self.now
            memory.indices.append((self.now, index))
            if len(memory.indices) > _MANY:
                memory.indices.clear()
                written.time = self.now
                memory.parts.setdefault(written.bounds, written)

    def since(self, time: int, arrays: Iterable[Any]) -> list[Array]:
        """Returns those of some arrays whose memory was overwritten after a moment."""
        foreign = self._memories.get(_FOREIGN)
        elsewhere = foreign is not None and foreign.time > time
        late = []
        for array in arrays:
            root = array
            # For most arrays this is all: nothing in their memory was overwritten lately.
            while type(root) is np.ndarray and (base := root.base) is not None:
                root = base
            memory = self._memories.get(id(root))
            if (elsewhere or type(root) is not np.ndarray or (memory is not None and memory.time > time)) and (
                isinstance(array, np.ndarray) and self._is_late(time, array)
            ):
                late.append(array)
        return late

    def _is_late(self, time: int, array: Array) -> bool:
        key, root = _root(array)
        if key == _FOREIGN:  # another array may begin the same memory
            memories = list(self._memories.values())
        else:
            own, foreign = self._memories.get(key), self._memories.get(_FOREIGN)
            memories = [memory for memory in (own, foreign) if memory is not None]
            if own is not None and own.root() is not root:
                memories.remove(own)
        low, high = _bounds(array)
        parts = (part for memory in memories if memory.time > time for part in memory.overwritten(time))
        return any(low < end and start < high for start, end in parts)


def _root(array: Array) -> tuple[int, Array]:
    """Returns a key for the memory of an array, and the array that owns it."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    # While the array lives, no other has its identity; what a dead one left behind is told by its weak reference.
    return id(root) if root.base is None else _FOREIGN, root


def _bounds(array: Array) -> tuple[int, int]:
    """Returns the first address of an array, and the one after its last."""
    low = high = array.__array_interface__["data"][0]
    if not array.size:
        return low, low
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    for n, step in zip(array.shape, array.strides, strict=True):
        if step < 0:
            low += (n - 1) * step
        else:
            high += (n - 1) * step
    return low, high + array.itemsize


WRITES = Writes()


class Family:
    """Tensors over one memory of which a graph recorded a write: a tensor, and the views that were made of it.

    The tensor itself, the base, is given the result of the write at once. A view finds out when it is used next, and is
    then taken from the base anew. The base holds its family; views hold the base.

    Attributes:
        time: when the memory was overwritten last.
        values: in a trace, what the base stood for before each write.
    """

    __slots__ = ("__weakref__", "time", "values")

    def __init__(self) -> None:
        self.time = 0
        self.values: set[Any] = set()

    def begin(self) -> None:
        """Notes that there may be views of the base, which have to follow it from now on."""
        LIVE.add(weakref.ref(self, LIVE.discard))


LIVE: set[weakref.ref[Family]] = set()
"""The families with views. While there are none, no view has to be looked at before it is used."""

CUT: Any = object()
"""Stands in a view for the base, if it was made where no gradients are recorded."""


def base_for(x: Any) -> Any:
    """Returns the tensor that a view is a part of, at the end of the chain of views; `x` itself if it is no view."""
    while (base := x._base) is not None and base is not CUT and type(base) is not Family:
        x = base
    return CUT if base is CUT else x


def shares(part: Array, whole: Array) -> bool:
    """Returns whether what an op made of an array lies in the memory of that array, rather than in its own."""
    return part is whole or (part.base is not None and (part.base is whole or part.base is whole.base))


def written_of(tensor: Any) -> Written:
    """Returns the entry for the memory of a tensor, which the tensor keeps."""
    try:
        written: Written = tensor._written
    except AttributeError:
        pass
    else:
        if written.data() is tensor._data:
            return written
    written = tensor._written = WRITES.of(tensor._data)
    return written


def touch(*tensors: Any) -> None:
    """Marks the elements of tensors as overwritten in place, for whoever kept them, also by other tensors."""
    memory = []
    for tensor in tensors:
        # The same as `written_of`, inlined for the parameters of an optimizer.
        written = getattr(tensor, "_written", None)
        memory.append(written if written is not None and written.data() is tensor._data else written_of(tensor))
    WRITES.add(memory)
