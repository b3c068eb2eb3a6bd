"""Placement rules of matrix products, layers and their gradients. Letters: T time, N batch."""

from __future__ import annotations

from typing import Any

from .placement import ALONE, InseparableError, Placement, Step, places


@places("matmul")
def _(step: Step) -> Placement:
    x, y = step.placements
    over = step.product_over(0, 1)
    kinds = x.kind, y.kind
    if "partial" in kinds:
        step.require(kinds.count("partial") == 1, "shard" not in kinds)
        return Placement("partial", over=over)
    if "shard" not in kinds:
        return Placement(over=over)
    step.require(len(step.shape(0)) > 1, len(step.shape(1)) > 1)
    # Axes counted from the right: the product sums over the last axis of x and the second to last of y.
    back_x, back_y = (placement.axis - len(step.shape(i)) for i, placement in enumerate((x, y)))
    if kinds == ("shard", "shard"):
        order = step.order(0, 1)
        if (back_x, back_y) == (-1, -2):
            return Placement("partial", over=over)
        step.require(back_x == back_y, back_x < -2)
        return Placement("shard", len(step.out) + back_x, order, over)
    if x.kind == "shard":
        step.require(back_x != -1)
        return Placement("shard", len(step.out) + back_x, x.order, over)
    step.require(back_y != -2)
    return Placement("shard", len(step.out) + back_y, y.order, over)


@places("linear")
def _(step: Step) -> Placement:
    step.require_replicated(1, 2)
    x = step.placements[0]
    if x.kind != "shard":
        step.require_plain(0)
        return x
    step.require(x.axis != step.ndim - 1, not x.over or step.node.inputs[2] is None)
    return x


@places("convolved")
def _(step: Step) -> Placement:
    """Along its positions, only a kernel of size one takes each by itself."""
    step.require_plain()
    step.require_replicated(1, 2)
    placement = step.placements[0]
    if placement.kind == "shard" and placement.axis != 0:
        step.require(placement.axis > 1)
        along = placement.axis - 2
        step.require(step.shape(1)[placement.axis] == step.stride[along] == 1, step.padding[along] == (0, 0))
    return placement


@places("window_max")
def _(step: Step) -> list[Placement]:
    step.require_plain()
    placement = step.placements[0]
    step.require(placement.kind != "shard" or placement.axis != step.axis)
    return [placement] * 2


@places("windows")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "shard" or placement.axis < step.axis:
        return placement
    step.require(placement.axis > step.axis)
    return placement._replace(axis=placement.axis + 1)


@places("windows_sum")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "shard" or placement.axis < step.axis:
        return placement
    step.require(placement.axis > step.axis + 1)
    return placement._replace(axis=placement.axis - 1)


@places("weight_gradient")
def _(step: Step) -> Placement:
    dz, x = step.placements
    step.require(dz.kind == x.kind == "shard", dz.axis == x.axis, dz.axis != step.ndim - 1)
    step.order(0, 1)
    return Placement("partial", over=step.product_over(0, 1))


@places("recurrent_weight_gradient")
def _(step: Step) -> Placement:
    step.require_plain(1)
    _require_batch(step, (0, 1), (1, 1), (2, 1))
    return Placement("partial", over=step.product_over(0, 2))


@places("reverse_sequence")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if step.node.inputs[1] is not None:
        step.require_plain(1)
        if placement.kind == "shard" and placement.axis == 1:
            _require_batch(step, (0, 1), (1, 0))
        else:
            step.require_replicated(1)
    step.require(placement.kind != "shard" or placement.axis != 0)
    return placement


@places("rnn_cell")
def _(step: Step) -> list[Placement]:
    return _cell(step, 2)


@places("gru_cell")
def _(step: Step) -> list[Placement]:
    return _cell(step, 2)


@places("lstm_cell")
def _(step: Step) -> list[Placement]:
    return _cell(step, 3)


@places("rnn")
def _(step: Step) -> list[Placement]:
    return _layer(step, (0, 1), (1, 1), lengths=6, results=(1, 1))


@places("gru")
def _(step: Step) -> list[Placement]:
    return _layer(step, (0, 1), (1, 1), lengths=6, results=(1, 1, 2, 1))


@places("lstm")
def _(step: Step) -> list[Placement]:
    return _layer(step, (0, 1), (1, 1), (2, 1), lengths=7, results=(1, 1, 1, 2, 1))


