"""CompiledStep: training steps of a live model in onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import is_
from typing import Any

import numpy as np

from ...devices import device as Place
from ...errors import ExportError, GradientError, LucidError
from ...export.exported import Exported
from ...export.lowering.plan import SEED
from ...export.names import Names
from ...export.training.live import Gradients, Whole, cohorts_of, export_live, parts_of_model, touched
from ...export.training.program import Program, batch_names, parts_of
from ...export.training.state import State, check_owned
from ...nn.guards import Guards
from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...proof.example import Example
from ...tensor import Tensor, around
from ...tracer.mode import MODE
from ...tracer.tree import Structure, unflatten
from ..session.device import holds_memory
from ..session.session import Session
from .candidate import Candidate, Way
from .dispatch import Signature, Tuned
from .facts import of_function, of_optimizer
from .flattened import Flattened
from .live import ByGraph, ByOptimizer, Current, OnDevice, Update
from .module import Cache, CompiledModule
from .parts import Shapes
from .resident import Memory, Resident

__all__ = ["CompiledStep"]

Array = np.ndarray[Any, Any]


class CompiledStep(CompiledModule):
    """A training step that runs in onnxruntime; made by `compile` with a loss and an optimizer.

    Attributes:
        model: the model, which each call trains.
        optimizer: its optimizer, which keeps the state.
        loss: the loss, a function of the model and a batch.
        device: the device that it runs on.
    """

    name = "compile"
    trains = True

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Any],
        optimizer: Optimizer,
        clip: tuple[float | None, float | None],
        device: str | Place,
        threads: int | None,
        cache: str | os.PathLike[str] | None,
    ) -> None:
        self.loss = loss
        self.optimizer = optimizer
        self.clip = clip
        # The keys of the buffers that steps change; the others are constants of the graph.
        self.moving: list[str] = []
        # The parts of the state that are on the device.
        self.memory: Memory | None = None
        super().__init__(model, device, threads, cache)

    @property
    def _resides(self) -> bool:
        """Whether the state stays on the device from step to step."""
        return holds_memory(self.device)

    def signature(self, structure: Structure, known: Tuned) -> Signature:
        return _Signature(self, structure, known)

    def flat(self, structure: Structure) -> _Loss:
        return _Loss(self.loss, structure, self.clip[0] is not None)

    def _facts(self) -> dict[str, Any]:
        return {
            **super()._facts(),
            "loss": of_function(self.loss),
            "optimizer": of_optimizer(self.optimizer),
            "clip": [limit is not None for limit in self.clip],
        }

    def _empty(self) -> Cache:
        guards = _Guards(self.model, self.loss, self.optimizer)
        guards.release(self._buffers())
        return Cache(guards, {}, {}, {})

    def _buffers(self) -> list[Tensor]:
        """Returns the buffers that steps change."""
        return [buffer for key, buffer in self.model.named_buffers() if key in self.moving]

    def __call__(self, *batch: Any, **named: Any) -> Any:
        """Takes a step, and returns what the loss returned, without gradients.

        Args:
            batch: the loss's arguments after the model.
            named: further ones by name.

        Returns:
            The loss; or the loss and the dict of metrics, with ``grad_norm`` where gradients are clipped by their norm.
        """
        with self._lock:
            return self._taken(*self._ready(batch, named, False))

    def _tune(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self._lock:
            self._ready(args, kwargs, True)

    def _ready(
        self, batch: tuple[Any, ...], named: dict[str, Any], whole: bool
    ) -> tuple[Candidate, list[Array], Shapes]:
        """Returns the candidate for a batch, its arrays and their shapes; makes the whole choice if `whole`."""
        mode = MODE.get()
        if mode.trace is not None:
            raise LucidError("compile: a training step changes parameters, which no trace records; call it outside")
        if not mode.grad:
            raise GradientError("compile: gradients are disabled here, by no_grad or the like")
        while True:
            cache = self._current()
            known, is_new = len(self.moving), not cache.signatures
            found = self._find(cache, mode, batch, named, whole)
            if not _update(found[0]).fits():
                cache.forget()
                found = self._find(cache, mode, batch, named, whole)
            if len(self.moving) == known:
                return found
            cache.guards.release(self._buffers())
            if is_new:
                return found
            self._cache = self._empty()  # in earlier exports the new ones are constants

    def _taken(self, candidate: Candidate, arrays: Sequence[Array], shapes: Shapes) -> Any:
        flat, update = candidate.flat, _update(candidate)
        assert isinstance(flat, _Loss)
        try:
            update.begin()
            results = (candidate.step if candidate.draws else candidate.run)(arrays, shapes)
        except BaseException:
            update.undo()
            raise
        count = flat.count
        norm = update.finish(results[count:])
        result = flat.returned(results[:count])
        if norm is not None and isinstance(result, tuple):
            result[1]["grad_norm"] = norm
        return result


class _Loss(Flattened):
    """The loss as a function of the model and the tensors of a batch.

    Attributes:
        clips: whether gradients are clipped by their norm, which is a metric then.
        count: the number of tensors that the loss returned: itself and the metrics.
        update: what a step does with the other results.
    """

    _notes = Flattened._notes | {"count", "update"}

    def __init__(self, loss: Callable[..., Any], structure: Structure, clips: bool) -> None:
        super().__init__(loss, structure)
        self.clips = clips
        self.count = 0
        self.update: Update

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        model, *batch = tensors
        args, kwargs = unflatten(self.structure, iter(batch))
        result = self.model(model, *args, **kwargs)
        loss, metrics = parts_of(result, "compile")
        if not loss.requires_grad:
            raise GradientError(
                f"compile: what the loss returns was not computed from any parameter of {type(model).__name__} that "
                "requires gradients"
            )
        if self.clips and "grad_norm" in metrics:
            raise ExportError("compile: a metric is named 'grad_norm', as that of clip_grad_norm; rename it")
        leaves = self.noted(loss if isinstance(result, Tensor) else (loss, metrics))
        # Metrics of any name: in the graph each has a name of its own.
        self.count = len(leaves)
        return leaves[0], {f"metric.{i}": leaf for i, leaf in enumerate(leaves[1:])}

    def runner(self, session: Session, parameters: Mapping[str, Tensor]) -> Resident | None:
        return self.update.runner(session, parameters)

    def rehearse(self, results: Sequence[Array]) -> None:
        self.update.rehearse(results[self.count :])


class _Signature(Signature):
    """One calling convention of a training step.

    The gradients are exported first, and timed with the optimizer's own update. If the fastest way does not split the
    batch, it is compared with one graph that also updates: an update is no sum over the parts of a batch.
    """

    compiled: CompiledStep

    def further(self, best: Way) -> list[Way]:
        return [best._replace(updates=True)] if best.parts == 1 and best.lowering != "numpy" else []

    def is_ahead(self, way: Way) -> bool:
        # On a device there is nothing to time: the other way carries all gradients and parameters along.
        return way.updates and self.compiled._resides

    def _settle(self, kept: Sequence[Candidate]) -> None:
        for candidate in self._made:
            _update(candidate).forget()
        super()._settle(kept)

    def made_for(self, way: Way, arrays: Sequence[Array], shapes: Shapes) -> Candidate:
        if way.updates:
            # An update may be none that a graph can compute, such as one in float64 or of a user's own optimizer.
            with suppress(ExportError):
                candidate = super().made_for(way, arrays, shapes)
                if _update(candidate).fits():
                    return candidate
        return super().made_for(way._replace(updates=False), arrays, shapes)

    def _traced(self, way: Way, arrays: Sequence[Array], verify: bool) -> tuple[Exported, Flattened]:
        step = self.compiled
        model, optimizer = step.model, step.optimizer
        check_owned("compile", model, optimizer)
        if not any(p.requires_grad for group in optimizer.param_groups for p in group["params"]):
            raise GradientError(
                f"compile: no parameter of {type(model).__name__} that the optimizer has requires gradients"
            )
        flat = step.flat(self.structure)
        flat.example = list(arrays)
        tensors = tuple([around(array) for array in arrays])
        found = touched(model, flat, optimizer, tensors)
        if not found.parameters:
            raise GradientError(
                f"compile: what the loss returns was not computed from any parameter of {type(model).__name__} that "
                "the optimizer has"
            )
        step.moving = [key for key, _ in model.named_buffers() if key in step.moving or key in found.buffers]
        program, update = self._program(way, flat, found.parameters)
        names = self._names(arrays, program.state)
        lowering: Any = way.exported
        exported = export_live(program, Example(program, tensors, {}, names), lowering, verify and not way.updates)
        flat.update = update
        return exported, flat

    def _program(self, way: Way, flat: _Loss, trained: list[str]) -> tuple[Program, Update]:
        step = self.compiled
        model, optimizer = step.model, step.optimizer
        entries = parts_of_model(model, trained, step.moving)
        if not way.updates:
            state = State(entries, ())
            return Gradients(model, flat, optimizer, state), ByOptimizer(model, optimizer, state, step.clip)
        cohorts, kept = cohorts_of(model, optimizer, trained)
        state = State({**entries, **kept}, ())
        clips = step.clip[0] is not None
        if step._resides:
            step.memory = step.memory or Memory(step.device)
            update: ByGraph = OnDevice(model, optimizer, cohorts, state, clips, step.memory)
        else:
            update = ByGraph(model, optimizer, cohorts, state, clips)
        return Whole(model, flat, optimizer, cohorts, state, step.clip), update

    def _names(self, arrays: Sequence[Array], state: State) -> list[str]:
        """Returns the names of the batch's tensors: those of the loss's arguments, other than names of the state."""
        args, kwargs = unflatten(self.structure, iter([around(array) for array in arrays]))
        names = Names([*state.entries, "loss", "grad_norm", SEED])
        return [names.fresh(name) for name in batch_names(self.compiled.loss, args, kwargs)]


def _update(candidate: Candidate) -> Update:
    """Returns what a step does with the results of a candidate."""
    assert isinstance(candidate.flat, _Loss)
    return candidate.flat.update


class _Guards(Guards):
    """The guards of a training step: of the model, the loss and the structure of the optimizer."""

    def __init__(self, model: Module, loss: Callable[..., Any], optimizer: Optimizer) -> None:
        super().__init__(model, True)
        if isinstance(loss, Module):
            self._watch(loss.modules(), True)
        else:
            self._watch_variables(loss)
        self._optimizer = optimizer
        self._groups = [
            (group, list(group["params"]), Current(optimizer, group), Current(optimizer, group).settings().fixed)
            for group in optimizer.param_groups
        ]

    def holds(self) -> bool:
        groups = self._optimizer.param_groups
        if len(groups) != len(self._groups):
            return False
        for group, (before, params, current, fixed) in zip(groups, self._groups, strict=True):
            now = group["params"]
            if group is not before or len(now) != len(params) or not all(map(is_, now, params)):
                return False
            if current.settings().fixed != fixed:
                return False
        return super().holds()
