"""Dispatch: exports a module and selects a candidate for given shapes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ExportError
from ...export.exported import Exported
from ...export.to_onnx import export
from ...malloc import return_pages
from ...nn.gru import GRU
from ...nn.lstm import LSTM
from ...tensor import Tensor
from ...tracer.trace import input_names
from ...tracer.tree import Structure, key_of, unflatten
from ..session.spec import as_array, evaluate
from . import facts
from .candidate import Candidate, Way
from .choice import Choice
from .flattened import Flattened
from .parts import Shapes
from .replayed import is_replayable

if TYPE_CHECKING:
    from .module import CompiledModule

__all__ = ["Signature", "Tuned"]

Array = np.ndarray[Any, Any]

_EXPORTS = 8
"""The maximum number of exports for one signature, each for shapes that no earlier export accepts."""

_UNROLLED = 8
"""The most time steps for which unrolling is tried: each number of steps needs its own export."""

_COLUMNS = 16
"""The fewest sequences in a part for which columns are tried: onnxruntime's products process that many at a time."""

_LARGE = 1 << 16
"""The number of input elements above which a model is exported at small sizes, guessed or known from another export.
Up to this number, a batch that can be split is also tried as a whole on one core."""


_HUGE = 1 << 20
"""The number of input elements above which a training graph is also tried in NumPy."""


class Tuned:
    """The results of autotuning for one signature.

    Attributes:
        fastest: for each class of shapes, the fastest way.
        choices: for each class of shapes, the choice of it, until it stands.
        example: inputs that are small along all free axes, so that an export takes little time.
    """

    def __init__(self) -> None:
        self.fastest: dict[Any, Way] = {}
        self.choices: dict[Any, Choice] = {}
        self.example: list[Array] | None = None


