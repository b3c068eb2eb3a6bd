"""Dispatch: exports a module and selects a candidate for given shapes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ExportError
from ...export.exported import Exported
from ...export.to_onnx import export
from ...tensor import Tensor
from ...tracer.trace import input_names
from ...tracer.tree import Structure, unflatten
from ..session.spec import as_array, evaluate
from .autotune import fastest
from .candidate import Candidate, Way
from .flattened import Flattened
from .parts import Shapes

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


class Tuned:
    """The results of autotuning for one signature.

    Attributes:
        fastest: for each class of shapes, the fastest way.
        example: inputs that are small along all free axes, so that an export takes little time.
    """

    def __init__(self) -> None:
        self.fastest: dict[Any, Way] = {}
        self.example: list[Array] | None = None


class Signature:
    """One calling convention of a model: a nested structure of arguments, with the dtypes and ranks of the tensors."""

    def __init__(self, compiled: CompiledModule, structure: Structure, known: Tuned) -> None:
        self.compiled = compiled
        self.structure = structure
        self.known = known
        self._made: list[Candidate] = []

    def candidate(self, arrays: Sequence[Array], shapes: Shapes, in_use: Sequence[Candidate]) -> Candidate:
        """Returns the candidate for these inputs, after export and autotuning if needed. Candidates in use are kept."""
        kind = tuple([tuple([n if n <= _UNROLLED else 1 << (n - 1).bit_length() for n in shape]) for shape in shapes])
        known = self.known.fastest.get(kind)
        if known is None:
            candidate = self._choose(arrays, shapes, in_use)
            self.known.fastest[kind] = candidate.way
        else:
            candidate = self._made_for(known, arrays, shapes)
        return candidate

    def _choose(self, arrays: Sequence[Array], shapes: Shapes, in_use: Sequence[Candidate]) -> Candidate:
        """Exports the model with every lowering that suits these inputs, and returns the fastest candidate."""
        threads = self.compiled._threads
        first = self._made_for(Way("scan", threads), arrays, shapes)
        for array, spec in zip(arrays, first.session.inputs, strict=False):
            as_array(array, spec)  # checks the dtype; candidates do not
        recurrence = first.session.recurrence
        if not recurrence.states:
            return first
        sizes = first.session.check(shapes + first._shapes)
        steps = [evaluate(n, sizes) for n in recurrence.time]
        short = bool(steps) and all(n is not None and n <= _UNROLLED for n in steps)
        candidates = [first]
        for lowering in ("rnn", "unrolled") if short else ("rnn",):
            # The lowering may not apply to this model, such as the RNN operator in float64.
            with suppress(ExportError):
                candidates.append(self._made_for(Way(lowering, threads), arrays, shapes))
        separation = first.exported.separation
        batch = 0 if separation is None else sizes[separation.symbol]
        parts = self._parts(first, batch, sum(array.size for array in arrays) <= _LARGE)
        candidates += [
            self._made_for(Way(candidate.lowering, 1, n), arrays, shapes) for n in parts for candidate in candidates
        ]
        if self.compiled.trains and "lstm" in first.exported.recurrent:
            columns = [Way("columns", 1, n) for n in parts if batch // n >= _COLUMNS]
            candidates += [self._made_for(way, arrays, shapes) for way in columns]
        # For a training run, autotuning may take a second.
        best = fastest(candidates, arrays, shapes, 3 if self.compiled.trains else 2)
        # The others are dropped: a session has its own threads, and its own copy of constant weights.
        self._made = [r for r in self._made if r.threads == threads or r is best or r in in_use]
        return best

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

    def _made_for(self, way: Way, arrays: Sequence[Array], shapes: Shapes) -> Candidate:
        graph = way.lowering, way.updates
        found = [r for r in self._made if (r.lowering, r.way.updates) == graph and r.takes(shapes)]
        for candidate in found:
            if candidate.way == way:
                return candidate
        if found:
            known = found[0]
            self._made.append(Candidate(known.exported, known.session.device, way, known.flat))
            return self._made[-1]
        candidate = self._exported(way, arrays, shapes)
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
            lowering=way.lowering,  # type: ignore[arg-type]
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
