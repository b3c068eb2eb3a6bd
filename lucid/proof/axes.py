"""Finds the free axes of a function's inputs, by running it again with those axes changed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from itertools import combinations, permutations
from typing import Any

from ..errors import ExportError, LucidError, TraceError
from ..tracer.graph import Graph
from ..tracer.symbolic import Size, unify
from .example import Axis, Example
from .probes import probes
from .proof import Proof
from .runs import Runs
from .states import parameter_states

__all__ = ["Dynamic", "prove", "prove_at"]

Dynamic = str | None | Mapping[str, Mapping[int, str]]
"""The requested axes: "auto", None, or the name of each free axis by input and axis."""

_MOST_ELEMENTS = 1_000_000
"""The most elements of the inputs in a run at a size that is only probed."""

_MOST_PARTNERS = 4
"""The most axes of one size that are tried to vary together with another."""

_STEPS = (7, 1, -1, 2)
"""The changes of a size to try: the first one that the model accepts decides whether the axis is free."""


def prove(function: Callable[..., Any], example: Example, dynamic: Dynamic) -> Proof:
    """Finds the free axes, or checks the requested ones, and unifies the runs into one graph.

    Raises:
        ExportError: a value computed from the inputs was frozen into the graph, or a requested axis is not free.
    """
    prover = _Prover(function, example)
    prover.require_no_values()
    if dynamic is None:
        fixed = dict.fromkeys(prover.all_axes(), "no axis was asked to be dynamic")
        return Proof(prover.checked({}), {}, {}, fixed, prover.harmless())
    if dynamic == "auto":
        groups, fixed = prover.search()
        groups, more = prover.compatible(groups)
        fixed |= more
        while strange := prover.strange(groups):
            for symbol, why in strange.items():
                fixed |= dict.fromkeys(groups.pop(symbol), why)
        graph = prover.checked(groups)
        names = _names(graph, groups)
        groups = {names[symbol]: axes for symbol, axes in groups.items()}
    elif isinstance(dynamic, Mapping):
        groups = _asked(dynamic, example)
        prover.require(groups)
        for symbol, why in prover.strange(groups).items():
            raise ExportError(f"to_onnx: {_listed(groups[symbol])} cannot be dynamic ({symbol!r}): {why}")
        asked = {axis for axes in groups.values() for axis in axes}
        fixed = {axis: "it was not asked to be dynamic" for axis in prover.all_axes() if axis not in asked}
    else:
        raise ValueError(
            f"to_onnx: dynamic must be 'auto', None, or a mapping such as {{'x': {{0: 'batch'}}}}; got {dynamic!r}"
        )
    graph = prover.checked(groups)
    axes = {axis: symbol for symbol, group in groups.items() for axis in group}
    return Proof(graph, axes, prover.sizes_of(groups), fixed, prover.harmless(), prover.tight(axes))


def prove_at(
    function: Callable[..., Any], example: Example, axes: Mapping[str, Mapping[int, str]], sizes: Mapping[str, int]
) -> None:
    """Checks that the trace of a function at given sizes agrees with the one at the example's.

    A branch on a size may go one way at all sizes that `prove` tries, and the other way at these. If the function
    itself rejects these sizes, nothing is checked.

    Args:
        function: the exported function.
        example: the arguments that it was exported with.
        axes: for each input, the name of each free axis.
        sizes: the size of each free axis, by name.

    Raises:
        ExportError: it does not.
    """
    prover = _Prover(function, example)
    graph = prover.base
    moved: dict[Axis, int] = {}
    for symbol, n in sizes.items():
        group = [(name, axis) for name, own in axes.items() for axis, named in own.items() if named == symbol]
        before = prover.size(group[0])
        # At size one an axis looks like one that is broadcast.
        if n == before or min(n, before) < 2:
            continue
        moved |= dict.fromkeys(group, n)
        try:
            other = prover.run(moved)
        except Exception:  # the user's code may raise anything at an unsupported size
            return
        try:
            unify([graph, other], [{symbol: before}, {symbol: n}])
        except TraceError as error:
            raise ExportError(str(error)) from error
        graph = other


class _Prover(Runs):
    """Searches the axes that the runs of a function show to be free."""

    def __init__(self, function: Callable[..., Any], example: Example) -> None:
        super().__init__(function, example)
        self._probes = probes(function)
        self._steps: dict[Axis, int] = {}
        # The axes of which the function refused another size, and those of which it accepted one, alone or with others.
        self._refused: set[Axis] = set()
        self._accepted: set[Axis] = set()

    def all_axes(self) -> list[Axis]:
        return [(name, axis) for name, array in self.example.arrays.items() for axis in range(array.ndim)]

    def size(self, axis: Axis) -> int:
        return self.example.arrays[axis[0]].shape[axis[1]]

    def sizes_of(self, groups: Mapping[str, Iterable[Axis]]) -> dict[str, int]:
        return {symbol: self.size(next(iter(axes))) for symbol, axes in groups.items()}

    def moved(self, axes: Iterable[Axis], step: int) -> dict[Axis, int]:
        return {axis: self.size(axis) + step for axis in axes}

    def refusal(self, axes: tuple[Axis, ...]) -> str | None:
        """Returns the reason why these axes cannot vary together; None if they can."""
        why = None
        size = self.size(axes[0])
        # At one, any axis is broadcast. One that is broadcast fits at a size that another axis happens to have.
        unfit = {0, 1, *(self.size(axis) for axis in self.all_axes() if size == 1 and axis not in axes)}
        for step in _STEPS:
            if size + step in unfit:
                continue
            try:
                graph = self.traced(self.moved(axes, step))
            except Exception as error:  # the user's code may raise anything at an unsupported size
                why = why or f"the model refuses another size: {error}"
                if len(axes) == 1:
                    self._refused.update(axes)
                continue
            self._accepted.update(axes)
            try:
                n = self.size(axes[0])
                unify([self.base, graph], [{"n": n}, {"n": n + step}])
            except TraceError as error:
                return str(error)
            self._steps[axes[0]] = step
            return None
        return why or "no other size could be tried"

    def tight(self, free: Container[Axis]) -> frozenset[Axis]:
        """Returns the axes, other than the free ones, of which the function accepts no other size."""
        fixed = self._refused - self._accepted
        return frozenset(
            axis
            for axis in fixed
            # With more partners than `_with_partners` tries, it was not tried to vary all of them together.
            if axis not in free and sum(self.size(other) == self.size(axis) for other in fixed) <= _MOST_PARTNERS + 1
        )

    def search(self) -> tuple[dict[str, tuple[Axis, ...]], dict[Axis, str]]:
        """Returns the groups of axes that can vary together, and the reason why each other axis cannot."""
        groups: dict[str, tuple[Axis, ...]] = {}
        fixed: dict[Axis, str] = {}
        taken: set[Axis] = set()
        alone = {}
        states = parameter_states(self.base)
        for axis in self.all_axes():
            if axis[0] in states:
                fixed[axis] = "it is combined with a parameter of the same shape"
            elif self.size(axis) == 0:
                alone[axis] = "its size is zero"
            elif (why := self.refusal((axis,))) is not None:
                alone[axis] = why
            elif (symbol := self._tied(axis, groups)) is not None:
                joint = (*groups[symbol], axis)
                if (why := self.refusal(joint)) is not None:
                    fixed[axis] = why
                else:
                    groups[symbol] = joint
                    taken.add(axis)
            else:
                groups[f"s{len(groups)}"] = (axis,)
                taken.add(axis)
        for axis, why in alone.items():
            if axis in taken:
                continue
            partners = [a for a in alone if a != axis and a not in taken and self.size(a) == self.size(axis) > 0]
            group = self._with_partners(axis, partners)
            if group is None:
                fixed[axis] = why
            else:
                groups[f"s{len(groups)}"] = group
                taken.update(group)
        return groups, fixed

    def _tied(self, axis: Axis, groups: Mapping[str, tuple[Axis, ...]]) -> str | None:
        """Returns the group that an axis of size one must vary with: either alone would be broadcast to the other."""
        if self.size(axis) != 1:
            return None
        for symbol, axes in groups.items():
            if self.size(axes[0]) == 1:
                try:
                    self.traced({**self.moved(axes, 1), axis: 3})
                except Exception:  # the user's code may raise anything at an unsupported size
                    return symbol
        return None

    def _with_partners(self, axis: Axis, partners: list[Axis]) -> tuple[Axis, ...] | None:
        """Returns an axis with the fewest axes of the same size with which it can vary; None if there are none."""
        for count in range(1, min(len(partners), _MOST_PARTNERS) + 1):
            for chosen in combinations(partners, count):
                if self.refusal((axis, *chosen)) is None:
                    return (axis, *chosen)
        return None

    def require(self, groups: Mapping[str, tuple[Axis, ...]]) -> None:
        """Checks that each group can vary.

        Raises:
            ExportError: one cannot; the message gives the reason.
        """
        for symbol, axes in groups.items():
            sizes = {self.size(axis) for axis in axes}
            if len(sizes) > 1:
                raise ExportError(
                    f"to_onnx: the axes named {symbol!r} have different sizes in the example: {_listed(axes)}"
                )
            if (why := self.refusal(axes)) is not None:
                raise ExportError(f"to_onnx: {_listed(axes)} cannot be dynamic ({symbol!r}): {why}")

    def start(self, groups: Mapping[str, tuple[Axis, ...]]) -> dict[str, int]:
        """Returns the sizes to begin with."""
        # At size one an axis looks like one that is broadcast, so the graph is traced at another size.
        return {
            symbol: n if n > 1 else n + self._steps.get(groups[symbol][0], 1)
            for symbol, n in self.sizes_of(groups).items()
        }

    @staticmethod
    def sized(groups: Mapping[str, tuple[Axis, ...]], sizes: Mapping[str, int]) -> dict[Axis, int]:
        """Returns the size of each axis, given those of the groups."""
        return {axis: sizes[symbol] for symbol, axes in groups.items() for axis in axes}

    def compatible(self, groups: Mapping[str, tuple[Axis, ...]]) -> tuple[dict[str, tuple[Axis, ...]], dict[Axis, str]]:
        """Returns the groups that can all vary at once, and why each axis of the others is fixed."""
        try:
            self.checked(groups)
            return dict(groups), {}
        except ExportError:
            found: dict[str, tuple[Axis, ...]] = {}
            fixed: dict[Axis, str] = {}
            for symbol, axes in groups.items():
                try:
                    self.checked({**found, symbol: axes})
                    found[symbol] = axes
                except ExportError as error:
                    fixed |= dict.fromkeys(axes, f"it cannot vary together with the others: {error}")
            return found, fixed

    def strange(self, groups: Mapping[str, tuple[Axis, ...]]) -> dict[str, str]:
        """Returns the first group along which the function does something else at other sizes, and what.

        These are size one, and sizes that a program may compare with: see `probes`. Sizes that the function rejects do
        not count.
        """
        start = self.start(groups)
        base = self.traced(self.sized(groups, start))
        for symbol in groups:
            # At one an axis is broadcast, so ops may differ; but the result must not lose the axis.
            with suppress(Exception):
                short = self.traced(self.sized(groups, {**start, symbol: 1}))
                ranks, found = ([len(value.shape) for value in graph.outputs.values()] for graph in (base, short))
                if ranks != found:
                    return {symbol: "at size one a result has fewer axes, as after squeeze() without a dim"}
        moved = [{symbol: n} for n in self._probes for symbol in groups]
        if self._probes:
            # Sizes may be compared with each other.
            least, most = min(self._probes), max(self._probes)
            for one, other in permutations(groups, 2):
                moved += [{one: most, other: least}, {one: 7, other: 7}]
        near = [{**start, symbol: start[symbol] + self._steps.get(axes[0], 1)} for symbol, axes in groups.items()]
        for symbol in groups:
            runs = [start, *near]
            runs += [{**start, **change} for change in moved if symbol in change and {**start, **change} != start]
            graphs, sizes = [], []
            for run in runs:
                changed = self.sized(groups, run)
                if self.example.elements(changed) > _MOST_ELEMENTS:
                    continue
                # A LucidError rejects a size that the model cannot take; the user's own code may raise anything.
                with suppress(Exception):
                    graphs.append(self.traced(changed))
                    sizes.append(run)
            try:
                if len(graphs) > len(near) + 1:
                    unify(graphs, sizes)
            except TraceError as error:
                return {symbol: str(error)}
        return {}

    def checked(self, groups: Mapping[str, tuple[Axis, ...]]) -> Graph:
        """Unifies the graphs of all runs: the example's, and one with each group changed."""
        start = self.start(groups)
        offsets = self.sized(groups, start)
        try:
            graphs = [self.traced(offsets)]
            sizes = [start]
            others: list[tuple[tuple[Axis, ...], int]] = []
            for symbol, axes in groups.items():
                other = start[symbol] + self._steps.get(axes[0], 1)
                others.append((axes, other))
                graphs.append(self.traced({**offsets, **dict.fromkeys(axes, other)}))
                sizes.append({**start, symbol: other})
            for moved in [offsets, *({**offsets, **dict.fromkeys(axes, n)} for axes, n in others)]:
                self.check_reads(self.traced(moved), moved)
            graph = unify(graphs, sizes)
            self.example.note_roles(graph, {symbol: axes[0] for symbol, axes in groups.items()})
            return graph
        except TraceError as error:
            raise ExportError(f"to_onnx: {error}") from error
        except LucidError as error:
            raise ExportError(f"to_onnx: each free axis can vary by itself, but not all of them: {error}") from error


