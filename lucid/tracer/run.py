"""Run: what holds for one run of an export alone. It is a context variable, so no other thread sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["RUN", "Run", "assigns", "running"]


class Run:
    """The modes of modules and the random generator inside a run, and what the run writes.

    Args:
        around: the run that this one is part of, if any; its modes and its random state hold at the start.
        evaluation: whether all modules are in evaluation mode.

    Attributes:
        random: the copies of the random generators that the run drew from, by generator.
        attributes: the attributes of modules that the run assigned or deleted, each with its module.
        gradients: the tensors whose gradients it wrote.
    """

    def __init__(self, around: Run | None, evaluation: bool = False) -> None:
        self.around = around
        self.random: dict[Any, Any] = {}
        self.attributes: list[tuple[Any, str]] = []
        self.gradients: list[Any] = []
        self._evaluation: bool = evaluation or (around is not None and around._evaluation)
        self._modes: list[tuple[Any, bool]] = [] if around is None or evaluation else list(around._modes)
        self._before = len(self._modes)

    def mode(self, module: Any, own: bool) -> bool:
        """Returns whether a module is in training mode inside the run, given what it is outside."""
        for other, training in reversed(self._modes):
            if other is module:
                return training
        return own and not self._evaluation

    def set_mode(self, module: Any, training: bool) -> None:
        """Switches the mode of a module inside the run."""
        self._modes.append((module, training))

    def switched(self) -> list[Any]:
        """Returns the modules whose mode the run switched, and left so."""
        found: list[Any] = []
        for module, training in self._modes[self._before :]:
            before = next((t for m, t in reversed(self._modes[: self._before]) if m is module), None)
            if before is None:
                before = module.__dict__["training"] and not self._evaluation
            if self.mode(module, training) is not before and not any(module is other for other in found):
                found.append(module)
        return found


RUN: ContextVar[Run | None] = ContextVar("lucid.run", default=None)


def assigns(module: Any, name: str) -> None:
    """Notes that the current run, if there is one, assigns or deletes an attribute of a module."""
    run = RUN.get()
    if run is not None:
        run.attributes.append((module, name))


@contextmanager
def running(evaluation: bool = False) -> Iterator[Run]:
    """Begins a run; at exit the one around it holds again."""
    run = Run(RUN.get(), evaluation)
    token = RUN.set(run)
    try:
        yield run
    finally:
        RUN.reset(token)
