"""Placement rules of ops that move or select elements."""

from __future__ import annotations

from typing import Any

from .placement import ALONE, InseparableError, Placement, Step, has, places, product, quotient, times


@places("reshape_to", "squeeze", "unsqueeze")
def _(step: Step) -> Placement:
    """Elements keep their order, so the new axis of the batch is the one with as many elements outside and inside."""
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    axis, order = placement.axis, placement.order
    shape, out = step.shape(0), step.out
    batch = (1, (step.symbol,))
    if order is None:
        step.require(product([shape[axis]]) == batch)
        order = ALONE
    before = times(product(shape[:axis]), order[0])
    after = times(order[1], product(shape[axis + 1 :]))
    for new, size in enumerate(out):
        if has(size, step.symbol):
            outer, inner = quotient(before, product(out[:new])), quotient(after, product(out[new + 1 :]))
            if outer is not None and inner is not None and product([size]) == times(outer, batch, inner):
                return placement._replace(axis=new, order=(outer, inner))
    raise InseparableError("the batch is no longer an axis, or part of one")


@places("passed")
def _(step: Step) -> list[Placement]:
    return list(step.placements)


@places("permute")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    return placement._replace(axis=[d % step.ndim for d in step.dims].index(placement.axis))


@places("flip")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    dims = step.dims if isinstance(step.dims, (tuple, list)) else (step.dims,)
    step.require(placement.kind != "shard" or placement.axis not in {d % step.ndim for d in dims})
    return placement


@places("expand_to")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "replicate":
        return step.aligned(placement.over) if placement.kind == "shard" else placement
    return _filled(step, placement.over)


@places("fill")
def _(step: Step) -> Placement:
    return _filled(step, None if step.value == 0 else frozenset())


def _filled(step: Step, over: Any) -> Placement:
    """Returns the placement of a tensor whose elements are equal along the batch."""
    found = [axis for axis, size in enumerate(step.out) if has(size, step.symbol)]
    step.require(len(found) <= 1)
    return Placement("shard", found[0], None, over) if found else Placement(over=over)


@places("concat")
def _(step: Step) -> Placement:
    inputs = range(len(step.placements))
    over = step.sum_over(*inputs)
    kinds = {placement.kind for placement in step.placements}
    step.require(len(kinds) == 1)
    if "shard" not in kinds:
        return step.placements[0]._replace(over=over)
    placement = step.aligned(over)
    step.require(placement.axis != step.dim % len(step.out))
    return placement


@places("pad_with")
def _(step: Step) -> Placement:
    step.require_plain()
    placement = step.placements[0]
    step.require(placement.kind != "shard" or step.before[placement.axis] == step.after[placement.axis] == 0)
    return placement


@places("ordered")
def _(step: Step) -> list[Placement]:
    step.require_plain()
    placement = step.placements[0]
    step.require(placement.kind != "shard" or placement.axis != step.dim % step.ndim)
    return [placement] * 2


@places("split_to")
def _(step: Step) -> list[Placement]:
    placement = step.placements[0]
    step.require(placement.kind != "shard" or placement.axis != step.dim % step.ndim)
    return [placement] * len(step.node.outputs)


@places("slice_at")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    return placement._replace(axis=_after(step, placement.axis, step.ndim))


@places("slice_add")
def _(step: Step) -> Placement:
    placement = step.placements[0]
    if placement.kind != "shard":
        return placement
    for axis, size in enumerate(step.out):
        if has(size, step.symbol) and _after(step, axis, len(step.out)) == placement.axis:
            return placement._replace(axis=axis)
    raise InseparableError("the batch is no longer an axis")


@places("slice_put")
def _(step: Step) -> Placement:
    """Covers an index that takes the whole batch axis."""
    x, value = step.placements
    if step.node.inputs[1] == 0:  # no matter how the rest was weighted
        if x.kind == "shard":
            _after(step, x.axis, step.ndim)
        return x
    step.require("partial" not in (x.kind, value.kind))
    over = step.sum_over(0, 1)
    if x.kind != "shard":
        step.require(value.kind != "shard")
        return Placement(over=over)
    shape = step.shape(1)
    taken = sum(item is not None and item is not Ellipsis for item in step.index)
    rank = step.ndim - taken + sum(item is None or isinstance(item, slice) for item in step.index)
    place = _after(step, x.axis, step.ndim) - rank + len(shape)
    if value.kind == "shard":
        step.require(value.axis == place)
    else:
        step.require(place < 0 or shape[place] == 1)
    sharded = [i for i in (0, 1) if step.placements[i].kind == "shard"]
    return Placement("shard", x.axis, step.order(*sharded), over)


def _after(step: Step, axis: int, ndim: int) -> int:
    """Returns the position of an axis after indexing; the index must take the whole axis."""
    index = list(step.index)
    taken = sum(item is not None and item is not Ellipsis for item in index)
    whole = [slice(None)] * (ndim - taken)
    place = index.index(Ellipsis) if Ellipsis in index else len(index)
    index[place : place + 1] = whole
    old = new = 0
    for item in index:
        if item is None:
            new += 1
            continue
        if old == axis:
            step.require(isinstance(item, slice) and item in (slice(None), slice(None, None, 1), slice(0, None, 1)))
            return new
        old += 1
        new += isinstance(item, slice)
    raise InseparableError("there are more axes than were indexed")


@places("take_rows")
def _(step: Step) -> Placement:
    step.require_replicated(0)
    step.require_plain(1)
    return step.placements[1]


@places("index_at")
def _(step: Step) -> Placement:
    """Covers only the selection of rows from a table."""
    step.require(step.index == ("*",), step.node.inputs[1].dtype.kind in "iu")
    step.require_replicated(0)
    step.require_plain(1)
    return step.placements[1]


@places("index_sum")
def _(step: Step) -> Placement:
    """Covers only the addition of rows to a table, as in the gradient of an embedding."""
    rows, indices = step.placements[:2]
    step.require(step.index == ("*",), indices.plain)
    if rows.kind != "shard":
        step.require(indices.kind == "replicate")
        return rows
    step.require(indices.kind == "shard", rows.axis == indices.axis)
    step.order(0, 1)
    return Placement("partial", over=rows.over)


@places("gather_at")
def _(step: Step) -> Placement:
    x, indices = step.placements
    step.require(indices.plain, x.kind == indices.kind)
    if x.kind != "shard":
        return x
    step.require(x.axis == indices.axis, x.axis != step.dim % step.ndim)
    return step.aligned(x.over)
