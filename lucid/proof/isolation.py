"""Isolation: the runs of a proof do not see each other, and nobody sees them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..ops.random import get_rng_state, set_rng_state
from .reach import Reach

__all__ = ["Snapshot", "isolated"]


@contextmanager
def isolated(function: Callable[..., Any] | Reach, evaluation: bool = False) -> Iterator[None]:
    """Restores at exit what a function can reach: see `Snapshot`.

    Args:
        function: a Module or another callable, or what it reaches.
        evaluation: whether all modules are in evaluation mode inside.
    """
    snapshot = Snapshot(function)
    try:
        if evaluation:
            for module in snapshot.modules:
                module.training = False
        yield
    finally:
        snapshot.restore()


class Snapshot:
    """What a function can change and find again in the next call, as it is now.

    These are the attributes, modes, tables and gradients of the modules that it reaches; the variables of closures and
    the global variables that its code names, if they hold plain values, tensors or containers; what is in these
    dicts, lists and sets; and the random state. Caches of `functools` are emptied, now and by `restore`. Attributes of
    other objects, files, the environment and the elements of arrays are not watched.

    Args:
        function: a Module or another callable, or what it reaches.

    Attributes:
        modules: the modules that it reaches.
    """

    def __init__(self, function: Callable[..., Any] | Reach) -> None:
        reach = function if isinstance(function, Reach) else Reach(function)
        self.modules = reach.modules
        self._caches = reach.caches
        self._random = get_rng_state()
        self._gradients = [(p, p.grad) for m in self.modules for p in m.parameters(recurse=False)]
        self._attributes = [
            (m, {name: value for name, value in m.__dict__.items() if name not in m._notes}) for m in self.modules
        ]
        self._containers = [(container, container.copy()) for container in reach.containers]
        self._cells = [(name, cell, cell.cell_contents) for name, cell in reach.cells]
        self._globals = [(space, name, space[name]) for space, name in reach.globals]
        self._empty_caches()

    def restore(self) -> None:
        """Restores all of it. What did not change is not touched, so another thread never sees it missing."""
        set_rng_state(self._random)
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        for module, attributes in self._attributes:
            now = module.__dict__
            notes = {name: now[name] for name in module._notes if name in now}
            if not _same(now, attributes | notes):
                _refill(now, attributes | notes)
        for container, copy in self._containers:
            if not _same(container, copy):
                _refill(container, copy)
        for _, cell, content in self._cells:
            cell.cell_contents = content
        for space, name, value in self._globals:
            space[name] = value
        self._empty_caches()

    def _empty_caches(self) -> None:
        for cache in self._caches:
            cache.cache_clear()

    def changed(self) -> list[str]:
        """Returns the names of what is not as it was, apart from gradients and the random state."""
        found = []
        for module, attributes in self._attributes:
            now = module.__dict__
            found += [
                f"{type(module).__name__}.{name}"
                for name in {**attributes, **now}
                if name not in module._notes and name != "_last_call" and now.get(name) is not attributes.get(name)
            ]
        names = {id(value): f"{type(m).__name__}.{name}" for m, own in self._attributes for name, value in own.items()}
        names |= {id(value): name for name, _, value in self._cells}
        names |= {id(value): name for _, name, value in self._globals}
        for container, copy in self._containers:
            if not _same(container, copy):
                found.append(names.get(id(container), f"a {type(container).__name__}"))
        found += [name for name, cell, content in self._cells if cell.cell_contents is not content]
        found += [name for space, name, value in self._globals if space.get(name) is not value]
        return list(dict.fromkeys(found))


def _same(container: Any, copy: Any) -> bool:
    """Returns whether a container has the very things that it had."""
    if len(container) != len(copy):
        return False
    if isinstance(copy, dict):
        return all(name in container and container[name] is value for name, value in copy.items())
    if isinstance(copy, list):
        return all(one is other for one, other in zip(container, copy, strict=True))
    return bool(container == copy)


def _refill(container: Any, copy: Any) -> None:
    """Gives a container its contents back. If the keys are the same, no thread ever sees a dict without one of them."""
    if isinstance(copy, list):
        container[:] = copy
        return
    if not isinstance(copy, dict) or list(container) != list(copy):
        container.clear()
    container.update(copy)
