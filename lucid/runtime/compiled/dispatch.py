"""Which export of a module serves which shapes: what compiled modules of all kinds share."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ...errors import ExportError, GradientError
from ...export.to_onnx import left_as_it_was, to_onnx
from ...nn.module import Module
from ...proof.axes import prove_at
from ...proof.example import Example
from ...tensor import Tensor
from ...tracer.mode import Mode
from ...tracer.trace import input_names
from ...tracer.tree import Structure, flatten, unflatten
from ..session.device import Device, find_device
from ..session.spec import as_array, evaluate
from .autotune import fastest
from .candidate import Runner
from .flattened import Flat, is_tensor, key_of
from .guards import Snapshot
from .parts import Shapes

__all__ = ["Choosing"]

Array = np.ndarray[Any, Any]

_EXPORTS = 8
"""How often one way of calling a model is exported for shapes that no earlier export takes."""

_KEPT = 64
"""For how many shapes the session is remembered."""

_UNROLLED = 8
"""The most time steps that unrolling is tried for: each number of them needs an export of its own."""

_COLUMNS = 16
"""From how many sequences in a part on they are tried as columns: onnxruntime's products treat that many at a time."""

_LARGE = 1 << 16
"""From how many elements of the inputs on a model is exported at small sizes, which are guessed or found by another
export; up to so many, a batch that can be cut is tried as a whole on one core, too."""


class Choosing(ABC):
    """A module of which exports run in onnxruntime, chosen by the shapes of the inputs.

    Attributes:
        model: the eager model.
        device: where it runs.
    """

    trains = False
    """Whether parameters may change from call to call."""

    def __init__(self, model: Module, device: str | Device, threads: int | None) -> None:
        if not isinstance(model, Module):
            raise TypeError(
                f"{self.name}: expected a Module, whose parameters can be watched for changes; got "
                f"{type(model).__name__}"
            )
        self.model = model
        self.device = find_device(device)
        self._asked = device
        self._threads = threads
        self._lock = threading.RLock()
        self._state = State(Snapshot(model, self.trains), {}, {})
        # Outlives a change of parameters, of which none of it depends.
        self._known: dict[Any, _Known] = {}

    @property
    @abstractmethod
    def name(self) -> str:
        """The function that makes it, for messages."""

    @abstractmethod
    def flat(self, structure: Structure) -> Flat:
        """What is exported, for arguments that nest like this."""

    @property
    def lowerings(self) -> dict[Shapes, str]:
        """The lowering that serves the shapes of the inputs seen last."""
        return {shapes: runner.lowering for runner, shapes in self._state.served.values()}

    def _current(self) -> State:
        """The model as it is, and what was exported of it."""
        if not self._state.snapshot.holds():
            self._state = State(Snapshot(self.model, self.trains), {}, {})
        return self._state

    def _find(
        self, state: State, mode: Mode, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Runner, list[Array], Shapes]:
        """What serves such arguments, the arrays in them and their shapes."""
        structure = None
        leaves: Sequence[Tensor] = (*args, *kwargs.values()) if kwargs else args
        # Of tensors, by position or by name, the usual call, the structure need not be asked for. Loops, and no
        # comprehensions: all of this stands before each call.
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                leaves, structure = flatten((args, kwargs), is_tensor)
                break
        arrays: list[Array] = []
        key: list[Any] = []
        for leaf in leaves:
            if leaf._requires_grad and mode.grad:
                raise GradientError(
                    f"{self.name}: an input requires gradients, which onnxruntime does not record; call under "
                    "lucid.no_grad(), pass x.detach(), or use the eager model"
                )
            array = leaf._data
            arrays.append(array)
            key.append(array.shape)
            key.append(array.dtype)
        if structure is not None:
            key.append(key_of(structure))
        elif kwargs:
            key.append(tuple(kwargs))
        found = state.served.get(tuple(key))
        if found is None:
            if not leaves:
                raise TypeError(f"{self.name}: there is no Tensor among the arguments, so nothing to run the model on")
            with self._lock:
                found = self._serve(state, structure or flatten((args, kwargs), is_tensor)[1], arrays)
                while len(state.served) >= _KEPT:
                    state.served.pop(next(iter(state.served)))
                state.served[tuple(key)] = found
        return found[0], arrays, found[1]

    def _serve(self, state: State, structure: Structure, arrays: Sequence[Array]) -> tuple[Runner, Shapes]:
        """What serves arguments that nest like this, with these arrays in them, and the shapes of the arrays."""
        key = key_of(structure), tuple([(array.dtype, array.ndim) for array in arrays])
        way = state.ways.get(key)
        if way is None:
            way = state.ways[key] = _Way(self, structure, self._known.setdefault(key, _Known()))
        shapes = tuple([array.shape for array in arrays])
        in_use = [runner for runner, _ in state.served.values()]
        return way.runner(arrays, shapes, in_use), shapes

    def __repr__(self) -> str:
        return f"{type(self).__name__} on {self.device}: {self.model!r}"


