"""Guards: check whether a module has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import ref

from ..tensor import Tensor
from ..tracer.writes import WRITES
from .module import Module

__all__ = ["PLAIN", "Guards", "equal"]

PLAIN = (bool, int, float, str, tuple, type(None))
"""The types whose values are watched, rather than their identity."""


class Guards:
    """The guards of a module: they watch its modules, and their tensors, numbers, texts and tuples.

    They watch as well what the code of a user's own `forward` names in its closure or its module, if it is a tensor, a
    number, a text or a tuple; not what other functions name, nor what lists and dicts hold.

    A write into the memory of a tensor is detected, also by way of a view or another tensor over it. What NumPy writes
    into an array that shares the memory is not.

    Args:
        model: the module.
        trains: whether the elements of parameters that require gradients may change, and modes matter.

    Example:
        >>> from lucid.nn.guards import Guards
        >>> layer = nn.Linear(2, 1)
        >>> guards = Guards(layer)
        >>> guards.holds()
        True
        >>> _ = nn.init.zeros_(layer.weight)
        >>> guards.holds()
        False
    """

    def __init__(self, model: Module, trains: bool = False) -> None:
        # As few rows as possible: each call of a compiled module first checks all of them.
        self._entries: list[tuple[dict[Any, Any], Any, Any]] = []
        self._sizes: list[tuple[dict[Any, Any], int]] = []
        # Arrays by weak references: to hold one would bring its tensor back from a GPU after each training step.
        self._tensors: list[tuple[Any, Any, Any]] = []
        self._kinds: list[tuple[Any, bool, Any, Any]] = []
        self._variables: list[tuple[Callable[[], Any], Any]] = []
        self._time = WRITES.now
        self.modules = list(model.modules())
        self._watch(self.modules, trains)

    def _watch(self, modules: Iterable[Module], trains: bool) -> None:
        for module in modules:
            if not type(module).__module__.startswith("lucid."):
                self._watch_variables(type(module).forward)
            own = module.__dict__
            for kind in ("_modules", "_parameters", "_buffers"):
                table = own[kind]
                self._entries.append((own, kind, table))
                self._entries += [(table, name, entry) for name, entry in table.items()]
                self._sizes.append((table, len(table)))
            if (hooks := own["_hooks"]) is not None:
                self._entries.append((own, "_hooks", hooks))
                for table in hooks.values():
                    self._entries += [(table, key, hook) for key, hook in table.items()]
                    self._sizes.append((table, len(table)))
            for tensor in (*own["_parameters"].values(), *own["_buffers"].values()):
                if tensor is None:
                    continue
                if trains:
                    self._kinds.append((tensor, tensor.requires_grad, tensor._data.dtype, tensor._data.shape))
                if not (trains and tensor.requires_grad):
                    self._tensors.append((tensor, ref(tensor._data), tensor._leaf_value()))
            self._entries += [
                (own, name, value)
                for name, value in own.items()
                if isinstance(value, PLAIN) and name != "_last_call" and (trains or name != "training")
            ]

    def _watch_variables(self, function: Callable[..., Any]) -> None:
        """Watches what the code of a function names in its closure or its module."""
        for read, value in _variables(function):
            self._variables.append((read, value))
            if isinstance(value, Tensor) and not value.requires_grad:
                self._tensors.append((value, ref(value._data), value._leaf_value()))

    def release(self, tensors: Iterable[Tensor]) -> None:
        """Allows the elements of some of the tensors to change."""
        free = set(tensors)
        self._kinds += [(t, t.requires_grad, t._data.dtype, t._data.shape) for t, _, _ in self._tensors if t in free]
        self._tensors = [row for row in self._tensors if row[0] not in free]

    def training(self) -> Module | None:
        """Returns the first module that is in training mode; None if there is none."""
        for module in self.modules:
            if module.__dict__["training"]:
                return module
        return None

    def holds(self) -> bool:
        """Returns whether nothing has changed."""
        for tensor, data, value in self._tensors:
            if tensor._data is not data() or tensor._value is not value:
                return False
        if self._time != (now := WRITES.now):
            if WRITES.since(self._time, [tensor._data for tensor, _, _ in self._tensors]):
                return False
            self._time = now
        for tensor, requires_grad, dtype, shape in self._kinds:
            if tensor._requires_grad is not requires_grad:
                return False
            if tensor._is_away():  # whoever changes its array brings it home first
                continue
            array = tensor._data
            if array.dtype != dtype or array.shape != shape:
                return False
        for table, size in self._sizes:
            if len(table) != size:
                return False
        for read, before in self._variables:
            now = read()
            if now is not before and not equal(now, before):
                return False
        try:
            for owner, name, before in self._entries:
                if owner[name] is not before and not equal(owner[name], before):
                    return False
        except KeyError:
            return False
        return True


def equal(now: Any, before: Any) -> bool:
    """Returns whether a number, a text or a tuple equals its former value; anything else counts as changed."""
    return isinstance(before, PLAIN) and type(now) is type(before) and bool(now == before)


def _variables(function: Callable[..., Any]) -> Iterator[tuple[Callable[[], Any], Any]]:
    """Yields what reads a variable that the code of a function names, of its closure or its module, and its value, if
    that is a tensor or plain."""
    code, space = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # an empty cell
            if isinstance(value := cell.cell_contents, (*PLAIN, Tensor)):
                yield partial(getattr, cell, "cell_contents", None), value
    for name in code.co_names if code is not None else ():
        if name in space and isinstance(value := space[name], (*PLAIN, Tensor)):
            yield partial(space.get, name), value