def _asked(dynamic: Mapping[str, Mapping[int, str]], example: Example) -> dict[str, tuple[Axis, ...]]:
    """Returns the requested axes, grouped by name.

    Raises:
        ExportError: there is no such input or axis.
    """
    groups: dict[str, list[Axis]] = {}
    for name, axes in dynamic.items():
        if name not in example.arrays:
            raise ExportError(f"to_onnx: dynamic names an input {name!r}; there is {', '.join(example.arrays)}")
        ndim = example.arrays[name].ndim
        for axis, symbol in axes.items():
            # A derived size is named by its formula, such as 2*time, so no axis may have such a name.
            if not isinstance(symbol, str) or not symbol.isidentifier():
                raise ExportError(f"to_onnx: an axis is named by a word; got {symbol!r} for axis {axis} of {name}")
            if not -ndim <= axis < ndim:
                raise ExportError(f"to_onnx: {name} has {ndim} axes; dynamic asks for axis {axis}")
            groups.setdefault(symbol, []).append((name, axis % ndim))
    return {symbol: tuple(axes) for symbol, axes in groups.items()}


def _names(graph: Graph, groups: Mapping[str, tuple[Axis, ...]]) -> dict[str, str]:
    """Returns better names for the symbols: time and batch for the axes of a recurrent op, others after the input."""
    names: dict[str, str] = {}

    def call(symbol: str, name: str) -> None:
        if symbol not in names and name not in names.values():
            names[symbol] = name

    for node in graph.nodes:
        if "lengths" in node.op.inputs:
            for n, name in zip(node.outputs[0].shape, ("time", "batch"), strict=False):
                if isinstance(n, Size) and len(n.symbols) == 1 and n == Size(n.symbols):
                    call(n.symbols[0], name)
        if node.op.name == "scan":
            n = node.inputs[node.attrs["states"]].shape[0]
            if isinstance(n, Size) and n == Size(n.symbols[:1]):
                call(n.symbols[0], "time")
    for symbol, axes in groups.items():
        call(symbol, f"{axes[0][0]}_dim_{axes[0][1]}")
    return names


def _listed(axes: Iterable[Axis]) -> str:
    return " and ".join(f"axis {axis} of {name}" for name, axis in axes)
