"""Size rules: how the sizes of an op's results follow from those of its inputs.

A proof traces a function once, with formulas for sizes. So a rule must hold at all sizes, and compute with them: sizes
are numbers or `Dim`s, and a comparison would be taken for a decision of the program: `lucid.tracer.extent` has helpers
that compare without one. ``@op.sizes`` declares the rule of any op.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from ..tracer.dim import Dim, concrete, has_dim
from ..tracer.extent import broadcast, equal, greater, is_negative, same_shape
from ..tracer.op import OPS
from ..tracer.size import total

__all__ = ["fits", "reduced", "rule"]

Shape = tuple[Any, ...]
Rule = Callable[..., Any]


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declares the size rule of ops."""

    def declare(function: Rule) -> Rule:
        for name in names:
            OPS[name].sizes(function)
        return function

    return declare


# --- results of the shape of the inputs

_ELEMENTWISE = [
    "abs",
    "acos",
    "add",
    "asin",
    "astype",
    "atan",
    "atan2",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clamp_to",
    "clone",
    "cos",
    "cosh",
    "detach",
    "div",
    "elu",
    "eq",
    "erf",
    "exp",
    "expm1",
    "floor",
    "is_class",
    "floor_divide",
    "fmod",
    "ge",
    "gelu_erf",
    "gelu_slope",
    "gelu_tanh",
    "gt",
    "hardtanh",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "leaky_relu",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pcg_bernoulli",
    "pcg_bernoulli_like",
    "pcg_exponential_like",
    "pow",
    "product_or_zero",
    "reciprocal",
    "relu",
    "remainder",
    "rint",
    "rsqrt",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "trunc",
    "where",
]

_UNCHANGED = [
    "band_scan",
    "ctc_paths",
    "cummax_places",
    "cumprod",
    "cumsum",
    "flip",
    "gru_tangent",
    "less_one_at",
    "log_softmax",
    "prod_of_others",
    "rnn_backward",
    "softmax",
    "tril",
    "triu",
]

rule(*_ELEMENTWISE)(broadcast)


@rule(*_UNCHANGED)
def _(x: Shape, *others: Any, **_: Any) -> Shape:
    return x


@rule("surprise")
def _(x: Shape, y: Shape, **_: Any) -> Shape:
    return broadcast(x, y)


@rule("passed")
def _(*tensors: Shape, **_: Any) -> list[Shape]:
    return list(tensors)


# --- given shapes


@rule("fill", "pcg_uniform", "pcg_gaussian", "integers")
def _(shape: Shape, **_: Any) -> Shape:
    return shape


@rule("keyed_uniform")
def _(seed: Shape, shape: Shape, **_: Any) -> Shape:
    return shape


@rule("sum_to")
def _(x: Shape, shape: Shape) -> Shape:
    for n, m in zip(x[len(x) - len(shape) :], shape, strict=True):
        equal(m, n if concrete(m) == concrete(n) else 1)
    return shape


@rule("gather_sum")
def _(g: Shape, indices: Shape, dim: int, shape: Shape) -> Shape:
    fits(g, indices)
    return shape


def fits(x: Shape, wanted: Shape) -> None:
    """Demands that two shapes are the same, where both are known."""
    for n, m in zip(x, wanted, strict=True):
        if m is not None:
            equal(n, m)


@rule("permutation")
def _(n: Any, **_: Any) -> Shape:
    return (n,)


@rule("count")
def _(start: Any, stop: Any, step: Any, dtype: Any) -> Shape:
    if not has_dim((start, stop, step)):
        return (max(0, math.ceil((stop - start) / step)),)
    if any(isinstance(n, float) for n in (start, stop, step)):
        return (None,)
    if is_negative(step):
        start, stop, step = stop, start, -step
    return (greater(-((start - stop) // step), 0),)


@rule("multinomial")
def _(x: Shape, num_samples: int, **_: Any) -> Shape:
    return (*x[:-1], num_samples)


# --- reductions


def reduced(x: Shape, dim: Any = None, keepdim: bool = False, **_: Any) -> Shape:
    """Returns the shape after a reduction."""
    given = None if dim is None or dim in ((), []) else dim if isinstance(dim, (tuple, list)) else (dim,)
    lost = set(range(len(x))) if given is None else {d % len(x) for d in given if len(x)}
    return tuple([1 if i in lost else n for i, n in enumerate(x) if keepdim or i not in lost])


rule("sum", "mean", "prod", "any", "all", "amax", "amin", "argmax", "argmin", "logsumexp", "norm2")(reduced)


@rule("size")
def _(x: Shape, dim: Any) -> Shape:
    return ()


# --- rearrangements


@rule("reshape_to")
def _(x: Shape, shape: Shape) -> Shape:
    count = total(x)
    inferred = [i for i, n in enumerate(shape) if type(n) is int and n == -1]
    others = total(n for n in shape if not (type(n) is int and n == -1))
    if not inferred:
        if same_shape(x, shape):
            return shape
        equal(count, others)
        return shape
    if not has_dim((count, others)):
        rest: Any = count // others if others else 0
    else:
        rest = count // others
        equal(count % others, 0)
    return tuple([rest if i in inferred else n for i, n in enumerate(shape)])


@rule("squeeze")
def _(x: Shape, dim: Any) -> Shape:
    taken = range(len(x)) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    # The comparison is a decision: an axis that varies is removed where it has size one.
    gone = {d % len(x) for d in taken if len(x) and x[d] == 1}
    return tuple([n for i, n in enumerate(x) if i not in gone])


@rule("unsqueeze")
def _(x: Shape, dim: Any) -> Shape:
    new = dim if isinstance(dim, (tuple, list)) else (dim,)
    rank = len(x) + len(new)
    places = {d % rank for d in new}
    kept = iter(x)
    return tuple([1 if i in places else next(kept) for i in range(rank)])


@rule("permute")
def _(x: Shape, dims: Sequence[int]) -> Shape:
    return tuple([x[d] for d in dims])


@rule("expand_to")
def _(x: Shape, shape: Shape) -> Shape:
    for n, m in zip(x, shape[len(shape) - len(x) :], strict=True):
        if concrete(n) != 1 or type(n) is Dim:
            equal(n, m if concrete(m) == concrete(n) else 1)
    return tuple(shape)


@rule("concat")
def _(*tensors: Shape, dim: int) -> Shape:
    axis = dim % len(tensors[0])
    return tuple(
        [sum(ns[1:], ns[0]) if i == axis else reduce(equal, ns) for i, ns in enumerate(zip(*tensors, strict=True))]
    )


@rule("split_to")
def _(x: Shape, sizes: Shape, dim: int) -> list[Shape]:
    axis = dim % len(x)
    equal(sum(sizes[1:], sizes[0]), x[axis])
    return [(*x[:axis], n, *x[axis + 1 :]) for n in sizes]


@rule("tile_by")
def _(x: Shape, repeats: Shape) -> Shape:
    return tuple([n * k for n, k in zip(x, repeats, strict=True)])


@rule("pad_with")
def _(x: Shape, before: Shape, after: Shape, value: Any) -> Shape:
    return tuple([b + n + a for b, n, a in zip(before, x, after, strict=True)])
