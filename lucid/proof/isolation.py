"""Isolation: the runs of a proof do not see each other, and nobody sees them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..nn.module import Module
from ..tracer.run import Run, running
from .reach import Reach

__all__ = ["Snapshot", "isolated"]

_UNWATCHED = frozenset({"training", "_last_call"})
"""The attributes of modules that no run changes: see `lucid.tracer.run`."""

_ABSENT = object()
"""Stands for what is not in a dict."""


@contextmanager
def isolated(function: Callable[..., Any] | Reach, evaluation: bool = False) -> Iterator[Snapshot]:
    """Begins a run of a function, and restores at exit what the function changed: see `Snapshot`.

    Args:
        function: a Module or another callable, or what it reaches.
        evaluation: whether all modules are in evaluation mode inside.
    """
    with running(evaluation) as run:
        snapshot = Snapshot(function, run)
        try:
            yield snapshot
        finally:
            snapshot.restore()


class Snapshot:
    """What a function can change and find again in the next call, as it is now.

    These are the attributes, tables and gradients of the modules that it reaches; the variables of closures and the
    global variables that its code names, if they hold plain values, tensors or containers; and what is in these dicts,
    lists and sets. Caches of `functools` are emptied, now and by `restore`. Attributes of other objects, files, the
    environment and the elements of arrays are not watched. Modes and the random state belong to the run, and need no
    restoring.

    Args:
        function: a Module or another callable, or what it reaches.
        run: the run that begins.
    """

    def __init__(self, function: Callable[..., Any] | Reach, run: Run) -> None:
        reach = function if isinstance(function, Reach) else Reach(function)
        self._run = run
        self._caches = reach.caches
        self._stored = reach.stored
        # Copies, since another thread may add entries meanwhile.
        self._gradients = [(p, p.grad) for m in reach.modules for p in m.parameters(recurse=False)]
        self._attributes = [(m, _watched(m)) for m in reach.modules]
        self._tables = [(module, table, table.copy()) for module, table in reach.tables]
        self._containers = [(container, container.copy()) for container in reach.containers]
        self._cells = [(name, cell, cell.cell_contents) for name, cell in reach.cells]
        self._globals = [(space, name, space[name]) for space, name in reach.globals]
        self._empty_caches()

    def restore(self) -> None:
        """Restores what the run changed, and nothing else: another thread may have assigned the rest meanwhile."""
        for parameter, gradient in self._gradients:
            if parameter.grad is not gradient and self._wrote_gradient(parameter):
                parameter.grad = gradient
        for module, attributes in self._attributes:
            differing = _differing(_watched(module), attributes)
            _refill(module.__dict__, attributes, [name for name in differing if self._assigned(module, name)])
        for module, table, copy in self._tables:
            _refill(table, copy, [name for name in _differing(table, copy) if self._assigned(module, name)])
            _reorder(table, copy)
        for container, copy in self._containers:
            if isinstance(copy, dict):
                _refill(container, copy, _differing(container, copy))
                _reorder(container, copy)
            if not _same(container, copy):
                _rewrite(container, copy)
        for name, cell, content in self._cells:
            if cell.cell_contents is not content and self._stores(name):
                cell.cell_contents = content
        for space, name, value in self._globals:
            if space.get(name, _ABSENT) is not value and self._stores(name):
                space[name] = value
        self._empty_caches()

    def _assigned(self, module: Module, name: str) -> bool:
        """Returns whether the run assigned or deleted an attribute of a module, or may have."""
        return self._stored is None or any(m is module and own == name for m, own in self._run.attributes)

    def _wrote_gradient(self, parameter: Any) -> bool:
        return self._stores("grad") or any(parameter is other for other in self._run.gradients)

    def _stores(self, name: str) -> bool:
        """Returns whether the code of the function assigns or deletes variables of a name, or may do so."""
        return self._stored is None or name in self._stored

    def _empty_caches(self) -> None:
        for cache in self._caches:
            cache.cache_clear()

    def changed(self) -> list[str]:
        """Returns the names of what is not as it was, apart from gradients and the random state."""
        own = [(module, "training") for module in self._run.switched()]
        own += [(m, name) for m, before in self._attributes for name in _differing(_watched(m), before)]
        own += [(m, name) for m, table, copy in self._tables for name in _differing(table, copy)]
        found = [f"{type(module).__name__}.{name}" for module, name in own]
        names = {id(value): f"{type(m).__name__}.{name}" for m, own in self._attributes for name, value in own.items()}
        names |= {id(value): name for name, _, value in self._cells}
        names |= {id(value): name for _, name, value in self._globals}
        for container, copy in self._containers:
            if not _same(container, copy):
                found.append(names.get(id(container), f"a {type(container).__name__}"))
        found += [name for name, cell, content in self._cells if cell.cell_contents is not content]
        found += [name for space, name, value in self._globals if space.get(name) is not value]
        return list(dict.fromkeys(found))


def _watched(module: Module) -> dict[str, Any]:
    """Returns the attributes of a module that a run may find changed by an earlier one."""
    own = module.__dict__.copy()  # another thread may add some meanwhile
    return {name: value for name, value in own.items() if name not in module._notes and name not in _UNWATCHED}


def _differing(now: dict[Any, Any], before: dict[Any, Any]) -> list[Any]:
    """Returns the keys under which two dicts do not have the very same thing."""
    return [key for key in {**before, **now} if now.get(key, _ABSENT) is not before.get(key, _ABSENT)]


def _same(container: Any, copy: Any) -> bool:
    """Returns whether a container has the very things that it had."""
    if len(container) != len(copy):
        return False
    if isinstance(copy, dict):
        return not _differing(container, copy)
    if isinstance(copy, list):
        return all(one is other for one, other in zip(container, copy, strict=True))
    return bool(container == copy)


def _refill(now: dict[Any, Any], before: dict[Any, Any], keys: Iterable[Any]) -> None:
    """Gives a dict its former entries under some keys back; no thread ever sees it without the others."""
    for key in keys:
        if key in before:
            now[key] = before[key]
        else:
            now.pop(key, None)


def _reorder(now: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Gives a dict with the same keys their former order back."""
    if list(now) != list(before) and now.keys() == before.keys():
        entries = {key: now[key] for key in before}
        now.clear()
        now.update(entries)


def _rewrite(container: Any, copy: Any) -> None:
    """Gives a container its contents back, at once: no key of a symbolic size can be found in a dict after its run."""
    if isinstance(copy, list):
        container[:] = copy
    else:
        container.clear()
        container.update(copy)
