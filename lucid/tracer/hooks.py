"""Hooks: functions that see the gradient of one value on its way through backward, and may replace it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..errors import GradientError

__all__ = ["Handle", "Hooks"]

Hook = Callable[[Any], Any]


class Hooks(dict[object, Hook]):
    """The hooks of one value, in the order they were registered.

    They live with the leaf or the node and know no tensor but by a weak reference, so nothing here keeps a graph alive.

    Attributes:
        keeper: the tensor, if it is no leaf, that wants the gradient in its `grad` all the same.
    """

    keeper: weakref.ref[Any] | None = None

    def add(self, hook: Hook) -> Handle:
        """Append a hook."""
        key = object()
        self[key] = hook
        return Handle(self, key)

    def run(self, g: Any) -> Any:
        """The gradient as the hooks leave it."""
        for hook in list(self.values()):
            result = hook(g)
            if result is None:
                continue
            if type(result) is not type(g):
                raise TypeError(f"a gradient hook returns a Tensor or None; got {type(result).__name__}")
            if result.shape != g.shape or result.dtype != g.dtype:
                raise GradientError(
                    f"a gradient hook must keep shape and dtype, {g.dtype}{list(g.shape)}; it returned "
                    f"{result.dtype}{list(result.shape)}"
                )
            g = result
        return g


class Handle:
    """What `register_hook` returns: removes the hook again; also at the end of a ``with`` block."""

    __slots__ = ("_hooks", "_key")

    def __init__(self, hooks: Hooks, key: object) -> None:
        self._hooks = weakref.ref(hooks)
        self._key = key

    def remove(self) -> None:
        """Take the hook away; nothing happens if it is gone already."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
