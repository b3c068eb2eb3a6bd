"""Live: the state of a training step, as the model and its optimizer hold it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from ...export.training.live import Cohort
from ...export.training.state import State
from ...nn.module import Module
from ...nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from ...optim.optimizer import Optimizer
from ...optim.program import Settings
from ...tensor import Tensor, around
from ...tracer.writes import touch
from ..session.session import Session
from .resident import Memory, Resident

__all__ = ["ByGraph", "ByOptimizer", "Current", "OnDevice", "Update"]

Array = np.ndarray[Any, Any]


class Current:
    """The options of a group of an optimizer as they are now.

    Args:
        optimizer: the optimizer.
        group: the group.
    """

    def __init__(self, optimizer: Optimizer, group: dict[str, Any]) -> None:
        self._optimizer = optimizer
        self._group = group
        self._names = list(optimizer.defaults)
        self._values: list[Any] = []

    def settings(self) -> Settings:
        """Returns the options; they are sorted anew only if one has changed."""
        values = [self._group[name] for name in self._names]
        if values != self._values or not self._values:
            self._values = values
            self._settings = Settings(self._optimizer.options(self._group))
        return self._settings


class Update(ABC):
    """How a step changes the model and its optimizer.

    The tensors of a state stand for what the model and the optimizer hold: before a call they get its arrays, so that
    the call reads what is true now.

    Attributes:
        buffers: the buffers that it changes.
    """

    def __init__(self, model: Module, optimizer: Optimizer, state: State) -> None:
        self.optimizer = optimizer
        self.state = state
        self.parameters = {key: state.entries[key].tensor for key in state.names("parameter")}
        own = dict(model.named_buffers())
        self.buffers = [own[key] for key in state.names("buffer")]
        self._copies = [state.entries[key].tensor for key in state.names("buffer")]

    def begin(self) -> None:
        """Gives the tensors of the state the arrays of now.

        Raises:
            ValueError: the array of a parameter or a buffer is read-only.
        """
        for copy, buffer in zip(self._copies, self.buffers, strict=True):
            copy._data = buffer._data
        for tensor in (*self.parameters.values(), *self.buffers):
            if not tensor._data.flags.writeable:
                raise _read_only(tensor)

    def fits(self) -> bool:
        """Returns whether the optimizer's state is such that the update can say what follows."""
        return True

    def runner(self, session: Session, parameters: Mapping[str, Tensor]) -> Resident | None:
        """Returns what runs a session on the memory of the state, if that is on a device; None here.

        Args:
            session: the session.
            parameters: its inputs beside the batch and a seed, by name.
        """
        return None

    @abstractmethod
    def undo(self) -> None:
        """Takes back what `begin` changed, after a call that failed."""

    @abstractmethod
    def finish(self, results: Sequence[Array]) -> Tensor | None:
        """Gives model and optimizer the results that follow loss and metrics; returns the norm of the gradients, if
        they are clipped by it."""

    @abstractmethod
    def rehearse(self, results: Sequence[Array]) -> None:
        """Does as much as `finish`, without any effect: on copies, which are kept."""

    def forget(self) -> None:
        """Drops the copies of `rehearse`, and the arrays of buffers, which others have: see `resident`."""
        for copy in self._copies:
            copy._data = copy._data.copy()


class ByGraph(Update):
    """The graph computes the next state; it is copied into the tensors of the model and the optimizer.

    Copied, rather than swapped: whoever holds a view of a parameter sees its new values, as after an eager step.

    Args:
        model, optimizer: those that are trained.
        cohorts: the parameters that are updated, in order.
        state: the state of the step.
        clips: whether the first result is the norm of the gradients.
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, cohorts: Sequence[Cohort], state: State, clips: bool
    ) -> None:
        super().__init__(model, optimizer, state)
        self._clips = clips
        groups = optimizer.param_groups
        self._cohorts = [
            (cohort, [self.parameters[key] for key in cohort.keys], Current(optimizer, groups[cohort.group]))
            for cohort in cohorts
        ]
        self._slots = [
            (state.entries[f"{slot}.{key}"].tensor, self.parameters[key], slot)
            for cohort in cohorts
            for key in cohort.keys
            for slot in cohort.slots
        ]
        self._next = [state.entries[name].tensor for name in state.names("parameter", "slot", "buffer")]
        self._scratch: list[Array] = []
        self._made: list[tuple[Tensor, dict[str, Any] | None]] = []
        self._after: list[list[float]] = []

    def fits(self) -> bool:
        """Returns whether the parameters of each cohort were updated equally often: they share their numbers."""
        kept = self.optimizer.state
        for cohort, (first, *others), _ in self._cohorts:
            for count in cohort.counts:
                number = kept[first].get(count) if first in kept else None
                for p in others:
                    if (kept[p].get(count) if p in kept else None) != number:
                        return False
        return True

    def begin(self) -> None:
        self._made, self._after = [], []
        super().begin()
        self._prepare()
        kept = self.optimizer.state
        for copy, p, slot in self._slots:
            copy._data = kept[p][slot]._data

    def _prepare(self) -> None:
        """Makes the optimizer's state where there is none, and computes the numbers of the update."""
        kept = self.optimizer.state
        for cohort, parameters, current in self._cohorts:
            settings = current.settings()
            for p in parameters:
                before = kept.get(p)
                if before is None or before.keys() != {*cohort.slots, *cohort.counts}:
                    self._made.append((p, before))
                    self.optimizer.prepare(p, settings.options)
            first = kept[parameters[0]]
            counts = [first[name] for name in cohort.counts]
            self._after.append([*cohort.program.begin(settings, counts)])

    def undo(self) -> None:
        for p, before in self._made:
            if before is None:
                self.optimizer.state.pop(p, None)
            else:
                self.optimizer.state[p] = before

    def finish(self, results: Sequence[Array]) -> Tensor | None:
        for tensor, array in zip(self._next, results[-len(self._next) :], strict=True):
            np.copyto(tensor._data, array)
        self._count()
        touch(*self.parameters.values(), *self.buffers)
        return around(results[0]) if self._clips else None

    def _count(self) -> None:
        """Gives the optimizer the numbers that follow."""
        kept = self.optimizer.state
        for (cohort, parameters, _), numbers in zip(self._cohorts, self._after, strict=True):
            new = dict(zip(cohort.counts, numbers, strict=True))
            for p in parameters if new else ():
                kept[p].update(new)

    def rehearse(self, results: Sequence[Array]) -> None:
        if not self._scratch:
            self._scratch = [np.empty_like(tensor._data) for tensor in self._next]
        for copy, array in zip(self._scratch, results[-len(self._scratch) :], strict=True):
            np.copyto(copy, array)

    def forget(self) -> None:
        super().forget()
        self._scratch = []


