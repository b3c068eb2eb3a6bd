"""How a value for a whole batch follows from its values for parts of the batch.

It is replicated, sharded or partial: the names are those of PyTorch's DTensor
(https://docs.pytorch.org/docs/stable/distributed.tensor.html).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from ...tracer.node import Node, Value
from ...tracer.op import OPS
from ...tracer.symbolic import Size, symbols_of

__all__ = ["ALONE", "RULES", "InseparableError", "Placement", "Placing", "Step", "places"]

Sizes = tuple[int, tuple[str, ...]]
"""A product of sizes: a number, and names in order."""

ALONE: tuple[Sizes, Sizes] = (1, ()), (1, ())
"""The order of a batch that is an axis by itself."""


class InseparableError(Exception):
    """A value does not follow from its values for parts of the batch, or nobody wrote down how."""


class Placement(NamedTuple):
    """How a value follows from its values for parts of the batch.

    Attributes:
        kind: "replicate": it is the same for each part. "shard": parts stand one after the other along `axis`.
            "partial": it is the sum over the parts.
        axis: the axis that belongs to the batch.
        order: how many elements for one of the batch stand before and after it along that axis, several axes having
            been made one; None: all elements are alike along the axis.
        over: totals. Of each part that came of a division by such a total, itself partial, of its own; in the whole
            it weighs as much as its total has of all. The total `None` is the number of sequences. None in place of a
            set: the value is zero, however it is weighed.
    """

    kind: Literal["replicate", "shard", "partial"] = "replicate"
    axis: int = 0
    order: tuple[Sizes, Sizes] | None = ALONE
    over: frozenset[Value | None] | None = frozenset()

    @property
    def plain(self) -> bool:
        """Whether any function may be applied to it: the function of a sum is no sum."""
        return self.kind != "partial" and not self.over


class Step:
    """A node, and how its inputs are placed.

    Attributes:
        node: the node.
        placements: one for each input; numbers, and inputs that are not given, are replicated.
        symbol: the size of the batch.
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
        """The shape of an input; that of a number is ()."""
        value = self.node.inputs[i]
        return value.shape if type(value) is Value else ()

    @property
    def ndim(self) -> int:
        """How many axes the first input has."""
        return len(self.shape(0))

    @property
    def out(self) -> tuple[Any, ...]:
        """The shape of the first output."""
        return self.node.outputs[0].shape

    def axes(self) -> set[int]:
        """What the attribute `dim` says of the first input."""
        dim = self.node.attrs["dim"]
        dims = tuple(dim) if isinstance(dim, (tuple, list)) else () if dim is None else (dim,)
        # No axes at all count as all of them.
        return {d % max(self.ndim, 1) for d in dims or range(self.ndim)}

    def require(self, *conditions: bool) -> None:
        """Go no further unless all of it holds."""
        if not all(conditions):
            raise InseparableError(f"{self.node.op.name} at {self.node.location} takes the batch as a whole")

    def require_plain(self, *inputs: int) -> None:
        """Go no further unless any function may be applied to these inputs; to all, if none are named."""
        chosen = [self.placements[i] for i in inputs] if inputs else self.placements
        self.require(all(placement.plain for placement in chosen))

    def require_replicated(self, *inputs: int) -> None:
        """Go no further unless these inputs are the same for each part."""
        self.require(*[self.placements[i].kind == "replicate" and not self.placements[i].over for i in inputs])

    def sum_over(self, *inputs: int) -> frozenset[Value | None] | None:
        """What a sum of these inputs is over: what they all are."""
        found = {over for i in inputs if (over := self.placements[i].over) is not None}
        self.require(len(found) <= 1)
        return found.pop() if found else None

    def product_over(self, *inputs: int) -> frozenset[Value | None] | None:
        """What a product of these inputs is over: what any of them is, none twice."""
        overs = [self.placements[i].over for i in inputs]
        if any(over is None for over in overs):
            return None
        joined: frozenset[Value | None] = frozenset().union(*(over for over in overs if over is not None))
        self.require(len(joined) == sum(len(over) for over in overs if over is not None))
        return joined

    def order(self, *inputs: int) -> tuple[Sizes, Sizes] | None:
        """The order in which these inputs have the batch."""
        found = {order for i in inputs if (order := self.placements[i].order) is not None}
        self.require(len(found) <= 1)
        return found.pop() if found else None

    def aligned(self, over: frozenset[Value | None] | None, *inputs: int) -> Placement:
        """Where the result of an op stands that broadcasts its inputs, or those that are named."""
        sharded = [i for i in inputs or range(len(self.placements)) if self.placements[i].kind == "shard"]
        if not sharded:
            return Placement(over=over)
        back = {self.placements[i].axis - len(self.shape(i)) for i in sharded}
        self.require(len(back) == 1)
        return Placement("shard", len(self.out) + back.pop(), self.order(*sharded), over)


Placing = Callable[[Step], "Placement | Iterable[Placement]"]

RULES: dict[str, Placing] = {}
"""For each op, by its name, how its results are placed."""


def places(*ops: str) -> Callable[[Placing], Placing]:
    """Declare how the results of ops are placed, given how their inputs are. A decorator.

    The rule gets a `Step` and returns a `Placement` for each output. Where a result does not follow from parts of the
    batch it raises `InseparableError`, by `Step.require`. Results of an op without a rule never do.

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
    """The product of sizes.

    Raises:
        InseparableError: one of them is known in the run alone.
    """
    number = 1
    names: list[str] = []
    for size in sizes:
        if size is None:
            raise InseparableError("a size is known in the run alone")
        if isinstance(size, int):
            number *= size
        elif size.offset:
            names.append(str(size))
        else:
            number *= size.coefficient
            names += size.symbols
    return number, tuple(sorted(names))


def times(*factors: Sizes) -> Sizes:
    """The product of products."""
    number = 1
    names: list[str] = []
    for factor in factors:
        number *= factor[0]
        names += factor[1]
    return number, tuple(sorted(names))


def quotient(whole: Sizes, part: Sizes) -> Sizes | None:
    """What `part` has to be multiplied with to give `whole`; None if there is no such product."""
    left = Counter(whole[1])
    left.subtract(Counter(part[1]))
    if not part[0] or whole[0] % part[0] or any(n < 0 for n in left.values()):
        return None
    return whole[0] // part[0], tuple(sorted(left.elements()))


def has(size: Any, symbol: str) -> bool:
    """Whether a size depends on a symbol."""
    return isinstance(size, Size) and symbol in symbols_of(size)
