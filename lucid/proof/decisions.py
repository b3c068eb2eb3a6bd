"""Decisions: what a program decides by sizes, and whether that matters at other sizes.

A guard that holds at all sizes decides nothing. For any other the function is traced at sizes where it comes out
otherwise. If it raises an error there, the guard is a condition of the program itself. If the graph is the same, the
guard is harmless. If not, the axis is fixed, or the graph holds under this condition only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import combinations, islice, product
from typing import Any, NamedTuple

from ..errors import ExportError, TraceError
from ..tracer.agreement import require_agreement
from ..tracer.bounds import always
from ..tracer.dim import DIVISION, OPPOSITE, Guard
from ..tracer.graph import Graph
from ..tracer.location import Location
from ..tracer.size import Atom, Real, Size, symbols_of, unknowns_of
from ..tracer.symbolic import resolved
from .proof import Condition
from .sizeruns import SizeRuns
from .ties import Ties

__all__ = ["Decisions"]

_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 32, 33, 61, 64, 100, 128, 257)
"""Sizes at which a guard may come out otherwise."""

_TRIES = 4
"""The most sizes at which the function is traced for one guard."""

_MOST_TRIED = 4000
"""The most combinations of sizes for which a guard is evaluated."""


_MOST_PAIRED = 12
"""The most guards that are tried in pairs."""


class _Tried(NamedTuple):
    """At how many sizes the graph was the same, at how many the function raised an error; whether it decides."""

    agreed: int
    refused: int
    decides: bool


class Decisions:
    """The guards of a symbolic trace, and what follows from them.

    Args:
        runs: the runs.
        trace: the trace.
        ties: what its equalities say; axes that a guard fixes are added.
        start: the size of each symbol in the trace.
        conditional: whether a guard that decides something becomes a condition of the graph; if not, it fixes its axes.

    Attributes:
        conditions: the conditions of the graph.
        reasons: for each symbol that is fixed, why.
        tight: the symbols of which the function accepts no other size.
        leaky: whether sizes left the trace in another way than by numbers: as text, or as keys of a table.
    """

    def __init__(
        self, runs: SizeRuns, trace: Graph, ties: Ties, start: Mapping[str, int], conditional: bool = False
    ) -> None:
        self.conditions: list[Condition] = []
        self.reasons: dict[str, str] = {}
        self.leaky = trace.sizes.hashed or trace.sizes.leaked
        self._runs = runs
        self._trace = trace
        self._ties = ties
        self._start = start
        self._conditional = conditional
        self._places: dict[Guard, Location | None] = dict(trace.sizes.guards)
        # What makes plain numbers of sizes fixes them, without any run.
        self._waiting: list[Guard] = sorted(ties.rest, key=lambda guard: guard.required or not guard.how)
        # The sizes of the run in which each further guard was met.
        self._contexts: dict[Guard, Mapping[str, int]] = {}
        self._harmless: list[Guard] = []
        self._assumed: list[Condition] = []
        self.tight: set[str] = set(ties.fixed)
        for symbol, guard in ties.fixed.items():
            self.reasons[symbol] = _reason(guard, self._places[guard])
        while self._waiting:
            self._judge(self._waiting.pop(0))
            if not self._waiting:
                self._judge_pairs()
        # An axis that a later guard fixed is a number now.
        names = {symbol: target for symbol, target in ties.names.items() if type(symbol) is str}
        kept = [c for c in self.conditions if c in self._assumed or not _is_certain(c.guard.renamed(ties.names))]
        named = [c._replace(guard=_simplest(c.guard.renamed(names))) for c in kept]
        self.conditions = list({c.guard: c for c in named if not _is_certain(c.guard)}.values())

    @property
    def graph(self) -> Graph:
        """The trace with the names that ties give."""
        return resolved(self._trace, self._ties.names)

    def _judge(self, original: Guard) -> None:
        guard = original.renamed(self._ties.names)
        where = self._places[original]
        symbols = symbols_of((guard.left, guard.right))
        if unknowns_of((guard.left, guard.right)):
            if always(guard.kind, guard.left, guard.right) is not guard.outcome:
                self._judge_unknown(original, guard, where)
            return
        if not symbols:
            return
        if guard.kind == "text":
            self.leaky = True
            with redirect_stdout(io.StringIO()):  # the text has a made-up number in it
                same = self._same(lambda: self._runs.symbolic(self._start, original))
            if not same:
                self._fix(symbols, original, where)
            return
        if _is_certain(guard):
            return
        if guard.how and not guard.required:
            # What the program does with a plain number is not seen.
            self._fix(symbols, original, where)
            return
        if guard.required and guard.how != DIVISION and not _is_number(guard):
            # An op raises an error otherwise, or broadcasts.
            self._demand(guard, where)
            return
        self._judge_by_runs(original, guard, symbols, where)

    def _demand(self, guard: Guard, where: Location | None) -> None:
        """Makes a guard a condition of the program."""
        self.conditions.append(Condition(guard, where, True))
        if self._ties.assume(guard):
            self._assumed.append(self.conditions[-1])

    def _judge_by_runs(self, original: Guard, guard: Guard, symbols: set[str], where: Location | None) -> None:
        found = self._tried([guard], self._contexts.get(original, self._start))
        if guard.how == DIVISION and not (found.decides or found.agreed or found.refused):
            return  # no size is known that is divided by zero
        if found.decides or not (found.agreed or found.refused) or (not found.agreed and _is_number(guard)):
            if self._conditional and not guard.is_equality:
                self.conditions.append(Condition(guard, where, False))
            else:
                self._fix(symbols, original, where)
                self.tight |= symbols if found.refused and not (found.agreed or found.decides) else set()
        elif not found.agreed:
            self._demand(guard, where)
        else:
            self._harmless.append(original)

    def _judge_pairs(self) -> None:
        """Tries guards that are harmless alone together: a decision may take two of them."""
        for pair in combinations(self._harmless[:_MOST_PAIRED], 2):
            guards = [original.renamed(self._ties.names) for original in pair]
            symbols = symbols_of([(guard.left, guard.right) for guard in guards])
            if symbols and not any(map(_is_certain, guards)) and self._tried(guards, self._start).decides:
                self._fix(symbols, pair[0], self._places[pair[0]])

    def _tried(self, guards: Sequence[Guard], context: Mapping[str, int]) -> _Tried:
        """Runs the function where all guards come out otherwise."""
        agreed = refused = 0
        for sizes in islice(self._elsewhere(guards, context), _TRIES):
            try:
                self._runs.plain(sizes)
            except Exception:  # the user's code may raise anything at an unsupported size
                refused += 1
                continue
            try:
                other = self._runs.symbolic(sizes)
            except Exception:  # code that works with plain numbers alone
                return _Tried(agreed, refused, True)
            if not self._agrees(other, sizes) or (other.sizes.hashed and self._finds_a_key(sizes)):
                return _Tried(agreed, refused, True)
            agreed += 1
            self._add(other.sizes.guards, sizes)
        return _Tried(agreed, refused, False)

    def _finds_a_key(self, sizes: Mapping[str, int]) -> bool:
        """Returns whether the function does something else where a size is the key of a table, as in a plain run."""
        return self._runs.difference(self.graph, sizes, self._start) is not None

    def _judge_unknown(self, original: Guard, guard: Guard, where: Location | None) -> None:
        """Judges a guard on a size that depends on elements: the outcome may be another one at any sizes.

        Raises:
            ExportError: it decides something.
        """
        if guard.required:
            return
        decides = bool(guard.how)  # what the program does with a plain number is not seen
        if not decides:
            try:
                other = self._runs.symbolic(self._start, original)
            except Exception:  # the program, or an op in it, rejects the other outcome
                return
            decides = not self._agrees(other, None)
        if decides:
            raise ExportError(
                f"to_onnx: {where} {_what(guard)}: the size depends on the elements of a tensor, or on an op without a "
                "size rule, and decides what the function does; a file cannot decide; compute with tensors, as with "
                "lucid.where"
            )

    def _same(self, run: Any) -> bool:
        try:
            return self._agrees(run(), None)
        except Exception:  # the user's code may raise anything
            return False

    def _agrees(self, other: Graph, sizes: Mapping[str, int] | None) -> bool:
        graph = self.graph
        try:
            require_agreement(graph, resolved(other, self._ties.names))
        except TraceError:
            return sizes is not None and self._runs.same_numbers(graph, sizes)
        return True

    def _add(self, guards: Mapping[Guard, Location | None], sizes: Mapping[str, int]) -> None:
        """Adds the guards that a run at other sizes met first."""
        for guard, where in guards.items():
            if not any(guard._replace(outcome=outcome) in self._places for outcome in (True, False)):
                self._places[guard] = where
                self._contexts[guard] = sizes
                self._waiting.append(guard)

    def _fix(self, symbols: Iterable[str], guard: Guard, where: Location | None) -> None:
        for symbol in symbols:
            self.reasons[symbol] = _reason(guard.renamed(self._ties.names), where)
        self._ties.fix(symbols, guard)

    def _elsewhere(self, guards: Sequence[Guard], context: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """Yields sizes at which guards come out otherwise: small and large ones, near the numbers in them."""
        formulas = [(guard.left, guard.right) for guard in guards]
        near = {n + step for parts in formulas for n in _numbers(parts) for step in (-1, 0, 1)}
        group = sorted(symbols_of(formulas))
        choices = []
        for symbol in group:
            own = context[symbol]
            candidates = {*_SIZES, *near, own - 1, own + 1, own + 2, 2 * own}
            choices.append([own, *sorted(n for n in candidates if n > 0 and n != own)])
        found = []
        for combination in islice(product(*choices), _MOST_TRIED):
            moved = dict(zip(group, combination, strict=True))
            sizes = self._tied({**context, **moved})
            if not any(guard.holds(sizes) for guard in guards) and not self._runs.too_large(sizes):
                found.append(sizes)
        # The first and the last, and two between them.
        places = dict.fromkeys(round(i * (len(found) - 1) / (_TRIES - 1)) for i in range(_TRIES)) if found else {}
        yield from (found[i] for i in places)

    def _tied(self, sizes: dict[str, int]) -> dict[str, int]:
        """Returns sizes that satisfy the ties."""
        for symbol, target in self._ties.names.items():
            if type(symbol) is str:
                sizes[symbol] = target.at(sizes) if isinstance(target, Size) else target
        return sizes


def _is_certain(guard: Guard) -> bool:
    """Returns whether a guard holds at all sizes."""
    if not symbols_of((guard.left, guard.right)):
        return True
    return always(guard.kind, guard.left, guard.right) is guard.outcome


def _simplest(guard: Guard) -> Guard:
    """Returns a guard on one symbol as a comparison of that symbol with a number, and as one that is true."""
    kind = guard.kind if guard.outcome else OPPOSITE[guard.kind]
    plain = Guard(kind, guard.left, guard.right, True)
    if kind in ("eq", "ne") or any(isinstance(x, (Real, float)) for x in (guard.left, guard.right)):
        return plain
    difference = guard.left - guard.right
    product = difference.factors() if isinstance(difference, Size) else None
    rest = 0
    if isinstance(difference, Size) and product is None and len(difference.terms) == 2 and difference.terms[0][0] == ():
        rest = difference.terms[0][1]
        product = (difference - rest).factors()  # type: ignore[union-attr]
    if product is None or abs(product[0]) != 1 or len(product[1]) != 1:
        return plain
    # symbol + rest < 0, or -symbol + rest < 0
    number, turned = (-rest, kind) if product[0] == 1 else (rest, _TURNED[kind])
    if turned in ("lt", "gt"):
        number, turned = (number - 1, "le") if turned == "lt" else (number + 1, "ge")
    return Guard(turned, Size.symbol(product[1][0]), number, True)


_TURNED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def _is_number(guard: Guard) -> bool:
    """Returns whether a guard says that a size is a certain number."""
    if not guard.is_equality or any(isinstance(x, (Real, float)) for x in (guard.left, guard.right)):
        return False
    difference = guard.left - guard.right
    return len(difference.symbols) == 1 and all(type(atom) is str for atom in difference.atoms())


def _numbers(tree: Any) -> set[int]:
    """Returns the numbers in formulas, and what the symbols are compared with."""
    if isinstance(tree, Size):
        found = {abs(c) for _, c in tree.terms} | {tree.divisor}
        return found | {n for atom in tree.atoms() if type(atom) is Atom for n in _numbers(atom.operands)}
    if isinstance(tree, Real):
        return _numbers(tree.operands)
    if isinstance(tree, tuple):
        return {n for item in tree for n in _numbers(item)}
    return {int(abs(tree))} if isinstance(tree, (int, float)) and abs(tree) < 1e6 else set()


def _reason(guard: Guard, where: Location | None) -> str:
    if guard.required and not guard.is_equality:
        return f"{guard.how} at {where} needs {_simplest(guard)}"
    if guard.required:
        other = guard.right if not isinstance(guard.right, Size) else guard.left
        return f"{guard.how} at {where} needs it to be {other}" if not isinstance(other, Size) else _needs(guard, where)
    return f"{where} {_what(guard)}"


def _needs(guard: Guard, where: Location | None) -> str:
    return f"{guard.how} at {where} needs {guard.left} to be {guard.right}"


def _what(guard: Guard) -> str:
    """Describes what a program does with a size."""
    if guard.how:
        return guard.how if _is_symbol(guard.left) else f"{guard.how} ({guard.left})"
    left, right = ("it" if _is_symbol(x) else str(x) for x in (guard.left, guard.right))
    return f"compares {left} with {right if right != 'it' else guard.right}"


def _is_symbol(x: Any) -> bool:
    return isinstance(x, Size) and x.is_symbol
