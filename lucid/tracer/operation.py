"""Operation: a part of a formula, with what equal parts have in common."""

from __future__ import annotations

from typing import Any

from .arithmetic import key_of

__all__ = ["Atom", "Operation"]


class Operation:
    """An operation on numbers, `Size`s and `Real`s.

    Attributes:
        name: the name of the operation.
        operands: its operands.
        key: a number by which operations are sorted, the same in every process.
        weight: the number of parts.
    """

    __slots__ = ("_hash", "key", "name", "operands", "weight")

    def __init__(self, name: str, operands: tuple[Any, ...]) -> None:
        self.name = name
        self.operands = operands
        self.key = key_of(name, *(getattr(x, "key", x) for x in operands))
        self.weight: int = 1 + sum(getattr(x, "weight", 1) for x in operands)
        self._hash = hash((name, operands))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Operation)
            and type(other) is type(self)
            and self._hash == other._hash
            and (self.name, self.operands) == (other.name, other.operands)
        )

    def __hash__(self) -> int:
        return self._hash


class Atom(Operation):
    """A part of a formula that no polynomial describes.

    Its name is "mod", "floordiv", "min", "max", "floor", "ceil", "round" or "trunc"; "bound" for where a slice begins
    that is given the first operand, of as many elements as the second; or "unknown" for a size that no rule gives, with
    operands that identify it.
    """

    __slots__ = ()
