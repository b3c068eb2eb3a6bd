"""Fork: threads do not survive a fork, so what owns some begins anew in the child."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Protocol, runtime_checkable
from weakref import WeakSet

__all__ = ["Unloaded", "keep", "unload", "watch"]


class Forked(Protocol):
    """Something that owns threads or locks."""

    def _forked(self) -> None:
        """Begins anew in a forked child; nothing else runs there yet."""


_WATCHED: WeakSet[Forked] = WeakSet()


def watch(thing: Forked) -> None:
    """Has something begin anew in every forked child."""
    _WATCHED.add(thing)


def _after_fork() -> None:
    for thing in list(_WATCHED):
        thing._forked()


@runtime_checkable
class Forking(Protocol):
    """Something of this kind that a forked child cannot reach."""

    def _forking(self) -> None:
        """Saves what a child needs, in the parent, before the fork."""


def _before_fork() -> None:
    for thing in list(_WATCHED):
        if isinstance(thing, Forking):
            thing._forking()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def keep(session: Any) -> None:
    """Keeps a session of onnxruntime forever: in a forked child its end would wait for threads that are not there."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(session, "_sess", session)))


class Unloaded:
    """Stands for a session of onnxruntime in a forked child, or after `unload`, up to the first use.

    Args:
        owner: the session whose `_loaded` loads it anew, and stores it in place of this object.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner._loaded(), name)


def unload(owner: Any) -> None:
    """Frees onnxruntime's session on a CPU, with its threads and its copy of the weights; the next call loads it anew.

    Args:
        owner: the `Session`; calls in other threads keep what they use.
    """
    if owner.device.kind != "cpu":
        return
    with owner._lock:
        if not isinstance(owner._session, Unloaded):
            owner._session = Unloaded(owner)
        owner._whole = None
        owner._bindings = {}