class State(NamedTuple):
    """What was exported of a model as it was at some time; one thing, so that no thread sees the exports of one time
    with the values of another.

    Attributes:
        snapshot: the model.
        ways: by how arguments nest, and dtype and number of axes of each array.
        served: what serves the arguments seen last, and the shapes of the arrays in them: by shape and dtype of each
            array, and the names of those given by name, or how they nest.
    """

    snapshot: Snapshot
    ways: dict[Any, _Way]
    served: dict[tuple[Any, ...], tuple[Runner, Shapes]]


class _Known:
    """What was found out about one way to call a model.

    Attributes:
        fastest: for each class of shapes the fastest lowering, over how many threads, and in how many parts.
        example: inputs that are small along all free axes, so that an export takes little time.
    """

    def __init__(self) -> None:
        self.fastest: dict[Any, tuple[str, int | None, int]] = {}
        self.example: list[Array] | None = None


class _Way:
    """One way to call a model: arguments that nest alike, with tensors of the same dtypes and numbers of axes."""

    def __init__(self, compiled: Choosing, structure: Structure, known: _Known) -> None:
        self.compiled = compiled
        self.structure = structure
        self.known = known
        self._made: list[Runner] = []
        self._proved: set[Any] = set()

    def runner(self, arrays: Sequence[Array], shapes: Shapes, in_use: Sequence[Runner]) -> Runner:
        """What serves these inputs; chosen, and exported, if need be. Runners in use stay with those chosen before."""
        kind = tuple([tuple([n if n <= _UNROLLED else 1 << (n - 1).bit_length() for n in shape]) for shape in shapes])
        known = self.known.fastest.get(kind)
        if known is None:
            runner = self._choose(arrays, shapes, in_use)
            self.known.fastest[kind] = runner.lowering, runner.threads, runner.parts
        else:
            runner = self._made_for(*known, arrays, shapes)
        # Once for shapes that are much alike.
        if kind not in self._proved:
            self._prove_at(runner, shapes)
            self._proved.add(kind)
        return runner

    def _choose(self, arrays: Sequence[Array], shapes: Shapes, in_use: Sequence[Runner]) -> Runner:
        """The fastest way to run on these inputs, of those that the model can be exported for."""
        threads = self.compiled._threads
        first = self._made_for("scan", threads, 1, arrays, shapes)
        for array, spec in zip(arrays, first.session.inputs, strict=False):
            as_array(array, spec)  # refused here, if it has another dtype: runners do not look
        recurrence = first.session.recurrence
        if not recurrence.states:
            return first
        sizes = first.session.check(shapes + first._shapes)
        steps = [evaluate(n, sizes) for n in recurrence.time]
        short = bool(steps) and all(n is not None and n <= _UNROLLED for n in steps)
        runners = [first]
        for lowering in ("rnn", "unrolled") if short else ("rnn",):
            # Such as the RNN operator in float64: this lowering is not for this model.
            with suppress(ExportError):
                runners.append(self._made_for(lowering, threads, 1, arrays, shapes))
        separation = first.exported.separation
        batch = 0 if separation is None else sizes[separation.symbol]
        parts = self._parts(first, batch, sum(array.size for array in arrays) <= _LARGE)
        runners += [self._made_for(runner.lowering, 1, n, arrays, shapes) for n in parts for runner in runners]
        if self.compiled.trains and "lstm" in first.exported.recurrent:
            runners += [self._made_for("columns", 1, n, arrays, shapes) for n in parts if batch // n >= _COLUMNS]
        # A choice for a training run may take a second.
        best = fastest(runners, arrays, shapes, 3 if self.compiled.trains else 2)
        # A session has its own copy of the weights, if they are constants, and its own threads.
        self._made = [r for r in self._made if r.threads == threads or r is best or r in in_use]
        return best

    def _parts(self, first: Runner, batch: int, small: bool) -> list[int]:
        """Into how many parts, of one thread each, a batch, 0 if it cannot be cut, is cut on trial; whether it is small
        says the size of the inputs."""
        cores = self.compiled._threads or _cores()
        if cores < 2 or first.session.device.kind != "cpu":
            return []
        # Of two threads that share a core one may do the work of both.
        found = {n for n in (min(cores, batch), min(cores // 2, batch)) if n > 1}
        if not found and self.compiled.trains and self.compiled._threads is None:
            # The products of a whole sequence wake up threads that are in the way of the small ones of a step.
            return [1]
        if found and small:
            found.add(1)  # to hand a part over to another core may take longer than to compute it
        return sorted(found)

    def _made_for(
        self, lowering: str, threads: int | None, parts: int, arrays: Sequence[Array], shapes: Shapes
    ) -> Runner:
        found = [runner for runner in self._made if runner.lowering == lowering and runner.takes(shapes)]
        for runner in found:
            if (runner.threads, runner.parts) == (threads, parts):
                return runner
        if found:
            known = found[0]
            self._made.append(Runner(known.exported, known.session.device, threads, parts, lowering, known.flat))
            return self._made[-1]
        runner = self._exported(lowering, threads, parts, arrays, shapes)
        made = [r for r in self._made if (r.lowering, r.threads, r.parts) == (lowering, threads, parts)]
        if len(made) >= _EXPORTS and lowering != "unrolled":
            reasons = [
                f"axis {axis} of {name}: {why}"
                for name, axes in runner.exported.fixed.items()
                for axis, why in axes.items()
            ]
            raise ExportError(
                f"{self.compiled.name}: {_EXPORTS} exports of {type(self.compiled.model).__name__} take other shapes "
                f"than {list(shapes)}, since axes of them are fixed: {'; '.join(reasons)}"
            )
        if len(made) >= _EXPORTS:
            self._made.remove(made[0])
        self._made.append(runner)
        return runner

    def _exported(
        self, lowering: str, threads: int | None, parts: int, arrays: Sequence[Array], shapes: Shapes
    ) -> Runner:
        known = self.known
        large = known.example is None and sum(array.size for array in arrays) > _LARGE
        if large:
            known.example = _small(arrays)
        if known.example is not None and lowering != "unrolled":
            with suppress(Exception):  # the model may not take them, or not any more if it has changed
                runner = self._export(lowering, threads, parts, known.example)
                if runner.takes(shapes):
                    if large:
                        self._prove_at(runner, shapes)
                    return runner
        # To prove and to verify means to run the model at several sizes, one of them twice as large along each axis.
        runner = self._export(lowering, threads, parts, arrays, verify=not large)
        if runner.session.recurrence.lengths:  # cut off, they would count steps that are not there
            return self._export(lowering, threads, parts, arrays) if large else runner
        sizes: dict[Any, int] = {symbol: 3 + i for i, symbol in enumerate(runner.session.axes)}
        known.example = [
            # An axis that is not free keeps its size: slice(None) is all of it.
            np.ascontiguousarray(array[tuple([slice(sizes.get(n)) for n in spec.shape])])
            for array, spec in zip(arrays, runner.session.inputs, strict=False)
        ]
        return self._exported(lowering, threads, parts, arrays, shapes) if large else runner

    def _prove_at(self, runner: Runner, shapes: Shapes) -> None:
        """Check that the model does at these shapes what was exported, maybe at others."""
        if shapes in self._proved:
            return
        compiled, exported, flat = self.compiled, runner.exported, runner.flat
        example = Example(flat, tuple([Tensor(array) for array in flat.example]), {})
        example.rename(exported.input_names[: len(shapes)])
        sizes = runner.session.check(shapes + runner._shapes)
        with left_as_it_was(compiled.model, evaluation=not compiled.trains):
            try:
                prove_at(flat, example, exported.axes, sizes)
            except ExportError as error:
                flat.keep_first()
                raise ExportError(
                    f"{compiled.name}: at shapes {list(shapes)} {type(compiled.model).__name__} does not do what was "
                    f"exported at {[array.shape for array in flat.example]}: {error}"
                ) from error
        self._check_results(flat)
        self._proved.add(shapes)

    def _export(
        self, lowering: Any, threads: int | None, parts: int, arrays: Sequence[Array], verify: bool = True
    ) -> Runner:
        compiled = self.compiled
        tensors = [Tensor(array) for array in arrays]
        args, kwargs = unflatten(self.structure, iter(tensors))
        names = input_names(compiled.model, args, kwargs)
        flat = compiled.flat(self.structure)
        flat.example = list(arrays)
        exported = to_onnx(
            flat, *tensors, input_names=names, lowering=lowering, trainable=compiled.trains, verify=verify
        )
        runner = Runner(exported, compiled._asked, threads, parts, lowering, flat)
        compiled.device = runner.session.device
        self._check_results(flat)
        return runner

    def _check_results(self, flat: Flat) -> None:
        """Check that what the model returned always nested alike."""
        if flat.keep_first():
            raise ExportError(
                f"{self.compiled.name}: {type(self.compiled.model).__name__} returns something beside Tensors that "
                "depends on the shapes of its inputs; return Tensors alone, or what is always the same"
            )


def _small(arrays: Sequence[Array]) -> list[Array]:
    """The first few elements along all axes but the last, of features: where that is a guess which axes are free, the
    export at these sizes does not take the whole ones."""
    sizes: dict[int, int] = {}
    found = []
    for array in arrays:
        kept = [sizes.setdefault(n, 3 + len(sizes)) for n in array.shape[: max(1, array.ndim - 1)]]
        found.append(np.ascontiguousarray(array[tuple([slice(n) for n in kept])]))
    return found


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
