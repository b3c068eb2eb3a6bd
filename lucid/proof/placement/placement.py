"""Placement: how a value for a whole batch follows from its values for parts of the batch.

It is replicated, sharded or partial. The terms are those of PyTorch's DTensor
(https://docs.pytorch.org/docs/stable/distributed.tensor.html).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import gcd, prod
from typing import Any, Literal, NamedTuple

from ...tracer.node import Node, Value
from ...tracer.op import OPS
from ...tracer.size import Size, symbols_of

__all__ = ["ALONE", "RULES", "InseparableError", "Placement", "Placing", "Step", "places"]

Sizes = tuple[int, tuple[str, ...]]
"""A product of sizes: a number, and sorted names."""

ALONE: tuple[Sizes, Sizes] = (1, ()), (1, ())
"""The order of a batch that has an axis of its own."""


class InseparableError(Exception):
    """A value does not follow from its values for parts of the batch, or no rule says how."""


class Placement(NamedTuple):
    """How a value follows from its values for parts of the batch.

    Attributes:
        kind: "replicate": it is the same for each part. "shard": parts are concatenated along `axis`. "partial": it is
            the sum over the parts.
        axis: the batch axis.
        order: the outer and the inner factor of the axis, whose size is outer * batch * inner if a reshape merged axes;
            None: all elements are equal along the axis.
        over: the totals that the value was divided by. Such a total is itself partial, and each part was divided by its
            own; in the whole, a part is weighted by its share of the sum of all parts' totals. The total `None` is the
            number of sequences. None in place of a set: the value is zero, whatever its weight.
    """

    kind: Literal["replicate", "shard", "partial"] = "replicate"
    axis: int = 0
    order: tuple[Sizes, Sizes] | None = ALONE
    over: frozenset[Value | None] | None = frozenset()

    @property
    def plain(self) -> bool:
        """Whether any function may be applied to the value; a function of a sum is not the sum of its values."""
        return self.kind != "partial" and not self.over


class Step:
    """A node and the placements of its inputs.

    Attributes:
        node: the node.
        placements: one for each input; numbers and omitted inputs are replicated.
        symbol: the symbol of the batch size.
    """

    def __init__(self, node: Node, placements: Sequence[Placement], symbol: str) -> None:
        self.node = node
        self.placements = placements
        self.symbol = symbol

    def __getattr__(self, name: str) -> Any:
        try:
            return self.node.attrs[name]
        except KeyError:
            raise AttributeError(name) from None

    def shape(self, i: int) -> tuple[Any, ...]:
        """Returns the shape of an input; () for a number."""
        value = self.node.inputs[i]
        return value.shape if type(value) is Value else ()

    @property
    def ndim(self) -> int:
        """The number of axes of the first input."""
        return len(self.shape(0))

    @property
    def out(self) -> tuple[Any, ...]:
        """The shape of the first output."""
        return self.node.outputs[0].shape

    def axes(self) -> set[int]:
        """Returns the axes of the first input that the attribute `dim` names, counted from the front."""
        dim = self.node.attrs["dim"]
        dims = tuple(dim) if isinstance(dim, (tuple, list)) else () if dim is None else (dim,)
        # No axes means all axes.
        return {d % max(self.ndim, 1) for d in dims or range(self.ndim)}

    def require(self, *conditions: bool) -> None:
        """Raises `InseparableError` unless all conditions hold."""
        if not all(conditions):
            raise InseparableError(f"{self.node.op.name} at {self.node.location} takes the batch as a whole")

    def require_plain(self, *inputs: int) -> None:
        """Requires that any function may be applied to these inputs, or to all inputs if none are named."""
        chosen = [self.placements[i] for i in inputs] if inputs else self.placements
        self.require(all(placement.plain for placement in chosen))

    def require_replicated(self, *inputs: int) -> None:
        """Requires that these inputs are the same for each part."""
        self.require(*[self.placements[i].kind == "replicate" and not self.placements[i].over for i in inputs])

    def sum_over(self, *inputs: int) -> frozenset[Value | None] | None:
        """Returns the `over` of a sum of these inputs: theirs, which must be the same."""
        found = {over for i in inputs if (over := self.placements[i].over) is not None}
        self.require(len(found) <= 1)
        return found.pop() if found else None

    def product_over(self, *inputs: int) -> frozenset[Value | None] | None:
        """Returns the `over` of a product of these inputs: the union of theirs, which must be disjoint."""
        overs = [self.placements[i].over for i in inputs]
        if any(over is None for over in overs):
            return None
        joined: frozenset[Value | None] = frozenset().union(*(over for over in overs if over is not None))
        self.require(len(joined) == sum(len(over) for over in overs if over is not None))
        return joined

    def order(self, *inputs: int) -> tuple[Sizes, Sizes] | None:
        """Returns the `order` of these inputs, which must be the same."""
        found = {order for i in inputs if (order := self.placements[i].order) is not None}
        self.require(len(found) <= 1)
        return found.pop() if found else None

    def aligned(self, over: frozenset[Value | None] | None, *inputs: int) -> Placement:
        """Returns the placement of the result of an op that broadcasts its inputs, or those that are named."""
        sharded = [i for i in inputs or range(len(self.placements)) if self.placements[i].kind == "shard"]
        if not sharded:
            return Placement(over=over)
        back = {self.placements[i].axis - len(self.shape(i)) for i in sharded}
        self.require(len(back) == 1)
        return Placement("shard", len(self.out) + back.pop(), self.order(*sharded), over)


Placing = Callable[[Step], "Placement | Iterable[Placement]"]

RULES: dict[str, Placing] = {}
"""The placement rule of each op, by the op's name."""


