"""Placed: a case on a device, done in one of the ways in which lucid runs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .case import Case

__all__ = ["MODES", "Mode", "Placed"]

Mode = Literal["session", "compile", "step", "stream"]

MODES: tuple[Mode, ...] = ("session", "compile", "step", "stream")
"""A session, `lucid.compile`, a compiled training step, and a stream, one time step a call."""


@dataclass(frozen=True)
class Placed:
    """A case on a device.

    Attributes:
        device: the device, by lucid's name.
        mode: the way to run it.
        case: the layer and its input.
    """

    device: str
    mode: Mode
    case: Case

    def __str__(self) -> str:
        return f"{self.device}, {self.mode}, {self.case}"
