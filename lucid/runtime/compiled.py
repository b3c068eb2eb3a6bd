"""compile: a module that runs in onnxruntime."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import ExportError, GradientError, LucidError, ShapeError
from ..export.exported import Exported
from ..export.to_onnx import to_onnx
from ..nn.module import Module
from ..tensor import Tensor
from ..tracer.mode import MODE
from ..tracer.trace import input_names
from ..tracer.tree import Structure, flatten, unflatten
from .device import Device, find_device
from .session import Session
from .snapshot import Snapshot
from .spec import Shape, as_array, evaluate

__all__ = ["Compiled", "compile"]

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

_SETTLE = 0.06
"""After how many seconds the threads of a session are at rest: they spin for a while, waiting for more to do."""

_GAIN = 0.85
"""The part of the time that one thread must get by with to be preferred: that others keep a core busy may pass."""


def compile(model: Module, device: str = "cpu", *, threads: int | None = None) -> Compiled:
    """A drop-in for a model in evaluation mode that runs in onnxruntime.

    It is exported when first called, with every axis free that can be, and compared with the eager model; and again
    when a parameter, a buffer, a submodule or a plain attribute changed. For each class of shapes, sizes being alike up
    to the next power of two, the lowerings of recurrent layers are timed once, each spread over threads and on one, and
    the fastest serves from then on. Results record no gradients.

    Args:
        model: a Module.
        device: "cpu", "cuda", "cuda:1" and so on, or "auto".
        threads: over how many threads an operator is spread; if None, one or as many as onnxruntime takes by itself,
            whichever is faster.

    Raises:
        TypeError: it is no Module.
        RuntimeUnavailableError: there is no such device.
        LucidError: at the call, the model is in training mode.
        ExportError: at the call, the model cannot be exported; it never runs otherwise than in onnxruntime.
        GradientError: at the call, an input requires gradients.

    Example:
        >>> rnn = nn.RNN(3, 4).eval()
        >>> fast = lucid.compile(rnn)
        >>> x = lucid.randn(7, 2, 3)
        >>> output, h_n = fast(x)
        >>> bool(np.allclose(output, rnn(x)[0].detach(), atol=1e-6))
        True
    """
    if not isinstance(model, Module):
        raise TypeError(
            f"compile: expected a Module, whose parameters can be watched for changes; got {type(model).__name__}"
        )
    return Compiled(model, device, threads)


class Compiled:
    """A model that runs in onnxruntime; made by `compile`. What it lacks itself, such as `state_dict`, is the model's.

    Attributes:
        model: the eager model.
        device: where it runs.
    """

    def __init__(self, model: Module, device: str | Device, threads: int | None) -> None:
        self.model = model
        self.device = find_device(device)
        self._asked = device
        self._threads = threads
        self._lock = threading.RLock()
        # Together, so that another thread never sees the exports of one with the values of the other.
        self._state: tuple[Snapshot, dict[Any, _Way]] = (Snapshot(model), {})
        # Outlives a change of parameters, of which none of it depends.
        self._known: dict[Any, _Known] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns for such arguments, computed in onnxruntime.

        Inside of a trace or an export it is the model itself.
        """
        mode = MODE.get()
        if mode.trace is not None:
            return self.model(*args, **kwargs)
        snapshot, ways = self._state
        if not snapshot.holds():
            self._state = snapshot, ways = Snapshot(self.model), {}
        if (module := snapshot.training()) is not None:
            name = type(self.model).__name__
            part = "" if module is self.model else f"a {type(module).__name__} in "
            raise LucidError(f"compile: {part}{name} is in training mode; call eval() on the model first")
        structure = None
        leaves: Sequence[Tensor] = args
        if kwargs or not all(isinstance(arg, Tensor) for arg in args):
            leaves, structure = flatten((args, kwargs), _is_tensor)
        if mode.grad and any(leaf._requires_grad for leaf in leaves):
            raise GradientError(
                "compile: an input requires gradients, which onnxruntime does not record; call under lucid.no_grad(), "
                "pass x.detach(), or use the eager model"
            )
        # Of a row of tensors, the usual call, the structure need not be asked for.
        key = structure and _key(structure), tuple([(leaf._data.dtype, leaf._data.ndim) for leaf in leaves])
        if not leaves:
            raise TypeError("compile: there is no Tensor among the arguments, so nothing to run the model on")
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
        return runner(arrays, shapes)

    @property
    def lowerings(self) -> dict[Shapes, str]:
        """The lowering that serves the shapes of the inputs seen last."""
        return {shapes: runner.lowering for way in self._state[1].values() for shapes, runner in way.runners.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["model"], name)

    def __repr__(self) -> str:
        return f"Compiled on {self.device}: {self.model!r}"


