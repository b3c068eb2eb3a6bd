"""Finds the free axes of a function's inputs: one trace with formulas for sizes, and what other runs say about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, count, permutations
from typing import Any

from ..errors import ExportError, TraceError
from ..tracer.agreement import require_agreement
from ..tracer.dim import Guard
from ..tracer.graph import Graph
from ..tracer.size import Size
from ..tracer.symbolic import resolved
from .decisions import Decisions
from .example import Axis, Example
from .naming import asked_axes, listed, names_of
from .probes import probes
from .proof import Condition, Proof
from .reads import is_counted, line_of, raised_by_the_user
from .runs import RefusedError
from .sizeruns import SizeRuns
from .states import parameter_states
from .ties import Ties

__all__ = ["Dynamic", "prove"]

Dynamic = str | None | Mapping[str, Mapping[int, str]]
"""The requested axes: "auto", None, or the name of each free axis by input and axis."""

_PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59)
"""Sizes to run at: no multiple, quotient or power in a program is likely to meet them by chance."""

_ATTEMPTS = 4
"""The most sizes at which the function may raise an error before an axis counts as fixed."""


def prove(
    function: Callable[..., Any],
    example: Example,
    dynamic: Dynamic,
    *,
    conditional: bool = False,
    trained: bool = False,
) -> Proof:
    """Finds the free axes, or checks the requested ones; returns a graph that holds at all sizes its conditions allow.

    Args:
        function: the function.
        example: its arguments.
        dynamic: the requested axes.
        conditional: whether the graph may hold under conditions on sizes, such as a branch of the function takes; if
            not, such a branch fixes the axis.
        trained: whether what requires gradients may change from call to call, as inputs do.

    Raises:
        ExportError: a value, or an earlier call, decides what the function does, or a requested axis is not free.
    """
    if dynamic is not None and dynamic != "auto" and not isinstance(dynamic, Mapping):
        raise ValueError(
            f"to_onnx: dynamic must be 'auto', None, or a mapping such as {{'x': {{0: 'batch'}}}}; got {dynamic!r}"
        )
    prover = _Prover(function, example, conditional, trained)
    prover.require_no_state()
    prover.check_reads(prover.base, {})
    if isinstance(dynamic, Mapping):
        asked = asked_axes(dynamic, example)
        prover.ask(asked)
        prover.fixed |= {
            axis: "it was not asked to be dynamic" for axis in prover.all_axes() if axis not in prover.symbols
        }
    elif dynamic is None:
        prover.fixed = dict.fromkeys(prover.all_axes(), "no axis was asked to be dynamic")
    else:
        prover.consider()
    graph = prover.search()
    groups = prover.groups()
    if dynamic == "auto":
        graph, groups = prover.renamed(graph, names_of(graph, groups, example.axis_names))
    example.note_roles(graph, {symbol: axes[0] for symbol, axes in groups.items()})
    axes = {axis: symbol for symbol, group in groups.items() for axis in group}
    sizes = {symbol: prover.size(group[0]) for symbol, group in groups.items()}
    tight = frozenset(prover.tight())
    return Proof(graph, axes, sizes, prover.fixed, prover.harmless(), tuple(prover.conditions), tight)


class _Prover(SizeRuns):
    """Searches the axes that may vary.

    Attributes:
        fixed: why each other axis is fixed.
        conditions: what sizes must satisfy.
    """

    def __init__(self, function: Callable[..., Any], example: Example, conditional: bool, trained: bool) -> None:
        super().__init__(function, example, trained)
        self.fixed: dict[Axis, str] = {}
        self.conditions: list[Condition] = []
        self._conditional = conditional
        self._start: dict[str, int] = {}
        self._asked = False
        self._tight: set[Axis] = set()
        self._trace = self.base
        self._taken = {n for node in self.base.nodes for spec in node.outputs for n in spec.shape}
        self._taken |= {n for value in self.base.captured for n in value.shape}
        self._taken |= {n for array in example.arrays.values() for n in array.shape}

    # --- what may vary

    def consider(self) -> None:
        """Gives each axis a symbol of its own, if it may vary."""
        states = parameter_states(self.base)
        for axis in self.all_axes():
            name, place = axis
            if name in states:
                self.fixed[axis] = "it is combined with a parameter of the same shape"
            elif self.size(axis) == 0:
                self.fixed[axis] = "its size is zero"
            else:
                self.symbols[axis] = f"{name}_dim_{place}"

    def ask(self, groups: Mapping[str, tuple[Axis, ...]]) -> None:
        """Gives the requested axes their symbols.

        Raises:
            ExportError: axes of one name have different sizes, or a size is zero.
        """
        self._asked = True
        for symbol, axes in groups.items():
            sizes = {self.size(axis) for axis in axes}
            if len(sizes) > 1:
                raise ExportError(
                    f"to_onnx: the axes named {symbol!r} have different sizes in the example: {listed(axes)}"
                )
            if sizes == {0}:
                raise ExportError(f"to_onnx: {listed(axes)} cannot be dynamic ({symbol!r}): its size is zero")
            self.symbols |= dict.fromkeys(axes, symbol)

    def groups(self) -> dict[str, tuple[Axis, ...]]:
        """Returns the axes of each symbol."""
        return {symbol: self.axes_of(symbol) for symbol in dict.fromkeys(self.symbols.values())}

    def tight(self) -> set[Axis]:
        """Returns the axes of which the function accepts no other size."""
        # An axis of size one may be broadcast, and then fit another size.
        return {axis for axis in self._tight if self.size(axis) > 1 or all(map(self._rejects, (axis, axis), (2, 3)))}

    def _rejects(self, axis: Axis, size: int) -> bool:
        try:
            self.traced({axis: size})
        except Exception:  # the user's code may raise anything at an unsupported size
            return True
        return False

    def _fix(self, symbol: str, why: str, tight: bool = False) -> None:
        """Fixes the axes of a symbol.

        Raises:
            ExportError: the axes were asked to vary.
        """
        axes = self.axes_of(symbol)
        if self._asked:
            raise ExportError(f"to_onnx: {listed(axes)} cannot be dynamic ({symbol!r}): {why}{self.unasked(symbol)}")
        self.fixed |= dict.fromkeys(axes, why)
        self._tight.update(axes if tight else ())
        for axis in axes:
            del self.symbols[axis]
        self._start.pop(symbol, None)

    # --- the search

    def search(self) -> Graph:
        """Returns the graph; axes that cannot vary are fixed.

        Raises:
            ExportError: a value was frozen into the graph, or an axis that was asked to vary cannot.
        """
        self._start = {symbol: self.size(axes[0]) for symbol, axes in self.groups().items()}
        self._grow()
        while True:
            graph, leaky = self._traced()
            self._check_counted()
            if (why := self._difference(graph, self._start)) is not None:
                if self.plain_keys or not leaky:
                    self._fix_all(why)  # the function asks for the type of a size, or the like
                self.plain_keys = True
                continue
            self._require_no_values(graph)
            broken = self._confirm(graph) or self._probe(graph, leaky)
            if not broken:
                self._try_zero(graph)
                return graph
            for symbol, why in broken.items():
                self._fix(symbol, why)

    def _traced(self) -> tuple[Graph, bool]:
        """Traces the function with formulas, until no further axis is fixed; returns the graph, and if sizes leaked."""
        while True:
            try:
                trace = self._trace = self.symbolic(self._start)
            except TraceError as error:
                raise ExportError(f"to_onnx: {error}") from error
            except ExportError:
                raise
            except Exception as error:  # code that works with plain numbers alone
                self._fix_all(f"{line_of(error)} needs plain numbers for sizes: {type(error).__name__}: {error}")
                continue
            ties = Ties(trace.sizes.guards, self._start)
            decisions = Decisions(self, trace, ties, self._start, self._conditional)
            again = any(self._start[symbol] != self._own(symbol) for symbol in decisions.reasons)
            self._join(ties, decisions)
            if again:
                continue
            self.conditions = decisions.conditions
            return decisions.graph, decisions.leaky

    def _check_counted(self) -> None:
        """Checks reads of what follows from sizes, without any element of an input.

        Raises:
            ExportError: one decides what the function does.
        """
        keys = {
            read.key for read in self._trace.reads if not self._trace.depends(read.value) and is_counted(read.value)
        }
        if not keys <= self.counted:
            self.counted |= keys
            self.reads = {key: read for key, read in self.reads.items() if key not in keys}
            self.check_reads(self.base, {})

    def _own(self, symbol: str) -> int:
        return self.size(self.axes_of(symbol)[0])

    def _join(self, ties: Ties, decisions: Decisions) -> None:
        """Joins axes that must be equal, and fixes those that a decision fixes."""
        for symbol, target in ties.names.items():
            if type(symbol) is not str or symbol not in self._start:
                continue
            if isinstance(target, Size):
                if self._asked:
                    axes = (*self.axes_of(str(target)), *self.axes_of(symbol))
                    raise ExportError(
                        f"to_onnx: {listed(axes)} must be equal, and so need one name; got {target!s} and {symbol}"
                    )
                continue
            self._fix(symbol, decisions.reasons.get(symbol, f"it is always {target}"), symbol in decisions.tight)
        for axis, symbol in self.symbols.items():
            target = ties.names.get(symbol, symbol)
            self.symbols[axis] = str(target)
        self._start = {symbol: n for symbol, n in self._start.items() if symbol in self.symbols.values()}

    def _fix_all(self, why: str) -> None:
        if not self.symbols:
            raise ExportError(f"to_onnx: {why}")
        for symbol in list(self._start):
            self._fix(symbol, why)

    def _grow(self) -> None:
        """Begins with more than one element along each axis: at size one an axis looks like one that is broadcast."""
        ones = [symbol for symbol, n in self._start.items() if n == 1]
        if not ones:
            return
        try:
            trace = self.symbolic(self._start)
        except Exception:  # `_traced` meets it again, and says so
            return
        # Axes of size one that meet grow together.
        pairs = [g for g in trace.sizes.guards if g.is_equality and not isinstance(g.right, int)]
        ties = Ties([g for g in pairs if isinstance(g.left, Size) and isinstance(g.right, Size)], self._start)
        names = {s: str(ties.names[s]) if isinstance(ties.names.get(s), Size) else s for s in ones}
        groups = dict.fromkeys(names.values())
        primes = (n for n in chain(_PRIMES, count(61, 2)) if n not in self._taken)
        larger = {group: next(primes) for group in groups if group in ones}

        def grown(chosen: Iterable[str]) -> dict[str, int]:
            return {s: larger[names[s]] if s in names and names[s] in chosen else n for s, n in self._start.items()}

        if (why := self._raises(grown(larger))) is not None:
            kept: list[str] = []
            for group in larger:
                if (why := self._raises(grown([*kept, group]))) is None:
                    kept.append(group)
                else:
                    for symbol in [s for s in ones if names[s] == group]:
                        self._fix(symbol, f"the model refuses another size: {why}")
            larger = {group: n for group, n in larger.items() if group in kept}
        self._start = grown(larger)

    def _raises(self, sizes: Mapping[str, int]) -> str | None:
        """Returns what the function raises at some sizes; None if it runs."""
        try:
            self.plain(sizes)
        except Exception as error:  # the user's code may raise anything at an unsupported size
            return str(error)
        return None

    # --- other runs

    def _require_no_values(self, graph: Graph) -> None:
        """Checks that no value computed from the inputs was frozen into the graph.

        Raises:
            ExportError: one was; the message says where.
        """
        failed: tuple[Exception, str] | None = None
        for arrays in self.example.perturbations():
            try:
                require_agreement(self.base, self.run_on(arrays), shapes=False)
            except ExportError:
                raise
            except TraceError as error:
                # A size that depends on elements differs, and the graph measures it.
                if not (graph.measured and self.same_numbers(graph, self._start)):
                    raise ExportError(f"to_onnx: {error}") from error
                return
            except Exception as error:
                # What the user's own code rejects, no result depends on: `check_reads` has seen to that.
                if not raised_by_the_user(error):
                    failed = error, self.example.made_up(arrays)
            else:
                return
        if failed is not None:
            cause, made = failed
            raise ExportError(
                f"to_onnx: the function fails with other values than those of the example: {type(cause).__name__}: "
                f"{cause}{made}"
            ) from cause

    def _confirm(self, graph: Graph) -> dict[str, str]:
        """Runs with each axis at another size, and with all of them; returns which do something else, and what."""
        moved = {}
        for symbol, n in self._start.items():
            why = None
            attempts = 0
            for other in self._others(symbol, n):
                sizes = self._settled({**self._start, symbol: other}, symbol)
                if not self._allowed(sizes) or self.too_large(sizes):
                    continue
                attempts += 1
                try:
                    why = self.difference(graph, sizes, self._start)
                except Exception as error:  # the user's code may raise anything at an unsupported size
                    if _decides(error):
                        raise
                    why = f"the model refuses another size: {error}"
                    if attempts < _ATTEMPTS:
                        continue
                if why is None:
                    moved[symbol] = other
                break
            if symbol not in moved:
                return {symbol: why or "no other size could be tried"}
        if len(moved) > 1 and self._allowed(moved) and not self.too_large(moved):
            try:
                why = self.difference(graph, moved, self._start)
            except Exception as error:  # the user's code may raise anything at an unsupported size
                if _decides(error):
                    raise
                why = str(error)
            if why is not None:
                return {list(moved)[-1]: f"it cannot vary together with the others: {why}"}
        return {}

    def _others(self, symbol: str, n: int) -> list[int]:
        """Returns other sizes to try: primes that no axis has, then those close by."""
        rank = list(self._start).index(symbol)
        primes = [p for p in _PRIMES if p not in self._taken and p != n]
        chosen = primes[rank % max(1, len(primes)) :] or [n + 7]
        return [chosen[0], *(n + step for step in (1, 2, -1, 3, 4) if n + step > 1), 2 * n, 3 * n, 8 * n, *chosen[1:3]]

    def _settled(self, sizes: dict[str, int], moved: str) -> dict[str, int]:
        """Returns sizes that satisfy conditions, by those of other symbols than the one that was moved."""
        for condition in self.conditions:
            for symbol in sizes if not condition.guard.holds(sizes) else ():
                n = condition.guard.solved(symbol, sizes) if symbol != moved else None
                if n is not None:
                    sizes = {**sizes, symbol: n}
                    break
        return sizes

    def _allowed(self, sizes: Mapping[str, int]) -> bool:
        return all(condition.guard.holds(sizes) for condition in self.conditions)

    def _difference(self, graph: Graph, sizes: Mapping[str, int]) -> str | None:
        """Returns how the function differs from the graph; None also if it raises an error, or would take long."""
        if self.too_large(sizes) or not self._allowed(sizes):
            return None
        try:
            return self.difference(graph, sizes, self._start)
        except Exception as error:  # the user's code may raise anything at an unsupported size
            if _decides(error):
                raise
            return None

    def _probe(self, graph: Graph, leaky: bool) -> dict[str, str]:
        """Runs at sizes that no run has seen; returns the axis that makes the function do something else, and what."""
        found = probes(self.reach, leaky)
        # A size may be compared with another one where it is a key.
        others = sorted(n for n in self._taken if 0 < n < 2000)[:_ATTEMPTS] if leaky else []
        for symbol in self._start:
            for n in dict.fromkeys((*found.alone, *others)):
                if (why := self._difference(graph, self._settled({**self._start, symbol: n}, symbol))) is not None:
                    return {symbol: why}
        for sizes in found.together:
            for symbols in permutations(self._start, len(sizes)):
                moved = {**self._start, **dict(zip(symbols, sizes, strict=True))}
                if (why := self._difference(graph, moved)) is not None:
                    return {symbols[0]: why}
        return {}

    def _try_zero(self, graph: Graph) -> None:
        """Adds a condition for each axis along which the function does something else without any elements."""
        for symbol in self._start:
            if self._difference(graph, {**self._start, symbol: 0}) is not None:
                guard = Guard("ge", Size.symbol(symbol), 1, True)
                self.conditions.append(Condition(guard, None, False))

    def renamed(self, graph: Graph, names: Mapping[str, str]) -> tuple[Graph, dict[str, tuple[Axis, ...]]]:
        """Gives the symbols other names; returns the graph and the groups with these."""
        targets = {old: Size.symbol(new) for old, new in names.items()}
        self.conditions = [c._replace(guard=c.guard.renamed(targets)) for c in self.conditions]
        return resolved(graph, targets), {names[symbol]: axes for symbol, axes in self.groups().items()}


def _decides(error: Exception) -> bool:
    """Returns whether an error says that the function cannot be exported, rather than that it rejects some sizes."""
    return isinstance(error, ExportError) and not isinstance(error, RefusedError)