@places("rnn_backward")
def _(step: Step) -> list[Placement]:
    return _gradient(step, 1, (0, 1), (1, 1), weight=2)


@places("gru_backward")
def _(step: Step) -> list[Placement]:
    return _gradient(step, 1, (0, 1), (1, 2), (2, 1), (3, 1), weight=4)


@places("lstm_backward")
def _(step: Step) -> list[Placement]:
    return _gradient(step, 2, (0, 1), (1, 1), (2, 2), (3, 1), (4, 1), weight=5)


@places("class_losses")
def _(step: Step) -> list[Placement]:
    step.require_plain()
    step.require_replicated(2)
    placement, target = step.placements[:2]
    if placement.kind == target.kind == "replicate":
        return [target, target, placement]
    dim = step.dim % step.ndim
    step.require(placement.kind == target.kind == "shard", target.axis == placement.axis - (placement.axis > dim))
    step.require(placement.axis != dim)
    order = step.order(0, 1)
    return [*[target._replace(order=order)] * 2, placement._replace(order=order)]


@places("less_one_at")
def _(step: Step) -> Placement:
    step.require_plain()
    placement, target = step.placements
    dim = step.dim % step.ndim
    step.require(placement.kind == target.kind == "shard", target.axis == placement.axis - (placement.axis > dim))
    step.require(placement.axis != dim)
    return placement._replace(order=step.order(0, 1))


@places("normalized")
def _(step: Step) -> list[Placement]:
    step.require_plain()
    step.require_replicated(1, 2)
    placement = step.placements[0]
    step.require(placement.kind == "shard", placement.axis < step.ndim - step.node.attrs["axes"])
    return [placement] * 3


@places("channels_normalized")
def _(step: Step) -> Placement:
    step.require_plain()
    step.require_replicated(1, 2, 3, 4)
    placement = step.placements[0]
    step.require(placement.kind == "shard", placement.axis != 1)
    return placement


@places("normalized_slope")
def _(step: Step) -> list[Placement]:
    step.require_plain(1, 3, 4)
    step.require_replicated(2)
    placement = step.placements[0]
    alike = [step.placements[i].kind == "shard" and step.placements[i].axis == placement.axis for i in (0, 1, 3, 4)]
    step.require(*alike, placement.axis < step.ndim - step.node.attrs["axes"])
    whole = Placement("partial", over=placement.over)
    return [placement._replace(order=step.order(0, 1, 3, 4)), whole, whole]


def _require_batch(step: Step, *axes: tuple[int, int]) -> None:
    """Requires that each of these inputs, if it is given, has the batch as that axis."""
    for i, axis in axes:
        if step.node.inputs[i] is not None:
            step.require(step.placements[i].kind == "shard", step.placements[i].axis == axis)
    order = step.order(*[i for i, _ in axes])
    if order not in (None, ALONE):
        raise InseparableError("the batch is part of a larger axis")


def _layer(step: Step, *axes: tuple[int, int], lengths: int, results: tuple[int, ...]) -> list[Placement]:
    """Returns the placements of a recurrent layer, which computes each sequence of a batch independently."""
    step.require_plain()
    _require_batch(step, *axes, (lengths, 0))
    step.require_replicated(*range(len(axes), lengths))
    return [Placement("shard", axis) for axis in results]


def _cell(step: Step, moving: int) -> list[Placement]:
    """Returns the placements of a cell, which computes each row of its first inputs by itself."""
    step.require_plain()
    step.require_replicated(*range(moving, len(step.placements)))
    step.require(step.ndim == 2, *[step.placements[i][:2] == ("shard", 0) for i in range(moving)])
    return [Placement("shard", 0, step.order(*range(moving)))] * len(step.node.outputs)


def _gradient(step: Step, incoming: int, *axes: tuple[int, int], weight: int) -> list[Any]:
    """Returns the placements of a recurrent layer's backward pass, which is linear in its first inputs."""
    step.require_plain(*range(incoming, weight))
    step.require_replicated(weight)
    _require_batch(step, *axes)
    over = step.sum_over(*[i for i in range(incoming) if step.node.inputs[i] is not None])
    return [Placement("shard", 1, over=over)] * len(step.node.outputs)
