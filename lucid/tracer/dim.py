"""Dim: a number that Python computes from the sizes of a trace; and Guard: what it decides by one.

In a symbolic trace the entries of a tensor's shape are `Dim`s. Arithmetic on them gives `Dim`s. A comparison gives a
bool, and the trace keeps a `Guard`: what was compared, and the outcome. Whatever makes a plain number of a `Dim`, such
as ``range(n)``, `math.sqrt`, NumPy or an index into a list, is a guard as well: that it is this number.

A `Dim` is not a subclass of int, since CPython reads the digits of one without asking, in ``range(n)`` or ``[0] * n``.
It says that its class is int all the same, so that ``isinstance(n, int)`` holds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .size import Real, Size, evaluate, real, rounded

__all__ = ["DIVISION", "OPPOSITE", "Dim", "Guard", "concrete", "formula", "has_dim", "made_of"]


class Guard(NamedTuple):
    """A comparison of sizes, and its outcome: the graph is the function's only where the outcome is the same.

    Attributes:
        kind: "lt", "le", "eq", "ne", "gt" or "ge"; "text" if the number was written as text.
        left: what was compared, a formula or a number.
        right: with what.
        outcome: the outcome.
        how: what the program does with the left side, in its terms; "" for a comparison, and the op if it is required.
        required: whether an op raises an error if it comes out otherwise.
    """

    kind: str
    left: Any
    right: Any
    outcome: bool
    how: str = ""
    required: bool = False

    def renamed(self, names: Any) -> Guard:
        """Returns the guard with its symbols replaced."""
        return self._replace(left=_renamed(self.left, names), right=_renamed(self.right, names))

    def holds(self, sizes: Any) -> bool:
        """Returns whether it has the same outcome at other sizes."""
        compare = getattr(operator, self.kind)
        try:
            left, right = evaluate(self.left, sizes), evaluate(self.right, sizes)
        except ArithmeticError:  # there is no such number at these sizes
            return False
        return bool(compare(left, right)) is self.outcome

    def solved(self, symbol: str, sizes: Any) -> int | None:
        """Returns the size of a symbol with which an equality holds, given the others; None if none is found."""
        if not self.is_equality or isinstance(self.left, (Real, float)) or isinstance(self.right, (Real, float)):
            return None
        return next((n for n in range(1, _MOST_TRIED) if self.holds({**sizes, symbol: n})), None)

    @property
    def is_equality(self) -> bool:
        """Whether it says that two sizes are equal."""
        return (self.kind, self.outcome) in (("eq", True), ("ne", False))

    def __str__(self) -> str:
        kind = self.kind if self.outcome else OPPOSITE[self.kind]
        return f"{self.left} {_SIGNS[kind]} {self.right}"


OPPOSITE = {"lt": "ge", "le": "gt", "eq": "ne", "ne": "eq", "gt": "le", "ge": "lt"}
_SIGNS = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}


def _renamed(x: Any, names: Any) -> Any:
    return x.renamed(names) if isinstance(x, (Size, Real)) else x


def _is_row(kind: type) -> bool:
    """Returns whether it is a list or a tuple, such as the shape of a tensor, but no record with named fields."""
    return kind is tuple or kind is list or (issubclass(kind, tuple) and not hasattr(kind, "_fields"))


def formula(tree: Any) -> Any:
    """Replaces every `Dim` in an attribute with its formula."""
    kind = type(tree)
    if kind is Dim:
        return tree.formula
    if _is_row(kind):
        return (list if kind is list else tuple)([formula(item) for item in tree])
    if kind is slice:
        return slice(formula(tree.start), formula(tree.stop), formula(tree.step))
    return tree


def concrete(tree: Any) -> Any:
    """Replaces every `Dim` in an attribute with its number in this run."""
    kind = type(tree)
    if kind is Dim:
        return tree.n
    if _is_row(kind):
        return (list if kind is list else tuple)([concrete(item) for item in tree])
    if kind is slice:
        return slice(concrete(tree.start), concrete(tree.stop), concrete(tree.step))
    return tree


def has_dim(tree: Any) -> bool:
    """Returns whether there is a `Dim` in an attribute."""
    kind = type(tree)
    if _is_row(kind):
        return any(map(has_dim, tree))
    return kind is Dim or (kind is slice and has_dim((tree.start, tree.stop, tree.step)))


DIVISION = "a division"
"""What a guard requires whose size is divided by."""

_DIVISIONS = ("div", "floordiv", "mod")


def _binary(name: str, plain: Callable[[Any, Any], Any], symbolic: Callable[[Any, Any], Any] | None = None) -> Any:
    """Returns a method for an operator and one for its reflection."""

    def compute(left: Any, right: Any, owner: Any) -> Any:
        x, y = concrete(left), concrete(right)
        if name in _DIVISIONS and type(right) is Dim:
            right.owner.guard(Guard("ne", right.formula, 0, y != 0, DIVISION, True))  # by zero, Python raises an error
        n = plain(x, y)
        a, b = formula(left), formula(right)
        if symbolic is not None and type(x) is not float and type(y) is not float:
            return made_of(n, symbolic(a, b), owner)
        return made_of(n, real(name, a, b), owner)

    def method(self: Dim, other: Any) -> Any:
        number = _number(other)
        return NotImplemented if number is None else compute(self, number, self.owner)

    def reflected(self: Dim, other: Any) -> Any:
        number = _number(other)
        return NotImplemented if number is None else compute(number, self, self.owner)

    return method, reflected


def made_of(n: Any, found: Any, owner: Any) -> Any:
    if not isinstance(found, (Size, Real)):
        return n
    made = Dim(n, found, owner)
    return made if found.weight <= _HEAVIEST else made._plain("computes a formula of it that is too long")


def _number(x: Any) -> Any:
    """Returns an operand as a `Dim` or a Python number; None if it is neither."""
    if type(x) is Dim or type(x) in (int, float):
        return x
    if isinstance(x, (int, float)):  # a bool, a member of an IntEnum
        return int(x) if isinstance(x, int) else float(x)
    return x.item() if isinstance(x, (np.integer, np.floating, np.bool_)) else None


def _comparison(kind: str) -> Any:
    compare = getattr(operator, kind)

    def method(self: Dim, other: Any) -> Any:
        number = _number(other)
        if number is None:
            return NotImplemented
        return self._guard(kind, number, bool(compare(self.n, concrete(number))), "")

    return method


class Dim:
    """A number that follows from sizes.

    Attributes:
        n: the number in this run.
        formula: the formula.
        owner: the `Sizes` of the trace that it belongs to.
    """

    __slots__ = ("formula", "n", "owner")

    def __init__(self, n: Any, formula: Any, owner: Any) -> None:
        self.n = n
        self.formula = formula
        self.owner = owner

    __class__ = property(lambda self: type(self.n))

    # --- arithmetic

    __add__, __radd__ = _binary("add", operator.add, operator.add)
    __sub__, __rsub__ = _binary("sub", operator.sub, operator.sub)
    __mul__, __rmul__ = _binary("mul", operator.mul, operator.mul)
    __truediv__, __rtruediv__ = _binary("div", operator.truediv)
    __floordiv__, __rfloordiv__ = _binary("floordiv", operator.floordiv, operator.floordiv)
    __mod__, __rmod__ = _binary("mod", operator.mod, operator.mod)
    _power, _rpower = _binary("pow", operator.pow)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if type(other) is int and 0 <= other <= _LARGEST_POWER and type(self.n) is int and modulus is None:
            result: Any = 1
            for _ in range(other):
                result = result * self
            return result
        if type(concrete(other)) is int and type(self.n) is int and concrete(other) >= 0:
            return pow(self._plain("raises it to a power"), operator.index(other), modulus)
        return self._power(other)

    def __rpow__(self, other: Any) -> Any:
        # A power of an int is an int, and no formula here gives it.
        return self._rpower(other) if type(other) is float else other ** self._plain("raises to the power of it")

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> Any:
        return made_of(-self.n, real("neg", self.formula) if type(self.n) is float else -self.formula, self.owner)

    def __pos__(self) -> Dim:
        return self

    def __abs__(self) -> Any:
        if type(self.n) is float:
            return abs(self._plain("computes with it"))
        return made_of(abs(self.n), rounded("max", self.formula, -self.formula), self.owner)

    def __rshift__(self, other: Any) -> Any:
        return self // (1 << operator.index(other))

    def __lshift__(self, other: Any) -> Any:
        return self * (1 << operator.index(other))

    def __and__(self, other: Any) -> Any:
        if type(other) is int and other >= 0 and not other & (other + 1):
            return self % (other + 1)
        return self._plain("computes with it") & other

    # --- rounding

    def _rounded(self, name: str, n: int) -> Any:
        return self if type(self.n) is int else made_of(n, rounded(name, self.formula), self.owner)

    def __floor__(self) -> Any:
        return self._rounded("floor", math.floor(self.n))

    def __ceil__(self) -> Any:
        return self._rounded("ceil", math.ceil(self.n))

    def __trunc__(self) -> Any:
        return self._rounded("trunc", math.trunc(self.n))

    def __round__(self, digits: Any = None) -> Any:
        if digits is not None:
            return round(self._plain("rounds it"), digits)
        return self._rounded("round", round(self.n))

    # --- guards

    __lt__, __le__, __eq__, __ne__, __gt__, __ge__ = map(_comparison, ("lt", "le", "eq", "ne", "gt", "ge"))

    def _guard(self, kind: str, other: Any, outcome: bool, how: str) -> bool:
        if self.owner.done:
            return outcome
        answer: bool = self.owner.guard(Guard(kind, self.formula, formula(other), outcome, how))
        return answer

    def _plain(self, how: str) -> Any:
        """Returns the plain number."""
        self._guard("eq", self.n, True, how)
        return self.n

    def __bool__(self) -> bool:
        return self._guard("ne", 0, self.n != 0, "")

    def __index__(self) -> int:
        return operator.index(self._plain("uses it as a plain number, as in range() or an index of a list"))

    def __int__(self) -> int:
        return int(self._plain("makes a plain int of it"))

    def __float__(self) -> float:
        return float(self._plain("makes a plain float of it"))

    def __complex__(self) -> complex:
        return complex(self._plain("makes a plain number of it"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._plain("passes it to NumPy"), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [x._plain("passes it to NumPy") if type(x) is Dim else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.n, name):
            raise AttributeError(f"{type(self.n).__name__!r} object has no attribute {name!r}")
        return getattr(self._plain(f"asks for its {name}"), name)

    def __hash__(self) -> int:
        # A table that is keyed by a size must not contain what another run put there: caches are filled anew.
        if self.owner.done:
            return hash(self.n)
        if self.owner.plain_keys or not self.owner.looks_up(self):
            return hash(self._plain("uses it as a key"))
        return hash((id(self.owner), self.formula))

    def __repr__(self) -> str:
        return repr(self._written())

    def __str__(self) -> str:
        return str(self._written())

    def __format__(self, spec: str) -> str:
        return format(self._written(), spec)

    def _written(self) -> Any:
        # Text is mostly for people. Another run writes another number, which shows whether it decides anything.
        return self.n if self._guard("text", self.n, True, "writes it as text") else _OTHER

    def __copy__(self) -> Dim:
        return self

    def __deepcopy__(self, memo: Any) -> Dim:
        return self

    def __reduce__(self) -> Any:
        return int, (self._plain("pickles it"),)


_MOST_TRIED = 1000
"""The largest size that is tried for an equality."""

_HEAVIEST = 100
"""The most parts of a formula."""

_LARGEST_POWER = 8
"""The largest exponent for which a power becomes products."""

_OTHER = 1023456789
"""The number that is written instead of a size."""
