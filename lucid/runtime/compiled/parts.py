"""Parts: a batch run in parts, one on each core."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, prod
from typing import Any

import numpy as np

from ...proof.separation import Joint, Separation
from ..session.session import Session
from ..session.spec import Shape, resolve
from .workers import Workers

__all__ = ["Parts", "Shapes"]

Array = np.ndarray[Any, Any]
Shapes = tuple[Shape, ...]

_KEPT = 64
"""For how many shapes of the inputs it is remembered what shapes the outputs have."""


class Parts:
    """A session that runs parts of a batch side by side, and puts together what it gives for them.

    An operator that onnxruntime spreads over cores costs a handing over; small ones, as in the steps of a loop, are not
    spread at all. A part runs on its core from end to end. Which of its results follow from those of parts, and how, is
    what `lucid.proof.separation` proved.

    Args:
        session: runs `Exported.part`, each operator on one thread.
        separation: how results are put together.
        count: how many parts; no more than sequences in the batch.
    """

    def __init__(self, session: Session, separation: Separation, count: int) -> None:
        self._session = session
        self._separation = separation
        self._count = count
        self._workers = Workers(count - 1, "lucid.parts")
        self._shapes: dict[Shapes, list[Shape | None]] = {}

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """What the model gives for the whole batch.

        Args:
            arrays: the inputs in order.
            shapes: their shapes.

        Raises:
            ShapeError: an input does not fit.
        """
        separation = self._separation
        found = self._shapes.get(shapes) or self._resolved(shapes)
        batch = next(shapes[i][axis] for i, axis in enumerate(separation.inputs) if axis is not None)
        count = max(1, min(self._count, batch))
        bounds = [batch * i // count for i in range(count + 1)]
        # Cores share the work of putting results in their places, too.
        wholes = [
            None if shape is None else np.empty(shape, spec.dtype)
            for shape, spec in zip(found, self._session.outputs, strict=False)
        ]
        others = [self._workers.start(self._part, arrays, wholes, begin, end) for begin, end in pairwise(bounds[1:])]
        try:
            parts = [self._part(arrays, wholes, bounds[0], bounds[1])]
        finally:
            answers = [other.wait() for other in others]  # none may still be at work on these arrays
        for part, error in answers:
            if error is not None:
                raise error
            parts.append(part)
        shares = self._shares(parts, bounds)
        if shares is None:
            return self._session.run(arrays, shapes)[: len(separation.outputs)]
        return [
            _joined([part[i] for part in parts], joint, shares) if wholes[i] is None else wholes[i]  # type: ignore[misc]
            for i, joint in enumerate(separation.outputs)
        ]

    def _resolved(self, shapes: Shapes) -> list[Shape | None]:
        """The shapes of the outputs that parts are put into at once; None for all others."""
        sizes = self._session.check(shapes)
        joints = self._separation.outputs
        found = [
            resolve(spec, sizes) if joint.kind == "shard" and not joint.over else None
            for spec, joint in zip(self._session.outputs, joints, strict=False)
        ]
        if len(self._shapes) >= _KEPT:
            self._shapes.clear()
        self._shapes[shapes] = found
        return found

    def _part(self, arrays: Sequence[Array], wholes: Sequence[Array | None], begin: int, end: int) -> list[Array]:
        """Run one part, and put into `wholes` what belongs there."""
        separation = self._separation
        given = [
            array if axis is None else np.ascontiguousarray(array[_along(axis, begin, end)])
            for array, axis in zip(arrays, separation.inputs, strict=True)
        ]
        results = self._session.run(given, tuple([array.shape for array in given]))
        for whole, result, joint in zip(wholes, results, separation.outputs, strict=False):
            if whole is not None:
                whole[_along(joint.axis, begin, end)] = result
        return results

    def _shares(self, parts: Sequence[Sequence[Array]], bounds: Sequence[int]) -> list[list[float]] | None:
        """For each total what each part has of it, and last what it has of the batch.

        None if a total is not positive: a part has divided by zero, or shares of opposite signs would lose digits.
        """
        first = len(self._separation.outputs)
        columns = [[float(part[i].item()) for part in parts] for i in range(first, len(parts[0]))]
        if not all(0 < value < inf for column in columns for value in column):
            return None
        # Only a batch of no sequences has an empty part, and that one is all of it.
        columns.append([float(end - begin) or 1.0 for begin, end in pairwise(bounds)])
        return [[value / sum(column) for value in column] for column in columns]


def _along(axis: int, begin: int, end: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(begin, end))


def _joined(parts: Sequence[Array], joint: Joint, shares: Sequence[Sequence[float]]) -> Array:
    if joint.over:
        weights = [prod(column) for column in zip(*(shares[total] for total in joint.over), strict=True)]
        parts = [
            np.asarray(np.multiply(part, weight, dtype=part.dtype)) for part, weight in zip(parts, weights, strict=True)
        ]
    if joint.kind == "shard":
        return np.concatenate(parts, joint.axis)
    if joint.kind == "partial":
        total = parts[0]
        for part in parts[1:]:
            total = np.asarray(total + part)
        return total
    return parts[0]