class _Runner:
    """An export in a session, and how its outputs nest.

    Attributes:
        lowering: how recurrent layers were lowered.
        alone: whether the session has one thread, though it may have more.
    """

    def __init__(
        self, exported: Exported, session: Session, lowering: str, structure: Structure, alone: bool = False
    ) -> None:
        self.exported = exported
        self.session = session
        self.lowering = lowering
        self.structure = structure
        self.alone = alone

    def __call__(self, arrays: Sequence[Array], shapes: Shapes) -> Any:
        return unflatten(self.structure, iter([Tensor(array) for array in self.session.run(arrays, shapes)]))

    def on_one_thread(self) -> _Runner:
        """The same export in a session that spreads nothing."""
        session = Session(self.exported, self.session.device, threads=1)
        return _Runner(self.exported, session, self.lowering, self.structure, alone=True)

    def takes(self, shapes: Shapes) -> bool:
        """Whether the session takes inputs of such shapes."""
        try:
            self.session.check(shapes)
        except ShapeError:
            return False
        return True

    def seconds(self, arrays: Sequence[Array], shapes: Shapes) -> float:
        """How long a call takes, at best."""
        for _ in range(2):  # the first two calls make the buffers
            self.session.run(arrays, shapes)
        best, end = float("inf"), time.perf_counter() + _TURN
        while True:
            begin = time.perf_counter()
            self.session.run(arrays, shapes)
            now = time.perf_counter()
            best = min(best, now - begin)
            if now > end:
                return best


def _fastest(runners: Sequence[_Runner], arrays: Sequence[Array], shapes: Shapes) -> _Runner:
    """Which of them takes the least time."""
    if len(runners) == 1:
        return runners[0]
    # First those without threads. The threads of one session, that still spin, slow down another several times.
    taken = {}
    for runner in sorted(runners, key=lambda runner: not runner.alone):
        if not runner.alone:
            time.sleep(_SETTLE)
        taken[runner] = runner.seconds(arrays, shapes) / (_GAIN if runner.alone else 1)
    return min(taken, key=taken.__getitem__)


class _Known:
    """What was found out about one way to call a model.

    Attributes:
        fastest: for each class of shapes the fastest lowering, and whether it is faster on one thread.
        example: inputs that are small along all free axes, so that an export takes little time.
    """

    def __init__(self) -> None:
        self.fastest: dict[Any, tuple[str, bool]] = {}
        self.example: list[Array] | None = None


