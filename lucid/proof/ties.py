"""Ties: which sizes of the inputs must be equal, and which must be a certain number, by what a trace decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..tracer.dim import Guard
from ..tracer.size import Atom, Real, Size, unknowns_of

__all__ = ["Ties"]


class Ties:
    """What symbols stand for, after all equalities among guards.

    Args:
        guards: the guards of a symbolic trace.
        sizes: the size of each symbol in that trace.

    Attributes:
        names: for each symbol that is equal to another, or to a number, which one.
        fixed: for each symbol that is a number the guard that says so.
        rest: the guards that say something else.
    """

    def __init__(self, guards: Iterable[Guard], sizes: Mapping[str, int]) -> None:
        self.names: dict[Any, Any] = {}
        self.fixed: dict[str, Guard] = {}
        self.rest: list[Guard] = []
        self._sizes = sizes
        self._order = list(sizes)
        # What ops require says most: often it makes the program's own checks say nothing more.
        given = sorted(guards, key=lambda guard: not guard.required)
        self.rest = [guard for guard in given if not (guard.is_equality and self._take(guard))]

    def _take(self, guard: Guard) -> bool:
        """Adds an equality, if symbols can satisfy it; returns whether they can."""
        found = guard.renamed(self.names)
        if any(isinstance(x, (Real, float)) for x in (found.left, found.right)):
            return False
        difference = found.left - found.right
        if isinstance(difference, int):
            return difference == 0
        if unknowns_of(difference):
            return guard.required and self._solve(difference)
        if len(difference.symbols) == 1 and all(type(atom) is str for atom in difference.atoms()):
            if guard.required:
                self.fix(difference.symbols, guard)
            return guard.required
        return self._take_product(difference)

    def fix(self, symbols: Iterable[str], guard: Guard) -> None:
        """Fixes symbols at their sizes, because of a guard."""
        for symbol in symbols:
            self.fixed[symbol] = guard
            self._put(symbol, self._sizes[symbol])

    def assume(self, guard: Guard) -> bool:
        """Makes use of a condition: what it says of a remainder, a minimum and so on takes the place of that.

        Returns:
            Whether it says any such thing.
        """
        if not guard.is_equality or any(isinstance(x, (Real, float)) for x in (guard.left, guard.right)):
            return False
        difference = guard.left - guard.right
        if not isinstance(difference, Size) or difference.divisor != 1:
            return False
        if len(difference.terms) == 1:
            # Symbols are at least one, so the other factor is zero.
            atoms = [atom for atom in difference.atoms() if type(atom) is Atom]
            if len(atoms) == 1:
                self._put(atoms[0], 0)
            return len(atoms) == 1
        return self._solve(difference)

    def _solve(self, difference: Size) -> bool:
        """Replaces a part of a formula, once it is known that the formula is zero."""
        for monomial, coefficient in difference.terms:
            if len(monomial) == 1 and type(monomial[0]) is Atom and abs(coefficient) == 1:
                own = Size(((monomial, coefficient),), 1)
                self._put(monomial[0], (own - difference) * coefficient)
                return True
        return False

    def _take_product(self, difference: Size) -> bool:
        """Ties the factors of two products that must be equal, in their order."""
        if difference.divisor != 1 or len(difference.terms) != 2:
            return False
        (one, m), (other, n) = difference.terms
        if m + n or len(one) != len(other) or not all(type(s) is str for s in (*one, *other)):
            return False
        pairs = list(zip(*(sorted(names, key=self._order.index) for names in (one, other)), strict=True))
        if any(self._sizes[a] != self._sizes[b] for a, b in pairs):
            return False
        for pair in pairs:
            kept, gone = sorted(pair, key=self._order.index)
            if kept != gone:
                self._put(gone, kept)
        return True

    def _put(self, symbol: Any, new: Any) -> None:
        target = Size.symbol(new) if type(new) is str else new
        for name, old in self.names.items():
            size = Size.symbol(old) if type(old) is str else old
            if isinstance(size, Size):
                self.names[name] = size.renamed({symbol: target})
        self.names[symbol] = target
