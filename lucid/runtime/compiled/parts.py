"""Parts: runs a batch in parts, one on each core."""

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
"""The number of input shapes for which the output shapes are cached."""


class Parts:
    """Runs the parts of a batch side by side in one session, and combines their results.

    To spread an operator over cores costs a handover, and onnxruntime does not spread small operators, such as those in
    the steps of a loop. A part runs on its core from end to end. `lucid.proof.separation` proved how the results follow
    from those of the parts.

    Args:
        session: a session of `Exported.part` with one thread per operator.
        separation: how results are combined.
        count: the number of parts; fewer if the batch has fewer sequences.
    """

    def __init__(self, session: Session, separation: Separation, count: int) -> None:
        self._session = session
        self._separation = separation
        self._count = count
        self._workers = Workers(count - 1, "lucid.parts")
        self._shapes: dict[Shapes, list[Shape | None]] = {}

    def run(self, arrays: Sequence[Array], shapes: Shapes) -> list[Array]:
        """Runs the model on the whole batch.

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
        # Allocated here, so that the cores also share the work of writing results.
        wholes = [
            None if shape is None else np.empty(shape, spec.dtype)
            for shape, spec in zip(found, self._session.outputs, strict=False)
        ]
        others = [self._workers.start(self._part, arrays, wholes, begin, end) for begin, end in pairwise(bounds[1:])]
        try:
            parts = [self._part(arrays, wholes, bounds[0], bounds[1])]
        finally:
            answers = [other.wait() for other in others]  # no part may still be using these arrays
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
        """Returns the shapes of the outputs that parts are written into directly; None for all others."""
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
        """Runs one part, and writes its results into `wholes` where these exist."""
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
        """Returns for each total the share of each part, and last the shares of the batch.

        None if a total is not positive: a part has divided by zero, or shares of opposite signs would lose digits.
        """
        first = len(self._separation.outputs)
        columns = [[float(part[i].item()) for part in parts] for i in range(first, len(parts[0]))]
        if not all(0 < value < inf for column in columns for value in column):
            return None
        # Only an empty batch has an empty part, which is the whole batch.
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
