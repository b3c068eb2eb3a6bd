"""Placement rules of ops along axes: sums and means may be over the batch, all others may not."""

from __future__ import annotations

import numpy as np

from .placement import Placement, Step, places


@places("sum")
def _(step: Step) -> Placement:
    _require_linear(step)
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    if placement.axis in step.axes():
        return Placement("partial", over=placement.over)
    return placement._replace(axis=_left(step))


@places("mean")
def _(step: Step) -> Placement:
    _require_linear(step)
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    if placement.axis not in step.axes():
        return placement._replace(axis=_left(step))
    step.require(placement.over is None or None not in placement.over)
    return Placement("partial", over=None if placement.over is None else placement.over | {None})


@places("size")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    return Placement("partial" if placement.kind == "shard" and placement.axis in step.axes() else "replicate")


@places("sum_to")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    axis = placement.axis - step.ndim + len(step.out)
    if axis < 0 or step.out[axis] == 1:
        return Placement("partial", over=placement.over)
    return placement._replace(axis=axis)


@places("prod", "any", "all", "logsumexp", "amax", "amin", "argmax", "argmin", "norm2")
def _(step: Step) -> Placement:
    step.require_plain()
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    step.require(placement.axis not in step.axes())
    return placement._replace(axis=_left(step))


@places("softmax", "log_softmax", "cumsum")
def _(step: Step) -> Placement:
    step.require_plain()
    placement = step.placements[0]
    step.require(placement.kind != "shard" or placement.axis not in step.axes())
    return placement


def _require_linear(step: Step) -> None:
    """Requires plain inputs if the op first converts them to integers, which is not linear."""
    if step.dtype is not None and np.dtype(step.dtype).kind != "f":
        step.require_plain()


def _left(step: Step) -> int:
    """Returns the batch axis once the reduced axes are removed."""
    axis = step.placements[0].axis
    return axis if step.keepdim else axis - sum(other < axis for other in step.axes())
