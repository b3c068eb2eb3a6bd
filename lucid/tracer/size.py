"""Sizes: integer formulas of symbols, and numbers that Python computes from them.

A `Size` is a polynomial with integer coefficients over atoms, divided by an integer that always divides it. An atom is
a symbol, or what no polynomial describes: a remainder, a minimum, a rounded number. Every formula has one form, so that
equal formulas compare equal: ``n // k`` is ``(n - n % k) / k``, with the remainder as its atom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .arithmetic import ATOMS, REAL, key_of
from .operation import Atom, Operation
from .text import text_of_real, text_of_size

__all__ = [
    "Atom",
    "Extent",
    "Real",
    "Size",
    "evaluate",
    "real",
    "rounded",
    "symbols_of",
    "total",
    "unknown",
    "unknowns_of",
]


class Real(Operation):
    """A floating-point number computed from sizes."""

    __slots__ = ()

    def at(self, sizes: Mapping[Any, int]) -> Any:
        """Returns its value for given sizes of the symbols."""
        return REAL[self.name](*(evaluate(x, sizes) for x in self.operands))

    def renamed(self, names: Mapping[Any, Any]) -> Any:
        """Returns the same number with symbols replaced by others, by sizes or by numbers."""
        return real(self.name, *(_renamed(x, names) for x in self.operands))

    def __repr__(self) -> str:
        return text_of_real(self)


Monomial = tuple[Any, ...]
Terms = dict[Monomial, int]


class Size:
    """An integer formula of symbols.

    Attributes:
        terms: the coefficient of each product of symbols and atoms.
        divisor: what the polynomial is divided by.
        key: a number by which sizes are sorted, the same in every process.
        weight: the number of parts.

    Example:
        >>> from lucid.tracer.size import Size
        >>> time = Size.symbol("time")
        >>> (2 * time + 1) // 2
        time
        >>> ((-time) % 8).at({"time": 5})
        3
    """

    __slots__ = ("_hash", "divisor", "key", "terms", "weight")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...], divisor: int) -> None:
        self.terms = terms
        self.divisor = divisor
        self.key = key_of(divisor, *(part for m, c in terms for part in (c, *(getattr(a, "key", a) for a in m))))
        self.weight: int = sum(1 + sum(getattr(atom, "weight", 1) for atom in m) for m, _ in terms)
        self._hash = hash((terms, divisor))

    @staticmethod
    def symbol(name: str) -> Size:
        """Returns the size that a symbol stands for."""
        return Size((((name,), 1),), 1)

    @staticmethod
    def atom(name: str, *operands: Any) -> Size:
        """Returns the size that an atom stands for."""
        return Size((((Atom(name, operands),), 1),), 1)

    # --- what is in it

    def atoms(self) -> Iterator[Any]:
        """Yields the symbols and atoms of its polynomial."""
        for monomial, _ in self.terms:
            yield from monomial

    def factors(self) -> tuple[int, tuple[str, ...]] | None:
        """Returns a number and symbols that it is the product of; None if it is no such product."""
        if self.divisor != 1 or len(self.terms) != 1 or any(type(atom) is not str for atom in self.terms[0][0]):
            return None
        return self.terms[0][1], self.terms[0][0]

    @property
    def symbols(self) -> set[str]:
        """The symbols that it depends on."""
        return {name for atom in self.atoms() for name in _symbols(atom)}

    @property
    def unknowns(self) -> set[Atom]:
        """The sizes in it that no rule gives."""
        return {found for atom in self.atoms() for found in _unknowns(atom)}

    @property
    def is_symbol(self) -> bool:
        """Whether it is one symbol, and nothing else."""
        found = self.factors()
        return found is not None and found[0] == 1 and len(found[1]) == 1

    def at(self, sizes: Mapping[Any, int]) -> int:
        """Returns its value for given sizes of the symbols."""
        sum_ = 0
        for monomial, coefficient in self.terms:
            for atom in monomial:
                coefficient *= _value(atom, sizes)
            sum_ += coefficient
        return sum_ // self.divisor

    def renamed(self, names: Mapping[Any, Any]) -> Extent:
        """Returns the same size with symbols replaced by others, by sizes or by numbers."""
        result: Extent = 0
        for monomial, coefficient in self.terms:
            term: Extent = coefficient
            for atom in monomial:
                term = term * _atom_renamed(atom, names)
            result = result + term
        return _divided(result, self.divisor)

    # --- arithmetic

    def __add__(self, other: Extent) -> Extent:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        terms, divisor = _parts(other)
        common = math.lcm(self.divisor, divisor)
        found: Terms = {m: c * (common // self.divisor) for m, c in self.terms}
        for m, c in terms:
            found[m] = found.get(m, 0) + c * (common // divisor)
        return _size(found, common)

    __radd__ = __add__

    def __mul__(self, other: Extent) -> Extent:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        terms, divisor = _parts(other)
        found: Terms = {}
        for m, c in self.terms:
            for k, d in terms:
                product = tuple(sorted((*m, *k), key=_order)) if m and k else m or k
                found[product] = found.get(product, 0) + c * d
        return _size(found, self.divisor * divisor)

    __rmul__ = __mul__

    def __neg__(self) -> Extent:
        return self * -1

    def __sub__(self, other: Extent) -> Extent:
        return self + other * -1

    def __rsub__(self, other: int) -> Extent:
        return self * -1 + other

    def __mod__(self, other: Extent) -> Extent:
        return _mod(self, other)

    def __rmod__(self, other: int) -> Extent:
        return _mod(other, self)

    def __floordiv__(self, other: Extent) -> Extent:
        return _floordiv(self, other)

    def __rfloordiv__(self, other: int) -> Extent:
        return _floordiv(other, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms and self.divisor == other.divisor

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return text_of_size(self)


Extent = int | Size
"""A number or a formula."""


def total(sizes: Iterable[Any]) -> Any:
    """Returns the product of sizes."""
    result: Any = 1
    for n in sizes:
        result = result * n
    return result


def real(name: str, *operands: Any) -> Any:
    """Returns a floating-point number computed from sizes; a plain number if no operand is a formula."""
    if not any(isinstance(x, (Size, Real)) for x in operands):
        return REAL[name](*operands)
    return Real(name, operands)


def evaluate(tree: Any, sizes: Mapping[Any, int]) -> Any:
    """Replaces every formula in an attribute with its value."""
    if isinstance(tree, (Size, Real)):
        return tree.at(sizes)
    if isinstance(tree, (tuple, list)):
        return type(tree)(evaluate(item, sizes) for item in tree)
    if isinstance(tree, slice):
        return slice(*(evaluate(bound, sizes) for bound in (tree.start, tree.stop, tree.step)))
    return tree


def symbols_of(tree: Any) -> set[str]:
    """Returns the symbols that a shape or an attribute depends on."""
    if isinstance(tree, Size):
        return tree.symbols
    if isinstance(tree, Real):
        return {s for x in tree.operands for s in symbols_of(x)}
    if isinstance(tree, (tuple, list)):
        return {s for item in tree for s in symbols_of(item)}
    if isinstance(tree, slice):
        return {s for bound in (tree.start, tree.stop, tree.step) for s in symbols_of(bound)}
    if hasattr(tree, "nodes"):  # a graph
        shapes = [value.shape for value in tree.inputs.values()]
        parts = [(node.inputs, *node.attrs.values(), *(spec.shape for spec in node.outputs)) for node in tree.nodes]
        return symbols_of((shapes, parts))
    return set()


def unknowns_of(tree: Any) -> set[Atom]:
    """Returns the sizes in an attribute that no rule gives."""
    if isinstance(tree, Size):
        return tree.unknowns
    if isinstance(tree, Real):
        return {s for x in tree.operands for s in unknowns_of(x)}
    if isinstance(tree, (tuple, list)):
        return {s for item in tree for s in unknowns_of(item)}
    if isinstance(tree, slice):
        return unknowns_of((tree.start, tree.stop, tree.step))
    if hasattr(tree, "nodes"):  # a graph
        return {s for node in tree.nodes for s in unknowns_of((*node.inputs, *node.attrs.values()))}
    return set()


# --- the one form of every formula


def _parts(x: Extent) -> tuple[tuple[tuple[Monomial, int], ...], int]:
    if isinstance(x, Size):
        return x.terms, x.divisor
    return (((), int(x)),) if x else (), 1


def _size(terms: Terms, divisor: int = 1) -> Extent:
    kept = {m: c for m, c in terms.items() if c}
    if not kept:
        return 0
    if divisor != 1:
        common = math.gcd(divisor, *kept.values())
        divisor //= common
        kept = {m: c // common for m, c in kept.items()}
    if len(kept) == 1 and divisor == 1 and () in kept:
        return kept[()]
    return Size(tuple(sorted(kept.items(), key=lambda term: [_order(a) for a in term[0]])), divisor)


def _order(atom: Any) -> tuple[bool, str, int]:
    return (False, atom, 0) if type(atom) is str else (True, "", atom.key)


def _divided(x: Extent, divisor: int) -> Extent:
    """Divides by a number that is known to divide it."""
    if isinstance(x, int):
        return x // divisor
    return _size(dict(x.terms), x.divisor * divisor)


def _mod(n: Extent, k: Extent) -> Extent:
    if not isinstance(k, int):
        shorter = _cancelled(n, k)
        return _mod(shorter[0], shorter[1]) * shorter[2] if shorter is not None else Size.atom("mod", n, k)
    if not isinstance(n, Size):
        return n % k
    if k < 0:
        return -_mod(-n, -k)
    if k == 1:
        return 0
    if n.divisor == 1:
        # Coefficients count modulo k, and so do remainders by k or a multiple of it.
        found: Terms = {}
        inner: Extent = 0
        for monomial, coefficient in n.terms:
            if len(monomial) == 1 and type(atom := monomial[0]) is Atom and atom.name == "mod":
                modulus = atom.operands[1]
                if isinstance(modulus, int) and coefficient * modulus % k == 0:
                    inner = inner + coefficient * atom.operands[0]
                    continue
            found[monomial] = found.get(monomial, 0) + coefficient
        if inner != 0:
            return _mod(_size(found) + inner, k)
        reduced = _size({m: c % k for m, c in found.items()})
        if not isinstance(reduced, Size):
            return reduced % k
        # Of n % k and (-n) % k one is written by the other.
        first = next(c for m, c in reduced.terms if m)
        if 2 * first > k or (k == 2 and reduced.terms[0] == ((), 1)):
            return k - 1 - _mod(-reduced - 1, k)
        n = reduced
    return Size.atom("mod", n, k)


def _floordiv(n: Extent, k: Extent) -> Extent:
    if isinstance(n, int) and isinstance(k, int):
        return n // k
    if isinstance(k, int):
        if k < 0:
            return _floordiv(-n, -k)
        return _divided(n - _mod(n, k), k)
    shorter = _cancelled(n, k)
    return _floordiv(shorter[0], shorter[1]) if shorter is not None else Size.atom("floordiv", n, k)


def _cancelled(n: Extent, k: Size) -> tuple[Extent, int, Extent] | None:
    """Returns n and k without the symbols of k, and these, if k is a product and each term of n has its symbols."""
    if n == k:
        return 1, 1, k
    if len(k.terms) != 1 or k.divisor != 1 or not isinstance(n, Size):
        return (0, 1, k) if n == 0 else None
    ((monomial, coefficient),) = k.terms
    found: Terms = {}
    for m, c in n.terms:
        left = list(m)
        for atom in monomial:
            if atom not in left:
                return None
            left.remove(atom)
        found[tuple(left)] = c
    return _size(found, n.divisor), coefficient, Size(((monomial, 1),), 1)


# --- atoms


def _value(atom: Any, sizes: Mapping[Any, int]) -> Any:
    if type(atom) is str or atom in sizes:
        return sizes[atom]
    return ATOMS[atom.name](*(evaluate(x, sizes) for x in atom.operands))


def _symbols(atom: Any) -> Iterator[str]:
    if type(atom) is str:
        yield atom
    elif atom.name != "unknown":
        for x in atom.operands:
            yield from symbols_of(x)


def _unknowns(atom: Any) -> set[Atom]:
    if type(atom) is str:
        return set()
    return {atom} if atom.name == "unknown" else unknowns_of(atom.operands)


def _renamed(x: Any, names: Mapping[Any, Any]) -> Any:
    return x.renamed(names) if isinstance(x, (Size, Real)) else x


def _atom_renamed(atom: Any, names: Mapping[Any, Any]) -> Any:
    if atom in names:
        new = names[atom]
        return Size.symbol(new) if type(new) is str else new
    if type(atom) is str:
        return Size.symbol(atom)
    if atom.name == "unknown":
        return Size((((atom,), 1),), 1)
    return rounded(atom.name, *(_renamed(x, names) for x in atom.operands))


def rounded(name: str, *operands: Any) -> Any:
    """Returns the size that an operation gives: "min", "max", "mod", "floordiv", or the rounding of a `Real`."""
    if name == "mod":
        return _mod(*operands)
    if name == "floordiv":
        return _floordiv(*operands)
    if not any(isinstance(x, (Size, Real)) for x in operands):
        return ATOMS[name](*operands)
    if name in ("min", "max"):
        x, y = sorted(operands, key=lambda n: (isinstance(n, Size), n.key if isinstance(n, Size) else n))
        return x if x == y else Size.atom(name, x, y)
    return operands[0] if name != "bound" and isinstance(operands[0], Size) else Size.atom(name, *operands)


def unknown(*key: Any) -> Size:
    """Returns a size that no rule gives; equal keys stand for the same size."""
    return Size.atom("unknown", *key)