class _Way:
    """One way to call a model: arguments that nest alike, with tensors of the same dtypes and numbers of axes.

    Attributes:
        runners: what serves each shape of the inputs.
    """

    def __init__(self, compiled: Compiled, structure: Structure, known: _Known) -> None:
        self.compiled = compiled
        self.structure = structure
        self.known = known
        self.runners: dict[Shapes, _Runner] = {}
        self._made: list[_Runner] = []

    def runner(self, arrays: Sequence[Array], shapes: Shapes) -> _Runner:
        """What serves these inputs; chosen, and exported, if need be."""
        kind = tuple([tuple([n if n <= _UNROLLED else 1 << (n - 1).bit_length() for n in shape]) for shape in shapes])
        fastest = self.known.fastest.get(kind)
        if fastest is None:
            runner = self._choose(arrays, shapes)
            self.known.fastest[kind] = runner.lowering, runner.alone
        else:
            runner = self._made_for(*fastest, arrays, shapes)
        while len(self.runners) >= _KEPT:
            self.runners.pop(next(iter(self.runners)))
        self.runners[shapes] = runner
        return runner

    def _choose(self, arrays: Sequence[Array], shapes: Shapes) -> _Runner:
        """The fastest lowering for these inputs, of those that the model can be exported with.

        Each is tried on one thread, too: a step of a loop is often so small that to spread it takes longer than to run
        it.
        """
        first = self._made_for("scan", False, arrays, shapes)
        for array, spec in zip(arrays, first.session.inputs, strict=True):
            as_array(array, spec)  # refused here, if it has another dtype: runners do not look
        recurrence = first.session.recurrence
        if not recurrence.states:
            return first
        sizes = first.session.check(shapes)
        steps = [evaluate(n, sizes) for n in recurrence.time]
        short = bool(steps) and all(n is not None and n <= _UNROLLED for n in steps)
        runners = [first]
        for lowering in ("rnn", "unrolled") if short else ("rnn",):
            try:
                runner = self._made_for(lowering, False, arrays, shapes)
            except ExportError:  # such as the RNN operator in float64: this lowering is not for this model
                continue
            if not _drops_nan(runner.exported):
                runners.append(runner)
        if self.compiled._threads is None and first.session.device.kind == "cpu" and (os.cpu_count() or 1) > 1:
            runners += [self._made_for(runner.lowering, True, arrays, shapes) for runner in runners]
        fastest = _fastest(runners, arrays, shapes)
        # A session has its own copy of the weights.
        self._made = [r for r in self._made if not r.alone or r is fastest or r in self.runners.values()]
        return fastest

    def _made_for(self, lowering: str, alone: bool, arrays: Sequence[Array], shapes: Shapes) -> _Runner:
        for runner in self._made:
            if (runner.lowering, runner.alone) == (lowering, alone) and runner.takes(shapes):
                return runner
        if alone:
            runner = self._made_for(lowering, False, arrays, shapes).on_one_thread()
            self._made.append(runner)
            return runner
        runner = self._exported(lowering, arrays, shapes)
        made = [other for other in self._made if other.lowering == lowering and not other.alone]
        if len(made) >= _EXPORTS and lowering != "unrolled":
            reasons = [
                f"axis {axis} of {name}: {why}"
                for name, axes in runner.exported.fixed.items()
                for axis, why in axes.items()
            ]
            raise ExportError(
                f"compile: {_EXPORTS} exports of {type(self.compiled.model).__name__} take other shapes than "
                f"{list(shapes)}, since axes of them are fixed: {'; '.join(reasons)}"
            )
        if len(made) >= _EXPORTS:
            self._made.remove(made[0])
        self._made.append(runner)
        return runner

    def _exported(self, lowering: str, arrays: Sequence[Array], shapes: Shapes) -> _Runner:
        known = self.known
        if known.example is not None and lowering != "unrolled":
            with suppress(Exception):  # the model may have changed so that it does not take them any more
                runner = self._export(lowering, known.example)
                if runner.takes(shapes):
                    return runner
        runner = self._export(lowering, arrays)
        if not runner.session.recurrence.lengths:
            sizes: dict[Any, int] = {symbol: 3 + i for i, symbol in enumerate(runner.session.axes)}
            known.example = [
                # An axis that is not free keeps its size: slice(None) is all of it.
                np.ascontiguousarray(array[tuple([slice(sizes.get(n)) for n in spec.shape])])
                for array, spec in zip(arrays, runner.session.inputs, strict=True)
            ]
        return runner

    def _export(self, lowering: Any, arrays: Sequence[Array]) -> _Runner:
        tensors = [Tensor(array) for array in arrays]
        args, kwargs = unflatten(self.structure, iter(tensors))
        names = input_names(self.compiled.model, args, kwargs)
        flat = _Flat(self.compiled.model, self.structure)
        exported = to_onnx(flat, *tensors, input_names=names, lowering=lowering)
        session = Session(exported, self.compiled._asked, threads=self.compiled._threads)
        self.compiled.device = session.device
        if len(flat.results) > 1:
            raise ExportError(
                f"compile: {type(self.compiled.model).__name__} returns something beside Tensors that depends on the "
                "shapes of its inputs; return Tensors alone, or what is always the same"
            )
        return _Runner(exported, session, lowering, next(iter(flat.results.values())))


class _Flat(Module):
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
        leaves, structure = flatten(self.model(*args, **kwargs), _is_tensor)
        self.results[_key(structure)] = structure
        return tuple(leaves)


def _key(structure: Structure) -> Any:
    """Something hashable that tells structures apart, constants of equal value but different type too."""
    kind, rest, parts = structure
    try:
        hash(rest)
    except TypeError:
        raise TypeError(
            f"compile: arguments and results must be Tensors, nested in tuples, lists or dicts, or plain constants; "
            f"got {type(rest).__name__}"
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