def places(*ops: str) -> Callable[[Placing], Placing]:
    """Registers the decorated function as the placement rule of ops.

    The rule gets a `Step` and returns a `Placement` for each output. If a result does not follow from parts of the
    batch, the rule raises `InseparableError`, by `Step.require`. An op without a rule is not separable.

    Args:
        ops: the names of the ops.
    """

    def register(rule: Placing) -> Placing:
        for op in ops:
            if op not in OPS or op in RULES:
                raise ValueError(f"there is no op named {op!r}, or it has a rule already")
            RULES[op] = rule
        return rule

    return register


def product(sizes: Iterable[Any]) -> Sizes:
    """Returns the product of sizes.

    Raises:
        InseparableError: one of them is known only at run time.
    """
    number = 1
    names: list[str] = []
    for size in sizes:
        if size is None:
            raise InseparableError("a size is known only at run time")
        if isinstance(size, int):
            number *= size
        else:
            common, symbols, rest = _factored(size)
            number *= common
            names += symbols
            if rest is not None:
                names.append(rest)
    return number, tuple(sorted(names))


def _factored(size: Any) -> tuple[int, tuple[str, ...], str | None]:
    """Returns a number, symbols and a remaining factor, None for 1, that a size is the product of.

    So ``batch * time - batch`` is the product of the batch and ``time - 1``.
    """
    if size.divisor != 1 or any(type(atom) is not str for atom in size.atoms()):
        return 1, (), str(size)
    first, *others = [Counter(monomial) for monomial, _ in size.terms]
    shared = first
    for other in others:
        shared &= other
    number = gcd(*[coefficient for _, coefficient in size.terms])
    symbols = tuple(shared.elements())
    if not others:
        return size.terms[0][1], symbols, None
    rest: Any = 0
    for monomial, coefficient in size.terms:
        left = Counter(monomial) - shared
        rest = rest + prod([Size.symbol(name) for name in left.elements()], start=coefficient // number)
    return number, symbols, str(rest)


def times(*factors: Sizes) -> Sizes:
    """Multiplies products of sizes."""
    number = 1
    names: list[str] = []
    for factor in factors:
        number *= factor[0]
        names += factor[1]
    return number, tuple(sorted(names))


def quotient(whole: Sizes, part: Sizes) -> Sizes | None:
    """Returns the factor between `part` and `whole`; None if there is none."""
    left = Counter(whole[1])
    left.subtract(Counter(part[1]))
    if not part[0] or whole[0] % part[0] or any(n < 0 for n in left.values()):
        return None
    return whole[0] // part[0], tuple(sorted(left.elements()))


def has(size: Any, symbol: str) -> bool:
    """Returns whether a size depends on a symbol."""
    return symbol in symbols_of(size)
