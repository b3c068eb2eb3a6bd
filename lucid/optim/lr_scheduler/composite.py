"""Composite: a scheduler made of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...errors import StateDictError
from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler

__all__ = ["Composite"]


class Composite(LRScheduler):
    """The base of schedulers that are made of others, with a state that contains theirs.

    Raises:
        ValueError: there are no schedulers, one belongs to another optimizer, or one needs a metric.
    """

    _unsaved: ClassVar[frozenset[str]] = LRScheduler._unsaved | {"schedulers"}

    def _hold(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
        """Stores the schedulers, and returns their optimizer."""
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name}: expected at least one scheduler; got none")
        owner: Optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        for number, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name}: ReduceLROnPlateau needs a measure at each step; use it by itself")
            if scheduler.optimizer is not owner:
                raise ValueError(f"{name}: scheduler {number} belongs to another optimizer")
        self.schedulers = list(schedulers)
        return owner

    def _facts(self) -> dict[str, Any]:
        return {"schedulers": ", ".join(type(part).__name__ for part in self.schedulers), **super()._facts()}

    def _undo(self) -> None:
        self.last_epoch -= 1
        for scheduler in self.schedulers:
            scheduler._undo()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        name = type(self).__name__
        parts = state_dict.get("schedulers", ()) if isinstance(state_dict, Mapping) else ()
        if not isinstance(parts, (list, tuple)):
            raise StateDictError(f"state dict does not fit {name}: schedulers is {type(parts).__name__}, no list")
        if len(parts) != len(self.schedulers):
            raise StateDictError(
                f"state dict does not fit {name}: it is for {len(parts)} schedulers, not {len(self.schedulers)}"
            )
        before = self.state_dict()["schedulers"]
        try:
            for scheduler, part in zip(self.schedulers, parts, strict=True):
                scheduler.load_state_dict(part)
            super().load_state_dict(state_dict)
        except BaseException:
            for scheduler, part in zip(self.schedulers, before, strict=True):
                scheduler.load_state_dict(part)
            raise