class Signature:
    """One calling convention of a model: a nested structure of arguments, with the dtypes and ranks of the tensors.

    Attributes:
        exports: how often the model was exported.
    """

    def __init__(self, compiled: CompiledModule, structure: Structure, known: Tuned) -> None:
        self.compiled = compiled
        self.structure = structure
        self.known = known
        self.exports = 0
        self._made: list[Candidate] = []

    def candidate(
        self, arrays: Sequence[Array], shapes: Shapes, in_use: Sequence[Candidate], whole: bool = False
    ) -> tuple[Candidate, bool]:
        """Returns the candidate for these inputs, and whether it stays that of their class.

        The first call for a class exports the model once. Each of the next ones makes a piece of the choice, unless it
        has to export the model for its own answer.

        Args:
            arrays: the inputs.
            shapes: their shapes.
            in_use: the candidates that are kept.
            whole: whether to make the whole choice now.
        """
        kind = tuple([tuple([n if n <= _UNROLLED else 1 << (n - 1).bit_length() for n in shape]) for shape in shapes])
        if (known := self.known.fastest.get(kind)) is not None:
            with suppress(ExportError):  # it may not apply to what the model has become
                return self.made_for(known, arrays, shapes), True
            del self.known.fastest[kind]
        before = self.exports
        if (choice := self.known.choices.get(kind)) is not None:
            candidate = self.made_for(choice.way, arrays, shapes)
        else:
            candidate, fastest = self._begun(kind, arrays, shapes)
            if fastest == candidate.way:
                self.known.fastest[kind] = fastest
                return candidate, True
            choice = self.known.choices[kind] = Choice(self, candidate, arrays, shapes, fastest)
        if self.exports > before and not whole:
            return candidate, False
        try:
            if not choice.advance(self, whole):
                return candidate, False
        except BaseException:
            del self.known.choices[kind]  # the next call begins anew
            raise
        del self.known.choices[kind]
        self.known.fastest[kind] = choice.way
        if self.compiled._kept is not None:
            self.compiled._kept.keep(self._facts(kind, arrays), choice.way)
        candidate = self.made_for(choice.way, arrays, shapes)
        self._settle([candidate, *in_use])
        return candidate, True

    def _begun(self, kind: Any, arrays: Sequence[Array], shapes: Shapes) -> tuple[Candidate, Way | None]:
        """Returns the candidate for the first call of a class of shapes, and the fastest way if it is known."""
        kept = self.compiled._kept
        if kept is not None and (way := kept.find(self._facts(kind, arrays))) is not None:
            with suppress(ExportError):  # it may not apply to what the model has become
                # A graph that also updates is not verified; that of the gradients is, and comes first.
                return self.made_for(way._replace(updates=False), arrays, shapes), way
        first = self._first(arrays, shapes)
        return first, None if first.session.recurrence.states else first.way

    def _facts(self, kind: Any, arrays: Sequence[Array]) -> dict[str, Any]:
        """Returns what the choice for a class of shapes depends on."""
        return {
            **self.compiled._facts(),
            "structure": repr(key_of(self.structure)),
            "inputs": facts.of_inputs([array.dtype for array in arrays], kind),
            "machine": facts.machine(_cores()),
        }

    def _first(self, arrays: Sequence[Array], shapes: Shapes) -> Candidate:
        """Exports the model with the lowering that wins most often, and returns the candidate that does."""
        first = self._whole(self._guess(arrays), arrays, shapes)
        if not first.session.recurrence.states:
            return first
        return self.made_for(Way(first.lowering, *self._likely(first, arrays, shapes)), arrays, shapes)

    def _whole(self, lowering: str, arrays: Sequence[Array], shapes: Shapes) -> Candidate:
        """Returns the candidate that runs a batch as a whole, with this lowering or, if it does not apply, a scan."""
        if lowering != "scan":
            with suppress(ExportError):
                return self.made_for(Way(lowering, self.compiled._threads), arrays, shapes)
        return self.made_for(Way("scan", self.compiled._threads), arrays, shapes)

    def _guess(self, arrays: Sequence[Array]) -> str:
        """Returns the lowering that is likely to be the fastest; one that always applies, unless all is float32."""
        model = self.compiled.model
        if any(p.dtype != np.float32 for p in model.parameters()):
            return "scan"
        if any(1 in array.shape[:-1] for array in arrays if array.ndim > 1):
            return "rnn"  # a single sequence, or a single step
        gated = any(isinstance(module, (LSTM, GRU)) for module in model.modules())
        return "rnn" if gated and not self.compiled.trains else "scan"

    def _likely(self, first: Candidate, arrays: Sequence[Array], shapes: Shapes) -> tuple[int | None, int]:
        """Returns the number of threads and of parts that are likely to be the fastest."""
        return max([(way.threads, way.parts) for way in self.ways(first, ["scan"], arrays, shapes)], key=lambda n: n[1])

    def whole_ways(self, first: Candidate, arrays: Sequence[Array], shapes: Shapes) -> Iterator[Way]:
        """Yields the ways to run a batch as a whole; not all may apply."""
        steps = [evaluate(n, self._sizes(first, shapes)) for n in first.session.recurrence.time]
        short = bool(steps) and all(n is not None and n <= _UNROLLED for n in steps)
        for lowering in ("scan", "rnn", "unrolled") if short else ("scan", "rnn"):
            yield Way(lowering, self.compiled._threads)

    def ways(self, first: Candidate, lowerings: Sequence[str], arrays: Sequence[Array], shapes: Shapes) -> list[Way]:
        """Returns the ways among which one is chosen.

        Args:
            first: a candidate.
            lowerings: the lowerings that apply to a batch as a whole.
            arrays: the inputs.
            shapes: their shapes.
        """
        separation = first.exported.separation
        batch = 0 if separation is None else self._sizes(first, shapes)[separation.symbol]
        parts = self._parts(first, batch, sum(array.size for array in arrays) <= _LARGE)
        found = [Way(lowering, self.compiled._threads) for lowering in lowerings]
        found += [Way(lowering, 1, n) for n in parts for lowering in lowerings]
        if self.compiled.trains and "lstm" in first.exported.recurrent:
            found += [Way("columns", 1, n) for n in parts if batch // n >= _COLUMNS]
        if self._suits_numpy(first, arrays):
            found.append(Way("numpy", None))
        return found

    def _suits_numpy(self, first: Candidate, arrays: Sequence[Array]) -> bool:
        """Returns whether the graph may be as fast in NumPy, whose number of threads is not lucid's to set."""
        graph, unlimited = first.exported._graph, self.compiled._threads is None
        large = sum(array.size for array in arrays) > _HUGE and first.session.device.kind == "cpu"
        return large and unlimited and self.compiled.trains and graph is not None and is_replayable(graph)

    def further(self, best: Way) -> list[Way]:
        """Returns the ways that only the best of all others is compared with."""
        return []

    def is_ahead(self, way: Way) -> bool:
        """Returns whether one of these ways is the fastest without being timed."""
        return False

    def _sizes(self, candidate: Candidate, shapes: Shapes) -> dict[str, int]:
        return candidate.session.check(shapes + candidate._shapes)

    def _settle(self, kept: Sequence[Candidate]) -> None:
        """Frees the sessions of candidates that are not kept, and returns what they took to the system.

        A session has its own threads, and its own copy of constant weights. Those with the threads that were asked for
        stay as exports, from which other classes of shapes may take their candidates.
        """
        threads = self.compiled._threads
        self._made = [r for r in self._made if r.threads == threads or r in kept]
        for candidate in self._made:
            if candidate not in kept:
                candidate.unload()
        return_pages()

    def _parts(self, first: Candidate, batch: int, small: bool) -> list[int]:
        """Returns the numbers of parts to try; each part runs on one thread.

        Args:
            first: a candidate.
            batch: the batch size; 0 if the batch cannot be split.
            small: whether the inputs are small.
        """
        cores = self.compiled._threads or _cores()
        if cores < 2 or first.session.device.kind != "cpu":
            return []
        # If two hardware threads share a core, one of them may do the work of both.
        found = {n for n in (min(cores, batch), min(cores // 2, batch)) if n > 1}
        if not found and self.compiled.trains and self.compiled._threads is None:
            # The products of a whole sequence wake up threads, which then slow down the small products of each step.
            return [1]
        if found and small:
            found.add(1)  # handing a part to another core may take longer than computing it
        return sorted(found)

    def made_for(self, way: Way, arrays: Sequence[Array], shapes: Shapes) -> Candidate:
        """Returns the candidate for a way, which takes inputs of these shapes; exports the model if needed."""
        graph = way.exported, way.updates
        found = [r for r in self._made if (r.way.exported, r.way.updates) == graph and r.takes(shapes)]
        for candidate in found:
            if candidate.way == way:
                return candidate
        if found:
            known = found[0]
            self._made.append(Candidate(known.exported, known.session.device, way, known.flat))
            return self._made[-1]
        candidate = self._exported(way, arrays, shapes)
        for array, spec in zip(arrays, candidate.session.inputs, strict=False):
            as_array(array, spec)  # checks the dtype; candidates do not
        made = [r for r in self._made if r.way == way]
        if len(made) >= _EXPORTS and way.lowering != "unrolled":
            reasons = [
                f"axis {axis} of {name}: {why}"
                for name, axes in candidate.exported.fixed.items()
                for axis, why in axes.items()
            ]
            raise ExportError(
                f"{self.compiled.name}: {_EXPORTS} exports of {type(self.compiled.model).__name__} take other shapes "
                f"than {list(shapes)}, since axes of them are fixed: {'; '.join(reasons)}"
            )
        if len(made) >= _EXPORTS:
            self._made.remove(made[0])
        self._made.append(candidate)
        return candidate

    def _exported(self, way: Way, arrays: Sequence[Array], shapes: Shapes) -> Candidate:
        known = self.known
        large = known.example is None and sum(array.size for array in arrays) > _LARGE
        if large:
            known.example = _small(arrays)
        if known.example is not None and way.lowering != "unrolled":
            with suppress(Exception):  # the model may reject them, for example after a change
                candidate = self._export(way, known.example)
                if candidate.takes(shapes):
                    return candidate
        # The proof and the parity check run the model at several sizes, some of them larger.
        candidate = self._export(way, arrays, verify=not large)
        if candidate.session.interface.lengths:  # they would exceed the steps of the cut inputs
            return self._export(way, arrays) if large else candidate
        sizes: dict[Any, int] = {symbol: 3 + i for i, symbol in enumerate(candidate.session.axes)}
        known.example = [
            # slice(None) keeps the size of a fixed axis.
            np.ascontiguousarray(array[tuple([slice(sizes.get(n)) for n in spec.shape])])
            for array, spec in zip(arrays, candidate.session.inputs, strict=False)
        ]
        return self._exported(way, arrays, shapes) if large else candidate

    def _export(self, way: Way, arrays: Sequence[Array], verify: bool = True) -> Candidate:
        compiled = self.compiled
        self.exports += 1
        exported, flat = self._traced(way, arrays, verify)
        candidate = Candidate(exported, compiled._asked, way, flat)
        compiled.device = candidate.session.device
        self._check_results(flat)
        return candidate

    def _traced(self, way: Way, arrays: Sequence[Array], verify: bool) -> tuple[Exported, Flattened]:
        """Exports the model with these arrays; returns the export and the exported function."""
        compiled = self.compiled
        tensors = [Tensor._wrap(array) for array in arrays]
        args, kwargs = unflatten(self.structure, iter(tensors))
        flat = compiled.flat(self.structure)
        flat.example = list(arrays)
        exported = export(
            flat,
            tuple(tensors),
            input_names=input_names(compiled.model, args, kwargs),
            lowering=way.exported,  # type: ignore[arg-type]
            trainable=compiled.trains,
            verify=verify,
            conditional=True,
            keeps_modes=any(module.training for module in compiled.model.modules()),
        )
        return exported, flat

    def _check_results(self, flat: Flattened) -> None:
        """Checks that the model's results always had the same nested structure."""
        if flat.keep_first():
            raise ExportError(
                f"{self.compiled.name}: {type(self.compiled.model).__name__} returns something beside Tensors that "
                "depends on the shapes of its inputs; return Tensors alone, or what is always the same"
            )


def _small(arrays: Sequence[Array]) -> list[Array]:
    """Returns the first few elements along all axes but the last, the features. This guesses which axes are free: if it
    is wrong, the export rejects the original sizes."""
    sizes: dict[int, int] = {}
    found = []
    for array in arrays:
        kept = [sizes.setdefault(n, 3 + len(sizes)) for n in array.shape[: max(1, array.ndim - 1)]]
        found.append(np.ascontiguousarray(array[tuple([slice(n) for n in kept])]))
    return found


def _cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
