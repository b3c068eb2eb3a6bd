"""Which export of a module serves which shapes: what compiled modules of all kinds share."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import ExportError, GradientError, ShapeError
from ..export.exported import Exported
from ..export.to_onnx import to_onnx
from ..nn.module import Module
from ..tensor import Tensor
from ..tracer.mode import Mode
from ..tracer.trace import input_names
from ..tracer.tree import Structure, flatten, unflatten
from .device import Device, find_device
from .session import Session
from .snapshot import Snapshot
from .spec import Shape, as_array, evaluate

__all__ = ["Choosing", "Flat", "Runner"]

Array = np.ndarray[Any, Any]
Shapes = tuple[Shape, ...]

_EXPORTS = 8
"""How often one way of calling a model is exported for shapes that no earlier export takes."""

_KEPT = 64
"""For how many shapes the session is remembered."""

_UNROLLED = 8
"""The most time steps that unrolling is tried for: each number of them needs an export of its own."""

_TURN = 0.01
"""For how many seconds each candidate is timed."""

_LARGE = 1 << 16
"""From how many elements of the inputs on a first export finds the free axes, and a second is verified, small."""

_SETTLE = 0.06
"""After how many seconds the threads of a session are at rest: they spin for a while, waiting for more to do."""


class Runner:
    """An export in a session.

    Attributes:
        lowering: how recurrent layers were lowered.
        threads: over how many threads the session spreads an operator; None for onnxruntime's own choice.
        flat: the function that was exported.
    """

    def __init__(
        self, exported: Exported, device: str | Device, threads: int | None, lowering: str, flat: Flat
    ) -> None:
        self.exported = exported
        # A training step makes arrays by the dozen of whole sequences, and several sessions would keep as many of them.
        self.session = Session(exported, device, threads=threads, arena=not exported.parameters)
        self.lowering = lowering
        self.threads = threads
        self.flat = flat
        self._parameters = tuple(exported.parameters.values())
        self._shapes = tuple([parameter.shape for parameter in self._parameters])

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """What the function gives for such inputs, and for its parameters as they are now."""
        if self._parameters:
            arrays = [*arrays, *[parameter._data for parameter in self._parameters]]
        return self.session.run(arrays, shapes + self._shapes)

    def takes(self, shapes: Shapes) -> bool:
        """Whether the session takes inputs of such shapes."""
        try:
            self.session.check(shapes + self._shapes)
        except ShapeError:
            return False
        return True

    def seconds(self, arrays: Sequence[Array], shapes: Shapes) -> float:
        """How long a call takes, at best."""
        for _ in range(2):  # the first two calls make the buffers
            self.run(arrays, shapes)
        best, end = float("inf"), time.perf_counter() + _TURN
        while True:
            begin = time.perf_counter()
            self.run(arrays, shapes)
            now = time.perf_counter()
            best = min(best, now - begin)
            if now > end:
                return best


def _fastest(runners: Sequence[Runner], arrays: Sequence[Array], shapes: Shapes, rounds: int) -> Runner:
    """Which of them takes the least time, each having its turn so many times."""
    if len(runners) == 1:
        return runners[0]
    taken = dict.fromkeys(runners, float("inf"))
    for _ in range(rounds):
        for runner in runners:
            # The threads of one session, that still spin, slow down another several times.
            time.sleep(_SETTLE)
            taken[runner] = min(taken[runner], runner.seconds(arrays, shapes))
    return min(taken, key=taken.__getitem__)


class Flat(Module):
    """A model as a function from a row of tensors to a row of tensors.

    Attributes:
        results: how what the model returned nests, once it was called; several if that was not always the same.
    """

    def __init__(self, model: Module, structure: Structure) -> None:
        super().__init__()
        self.model = model
        self.structure = structure
        self.results: dict[Any, Structure] = {}

    def forward(self, *tensors: Tensor) -> tuple[Any, ...]:
        args, kwargs = unflatten(self.structure, iter(tensors))
        return tuple(self.leaves(args, kwargs))

    def leaves(self, args: Any, kwargs: Any) -> list[Tensor]:
        """The tensors in what the model returns."""
        leaves, structure = flatten(self.model(*args, **kwargs), _is_tensor)
        self.results[_key(structure)] = structure
        return leaves

    @property
    def result(self) -> Structure:
        """How what the model returns nests."""
        return next(iter(self.results.values()))


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
        # Together, so that another thread never sees the exports of one with the values of the other.
        self._state: tuple[Snapshot, dict[Any, _Way]] = (Snapshot(model, self.trains), {})
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
        return {shapes: runner.lowering for way in self._state[1].values() for shapes, runner in way.runners.items()}

    def _snapshot(self) -> tuple[Snapshot, dict[Any, _Way]]:
        """The model as it is, and what was exported of it."""
        if not self._state[0].holds():
            self._state = Snapshot(self.model, self.trains), {}
        return self._state

    def _find(
        self, ways: dict[Any, _Way], mode: Mode, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Runner, list[Array], Shapes]:
        """What serves such arguments, the arrays in them and their shapes."""
        structure = None
        leaves: Sequence[Tensor] = args
        if kwargs or not all(isinstance(arg, Tensor) for arg in args):
            leaves, structure = flatten((args, kwargs), _is_tensor)
        if mode.grad and any(leaf._requires_grad for leaf in leaves):
            raise GradientError(
                f"{self.name}: an input requires gradients, which onnxruntime does not record; call under "
                "lucid.no_grad(), pass x.detach(), or use the eager model"
            )
        # Of a row of tensors, the usual call, the structure need not be asked for.
        key = structure and _key(structure), tuple([(leaf._data.dtype, leaf._data.ndim) for leaf in leaves])
        if not leaves:
            raise TypeError(f"{self.name}: there is no Tensor among the arguments, so nothing to run the model on")
        way = ways.get(key)
        if way is None:
            with self._lock:
                structure = structure or flatten((args, kwargs), _is_tensor)[1]
                way = ways.get(key) or _Way(self, structure, self._known.setdefault(key, _Known()))
                ways[key] = way
        arrays = [leaf._data for leaf in leaves]
        shapes = tuple([array.shape for array in arrays])
        runner = way.runners.get(shapes)
        if runner is None:
            with self._lock:
                runner = way.runner(arrays, shapes)
        return runner, arrays, shapes

    def __repr__(self) -> str:
        return f"{type(self).__name__} on {self.device}: {self.model!r}"


class _Known:
    """What was found out about one way to call a model.

    Attributes:
        fastest: for each class of shapes the fastest lowering, and over how many threads.
        example: inputs that are small along all free axes, so that an export takes little time.
    """

    def __init__(self) -> None:
        self.fastest: dict[Any, tuple[str, int | None]] = {}
        self.example: list[Array] | None = None


class _Way:
    """One way to call a model: arguments that nest alike, with tensors of the same dtypes and numbers of axes.

    Attributes:
        runners: what serves each shape of the inputs.
    """

    def __init__(self, compiled: Choosing, structure: Structure, known: _Known) -> None:
        self.compiled = compiled
        self.structure = structure
        self.known = known
        self.runners: dict[Shapes, Runner] = {}
        self._made: list[Runner] = []

    def runner(self, arrays: Sequence[Array], shapes: Shapes) -> Runner:
        """What serves these inputs; chosen, and exported, if need be."""
        kind = tuple([tuple([n if n <= _UNROLLED else 1 << (n - 1).bit_length() for n in shape]) for shape in shapes])
        fastest = self.known.fastest.get(kind)
        if fastest is None:
            runner = self._choose(arrays, shapes)
            self.known.fastest[kind] = runner.lowering, runner.threads
        else:
            runner = self._made_for(*fastest, arrays, shapes)
        while len(self.runners) >= _KEPT:
            self.runners.pop(next(iter(self.runners)))
        self.runners[shapes] = runner
        return runner

    def _choose(self, arrays: Sequence[Array], shapes: Shapes) -> Runner:
        """The fastest lowering for these inputs, of those that the model can be exported with."""
        threads = self.compiled._threads
        first = self._made_for("scan", threads, arrays, shapes)
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
            try:
                runner = self._made_for(lowering, threads, arrays, shapes)
            except ExportError:  # such as the RNN operator in float64: this lowering is not for this model
                continue
            if not _drops_nan(runner.exported):
                runners.append(runner)
        if self.compiled.trains and threads is None and first.session.device.kind == "cpu" and os.cpu_count() != 1:
            # The products of a whole sequence wake up threads that are in the way of the small ones of a step.
            runners += [self._made_for(runner.lowering, 1, arrays, shapes) for runner in runners]
        # A choice made for a training run may take a second, so that a slow moment of the machine decides nothing.
        fastest = _fastest(runners, arrays, shapes, 3 if self.compiled.trains else 1)
        # A session has its own copy of the weights, if they are constants, and its own threads.
        self._made = [r for r in self._made if r.threads == threads or r is fastest or r in self.runners.values()]
        return fastest

    def _made_for(self, lowering: str, threads: int | None, arrays: Sequence[Array], shapes: Shapes) -> Runner:
        found = [runner for runner in self._made if runner.lowering == lowering and runner.takes(shapes)]
        for runner in found:
            if runner.threads == threads:
                return runner
        if found:
            self._made.append(Runner(found[0].exported, found[0].session.device, threads, lowering, found[0].flat))
            return self._made[-1]
        runner = self._exported(lowering, threads, arrays, shapes)
        made = [other for other in self._made if (other.lowering, other.threads) == (lowering, threads)]
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

    def _exported(self, lowering: str, threads: int | None, arrays: Sequence[Array], shapes: Shapes) -> Runner:
        known = self.known
        if known.example is not None and lowering != "unrolled":
            with suppress(Exception):  # the model may have changed so that it does not take them any more
                runner = self._export(lowering, threads, known.example)
                if runner.takes(shapes):
                    return runner
        # To verify means to run the model at several sizes, one of them twice as large along each axis.
        large = known.example is None and sum(array.size for array in arrays) > _LARGE
        runner = self._export(lowering, threads, arrays, verify=not large)
        if runner.session.recurrence.lengths:  # cut off, they would count steps that are not there
            return self._export(lowering, threads, arrays) if large else runner
        sizes: dict[Any, int] = {symbol: 3 + i for i, symbol in enumerate(runner.session.axes)}
        known.example = [
            # An axis that is not free keeps its size: slice(None) is all of it.
            np.ascontiguousarray(array[tuple([slice(sizes.get(n)) for n in spec.shape])])
            for array, spec in zip(arrays, runner.session.inputs, strict=False)
        ]
        return self._exported(lowering, threads, arrays, shapes) if large else runner

    def _export(self, lowering: Any, threads: int | None, arrays: Sequence[Array], verify: bool = True) -> Runner:
        compiled = self.compiled
        tensors = [Tensor(array) for array in arrays]
        args, kwargs = unflatten(self.structure, iter(tensors))
        names = input_names(compiled.model, args, kwargs)
        flat = compiled.flat(self.structure)
        exported = to_onnx(
            flat, *tensors, input_names=names, lowering=lowering, trainable=compiled.trains, verify=verify
        )
        runner = Runner(exported, compiled._asked, threads, lowering, flat)
        compiled.device = runner.session.device
        if len(flat.results) > 1:
            raise ExportError(
                f"{compiled.name}: {type(compiled.model).__name__} returns something beside Tensors that depends on "
                "the shapes of its inputs; return Tensors alone, or what is always the same"
            )
        return runner


def _key(structure: Structure) -> Any:
    """Something hashable that tells structures apart, constants of equal value but different type too."""
    kind, rest, parts = structure
    try:
        hash(rest)
    except TypeError:
        raise TypeError(
            "compiled modules: arguments and results must be Tensors, nested in tuples, lists or dicts, or plain "
            f"constants; got {type(rest).__name__}"
        ) from None
    return kind, type(rest), rest, tuple([_key(part) for part in parts])


def _drops_nan(exported: Exported) -> bool:
    """Whether it has the RNN operator with Relu, in which onnxruntime turns NaN into 0."""
    return any(
        node.op_type == "RNN"
        and "activations" in node.attributes
        and "Relu" in node.attributes["activations"].as_strings()
        for node in exported.model.graph
    )


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)
