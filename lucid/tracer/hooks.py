"""Gradient hooks: functions that observe or replace the gradient of a value during the backward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..errors import GradientError

__all__ = ["Handle", "Hooks"]

Hook = Callable[[Any], Any]


class Hooks(dict[object, Hook]):
    """The hooks of one value, in registration order.

    The leaf or the node owns them. They refer to tensors by weak references only, so they keep no graph alive.

    Attributes:
        keeper: the non-leaf tensor that retains its gradient in `grad`, if any.
    """

    keeper: weakref.ref[Any] | None = None

    def add(self, hook: Hook) -> Handle:
        """Appends a hook and returns its handle."""
        key = object()
        self[key] = hook
        return Handle(self, key)

    def run(self, g: Any) -> Any:
        """Runs the hooks on a gradient and returns the result."""
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
    """The handle that `register_hook` returns: it removes the hook, also at the end of a ``with`` block."""

    __slots__ = ("_hooks", "_key")

    def __init__(self, hooks: Hooks, key: object) -> None:
        self._hooks = weakref.ref(hooks)
        self._key = key

    def remove(self) -> None:
        """Removes the hook; does nothing if it is already gone."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