class OnDevice(ByGraph):
    """The graph computes the next state, which stays on its device until somebody reads it.

    Args:
        model, optimizer, cohorts, state, clips: those of `ByGraph`.
        memory: the state's memory on the device.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        cohorts: Sequence[Cohort],
        state: State,
        clips: bool,
        memory: Memory,
    ) -> None:
        super().__init__(model, optimizer, cohorts, state, clips)
        self._memory = memory

    def runner(self, session: Session, parameters: Mapping[str, Tensor]) -> Resident:
        # The copies keep no array: one that somebody else has would come back from the device after each step.
        for copy in (*self._copies, *[copy for copy, _, _ in self._slots]):
            copy._data = np.broadcast_to(np.zeros((), copy.dtype), copy.shape)
        return Resident(session, self._memory, parameters, self._owners)

    def _owners(self) -> dict[str, Tensor]:
        """Returns the tensors that hold the parts of the state now, by name."""
        kept, slots = self.optimizer.state, {}
        for cohort, parameters, _ in self._cohorts:
            for key, p in zip(cohort.keys, parameters, strict=True):
                slots.update({f"{slot}.{key}": kept[p][slot] for slot in cohort.slots})
        buffers = dict(zip(self.state.names("buffer"), self.buffers, strict=True))
        return {**self.parameters, **slots, **buffers}

    def begin(self) -> None:
        self._made, self._after = [], []
        for tensor in (*self.parameters.values(), *self.buffers):
            if not (tensor._is_away() or tensor._data.flags.writeable):
                raise _read_only(tensor)
        self._prepare()

    def finish(self, results: Sequence[Array]) -> Tensor | None:
        self._count()
        return around(results[0]) if self._clips else None

    def rehearse(self, results: Sequence[Array]) -> None:
        """Does nothing: it is timed against nothing."""


class ByOptimizer(Update):
    """The graph computes the gradients, and the optimizer updates the parameters with NumPy.

    Args:
        model, optimizer: those that are trained.
        state: the parameters that have gradients, which are the last results, and the buffers.
        clip: the largest norm of all gradients, and the largest magnitude of an element; each may be None.
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, state: State, clip: tuple[float | None, float | None]
    ) -> None:
        super().__init__(model, optimizer, state)
        self._clip = clip
        self._twin: Optimizer | None = None

    def undo(self) -> None:
        """Does nothing: no optimizer state is made before the update."""

    def finish(self, results: Sequence[Array]) -> Tensor | None:
        owned = [p for group in self.optimizer.param_groups for p in group["params"]]
        before = [p.grad for p in owned]
        try:
            for p in owned:
                p.grad = None
            norm = self._step(self.optimizer, list(self.parameters.values()), results)
        finally:
            for p, g in zip(owned, before, strict=True):
                p.grad = g
        for buffer, array in zip(self.buffers, results, strict=False):
            buffer._assign(array)
        return norm

    def _step(self, optimizer: Optimizer, parameters: Sequence[Tensor], results: Sequence[Array]) -> Tensor | None:
        for p, g in zip(parameters, results[-len(parameters) :], strict=True):
            p.grad = around(g)
        most, limit = self._clip
        norm = None if most is None else clip_grad_norm_(parameters, most)
        if limit is not None:
            clip_grad_value_(parameters, limit)
        optimizer.step()
        return norm

    def rehearse(self, results: Sequence[Array]) -> None:
        if self._twin is None:
            self._twin = deepcopy(self.optimizer)
        places = {p: i for i, p in enumerate(p for group in self.optimizer.param_groups for p in group["params"])}
        copies = [p for group in self._twin.param_groups for p in group["params"]]
        self._step(self._twin, [copies[places[p]] for p in self.parameters.values()], results)

    def forget(self) -> None:
        super().forget()
        self._twin = None


def _read_only(tensor: Tensor) -> ValueError:
    return ValueError(f"compile: an array of shape {tensor.shape} that a step changes is read-only")
