"""Placement rules of elementwise ops."""

from __future__ import annotations

import numpy as np

from ...tracer.node import Value
from .placement import RULES, Placement, Step, places


@places(
    *("pow", "abs", "sign", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "maximum", "minimum"),
    *("eq", "ne", "lt", "le", "gt", "ge", "leaky_relu", "elu", "silu", "softplus", "gelu_erf", "gelu_slope"),
    *("gelu_tanh", "hardtanh", "expm1", "log1p", "log2", "logaddexp", "rsqrt", "reciprocal", "square", "sin", "cos"),
    *("erf", "floor", "ceil", "trunc", "rint", "floor_divide", "remainder", "clamp_to", "surprise", "is_class"),
    *("tan", "sinh", "cosh", "asin", "acos", "atan", "atan2", "hypot", "log10", "fmod"),
    *("logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf", "isfinite"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
)
def _(step: Step) -> Placement:
    step.require_plain()
    return step.aligned(frozenset())


@places("add", "sub")
def _(step: Step) -> Placement:
    return _sum(step, *range(len(step.placements)))


@places("where")
def _(step: Step) -> Placement:
    step.require_plain(0)
    partial = any(placement.kind == "partial" for placement in step.placements)
    step.require(not partial or step.placements[0].kind == "replicate")
    summed = _sum(step, 1, 2)
    return summed if partial else step.aligned(summed.over)


@places("neg", "clone", "detach")
def _(step: Step) -> Placement:
    return step.placements[0]


@places("astype")
def _(step: Step) -> Placement:
    value = step.node.inputs[0]
    linear = type(value) is Value and value.dtype.kind == "f" and np.dtype(step.dtype).kind == "f"
    step.require(linear or step.placements[0].plain)
    return step.placements[0]


@places("mul")
def _(step: Step) -> Placement:
    return _product(step, step.product_over(0, 1))


@places("product_or_zero")
def _(step: Step) -> Placement:
    step.require_plain(1)
    return _product(step, step.placements[0].over)


@places("div")
def _(step: Step) -> Placement:
    top, bottom = step.placements
    total = step.node.inputs[1]
    if bottom.kind == "partial" and not bottom.over and type(total) is Value and all(n == 1 for n in total.shape):
        step.require(top.over is None or total not in top.over)
        over = None if top.over is None else top.over | {total}
        return Placement(top.kind, over=over) if top.kind != "shard" else step.aligned(over, 0)
    step.require_plain(1)
    return _product(step, top.over)


def _sum(step: Step, *inputs: int) -> Placement:
    over = step.sum_over(*inputs)
    terms = [step.placements[i] for i in inputs if step.placements[i].over is not None]
    if any(term.kind == "partial" for term in terms):
        step.require(all(term.kind == "partial" for term in terms))
        step.require(all(step.placements[i].kind != "shard" for i in inputs))
        return Placement("partial", over=over)
    return step.aligned(over, *inputs)


def _product(step: Step, over: frozenset[Value | None] | None) -> Placement:
    kinds = [placement.kind for placement in step.placements]
    if "partial" in kinds:
        step.require(kinds.count("partial") == 1, "shard" not in kinds)
        return Placement("partial", over=over)
    return step.aligned(over)


ELEMENTWISE = frozenset(name for name, rule in RULES.items() if rule.__module__ == __name__)
"""The names of the elementwise ops."""
