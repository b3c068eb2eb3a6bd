"""Contender: one way to do a job, run in a process of its own."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Contender", "available", "package"]


@dataclass(frozen=True)
class Contender:
    """One way to do a job.

    Attributes:
        name: the name of its column.
        task: the function that makes its `Job`, as "module:function", the module being one of `benchmarks.contenders`.
        options: the arguments of the function besides the case.
        peer: the peer that it belongs to, or nothing if it is lucid's own or a yardstick.
        needs: the distributions that it requires.
    """

    name: str
    task: str
    options: dict[str, Any] = field(default_factory=dict)
    peer: str = ""
    needs: tuple[str, ...] = ()


def available(contenders: Sequence[Contender], against: Sequence[str]) -> tuple[list[Contender], list[str]]:
    """Returns the requested contenders that can run, and a note for each that cannot."""
    found, notes = [], []
    for contender in contenders:
        if contender.peer and contender.peer not in against:
            continue
        missing = [name for name in (contender.peer, *contender.needs) if name and package(name) is None]
        if missing:
            notes.append(f"{contender.name} is left out: {', '.join(missing)} is not installed")
        else:
            found.append(contender)
    return found, notes


def package(name: str) -> str | None:
    """Returns the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
