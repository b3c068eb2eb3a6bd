"""Rounding: how far the rounding of every single op can move the outputs of a graph.

A tolerance that is the same for all models refuses sums of large terms that cancel, though both programs are right to
their last digit. So the graph runs in float64, once as it is and a few times with noise: each result is moved at random
by as much as the op that computed it may round. For an op that adds up n terms that is the unit of rounding times √n
times the sum of the magnitudes of the terms; for others, a few units of the result or of the operands. How far the
outputs then lie apart says how far two right programs can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.size import evaluate
from .lowering.plan import Plan

__all__ = ["Rounding", "rounding"]

Array = np.ndarray[Any, Any]

_SAMPLES = 6
"""How many runs have noise."""

_FACTOR = 4.0
"""The tolerance is so many times the root mean square of the samples' deviations."""

_SHARE = 2e-2
"""The largest tolerance, as a share of the greatest magnitude in the output or of what was summed into it."""

_UNITS = 2.0
"""How many units of rounding an elementwise op may be off."""


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


_EXACT = _named(
    "abs amax amin bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp_to clone concat count detach expand_to "
    "fill flip floor gather_at hardtanh index_at index_put less_one_at maximum minimum neg nonzero_at ordered pad_with "
    "passed permute relu reshape_to reverse_sequence rint scatter_at sign size slice_add slice_at slice_put split_to "
    "squeeze take_rows tile_by tril triu trunc unsqueeze where window_max windows"
)
"""Ops that round nothing."""

_SUMS = _named(
    "convolved cumsum gather_sum index_sum linear matmul mean recurrent_weight_gradient sum sum_to weight_gradient "
    "windows_sum"
)
"""Ops whose results are sums of products of their operands."""

_ELEMENTWISE = _named(
    "acos add asin atan atan2 cos cosh cumprod div erf exp expm1 floor_divide fmod hypot leaky_relu log log1p log2 "
    "log10 mul norm2 pow prod product_or_zero reciprocal remainder rsqrt sigmoid sin sinh sqrt square sub tan tanh"
)
"""Ops that round to a few units of their results."""

_CURVES = _named("elu gelu_erf gelu_slope gelu_tanh logaddexp silu softplus surprise")
"""The same, but of their operands: small results are differences of larger numbers."""

_SCALED = frozenset({"div", "mul", "product_or_zero", *(_EXACT - {"maximum", "minimum"})})
"""Ops that scale their operands, or only move them."""


class Rounding(NamedTuple):
    """What rounding does to one output.

    Attributes:
        exact: the output in float64.
        tolerance: for each element, how far two right results may lie apart.
        lost: for each element, whether they may lie apart so far that nothing is left to compare; the tolerance is then
            smaller than that.
    """

    exact: Array
    tolerance: Array
    lost: Array


def rounding(plan: Plan, arrays: Mapping[str, Array], sizes: Mapping[str, int], unit: float | None) -> list[Rounding]:
    """Estimates what rounding does to each output of a plan's graph.

    Args:
        plan: the plan.
        arrays: its inputs.
        sizes: the size of each of its symbols.
        unit: the unit of rounding of every float; None for that of each result's own dtype.
    """
    run = _Run(sizes, unit)
    with np.errstate(all="ignore"):
        outputs = run.graph(plan.graph, [run.held(_wide(arrays[name])) for name in plan.graph.inputs])
        return [run.rounding(value) for value in outputs]


class _Held(NamedTuple):
    """A value: as it is, and its samples with noise; the samples are the value itself where nothing was rounded.

    `summed` is the greatest magnitude of what was summed into it, and at least its own.
    """

    exact: Any
    samples: tuple[Any, ...]
    summed: float

    @property
    def is_noisy(self) -> bool:
        return any(sample is not self.exact for sample in self.samples)


class _Run:
    """Runs graphs in float64, with noise."""

    def __init__(self, sizes: Mapping[str, int], unit: float | None) -> None:
        self._sizes: dict[Any, int] = dict(sizes)
        self._unit = unit
        self._rng = np.random.default_rng(0)

    def held(self, value: Any) -> _Held:
        return _Held(value, (value,) * _SAMPLES, _greatest(value))

    def graph(self, graph: Graph, inputs: Sequence[_Held]) -> list[_Held]:
        known = dict(zip(graph.inputs.values(), inputs, strict=True))
        known.update((value, self.held(_wide(tensor._data))) for value, tensor in graph.captured.items())
        last = {x: node for node in graph.nodes for x in node.inputs if type(x) is Value}
        kept = set(graph.outputs.values())
        for node in graph.nodes:
            numbers = evaluate(node.inputs, self._sizes)
            operands = [
                known[x] if type(x) is Value else self.held(n) for x, n in zip(node.inputs, numbers, strict=True)
            ]
            attrs = {name: _wide_dtype(evaluate(attr, self._sizes)) for name, attr in node.attrs.items()}
            results = self._scan(operands, **attrs) if node.op.name == "scan" else self._node(node, operands, attrs)
            made = [(node.value(i), result) for i, result in enumerate(results)]
            for atom, (value, axis) in graph.measured.items():
                self._sizes.update((atom, result.exact.shape[axis]) for own, result in made if own == value)
            known.update((value, result) for value, result in made if value in last or value in kept)
            for x in node.inputs:
                if type(x) is Value and last[x] is node and x not in kept:
                    known.pop(x, None)
        return [known[value] for value in graph.outputs.values()]

    def _node(self, node: Node, operands: Sequence[_Held], attrs: dict[str, Any]) -> list[_Held]:
        name, forward = node.op.name, node.op.forward
        units = [self._unit_of(spec.dtype) for spec in node.outputs]
        exact = _results(forward(*[x.exact for x in operands], **attrs))
        rounds = any(units) and name not in _EXACT
        if name == "astype":
            source = node.inputs[0].dtype
            rounds = rounds and source.kind == "f" and source.itemsize > node.outputs[0].dtype.itemsize
        by_operands = rounds and name not in (_SUMS | _ELEMENTWISE | _CURVES | {"astype"})
        if not rounds and not any(x.is_noisy for x in operands):
            samples = [exact] * _SAMPLES
        else:
            samples = []
            for number in range(_SAMPLES):
                given = [x.samples[number] for x in operands]
                if by_operands:
                    given = [self._moved(x, max(units) * _weight(name, x)) for x in given]
                samples.append(_results(forward(*given, **attrs)))
        magnitudes, total = self._magnitudes(name, forward, operands, attrs, exact) if rounds else (exact, 0.0)
        found = []
        for i, (value, unit) in enumerate(zip(exact, units, strict=True)):
            several = [sample[i] for sample in samples]
            if rounds and unit:
                spread = unit * _UNITS * np.abs(magnitudes[i])
                several = [x + spread * self._rng.standard_normal(x.shape) for x in several]
            found.append(_Held(value, tuple(several), self._summed(name, operands, value, total)))
        return found

    def _magnitudes(
        self, name: str, forward: Any, operands: Sequence[_Held], attrs: dict[str, Any], exact: list[Any]
    ) -> tuple[list[Any], float]:
        """Returns what the rounding of an op's results is proportional to, and the greatest sum of magnitudes."""
        if name in _SUMS:
            given = [x.exact for x in operands]
            total, squares, terms = (forward(*map(f, given), **attrs) for f in (_magnitude, _square, _one))
            if name == "mean":
                terms = terms * (given[0].size / max(1, total.size))
                squares = squares / terms
            # The same sum of ones counts the terms.
            spread = np.sqrt(terms) * (np.sqrt(squares) + 2 * np.abs(exact[0])) + total
            return [np.asarray(spread / _UNITS)], _greatest(total)
        if name == "sigmoid":
            return [np.ones_like(exact[0])], 0.0  # onnxruntime's is right to so many digits after the point
        if name in _CURVES:
            return [sum((np.abs(x.exact) for x in operands), np.abs(exact[0]))], 0.0
        return exact, 0.0

    def _summed(self, name: str, operands: Sequence[_Held], value: Any, total: float) -> float:
        """Returns the greatest magnitude of what was summed into a result."""
        own = _greatest(value)
        floats = [x for x in operands if _is_float(x.exact)]
        ratio = max((x.summed / most for x in floats if (most := _greatest(x.exact))), default=1.0)
        if name in _SUMS:
            return max(own * ratio, total)
        if name in ("add", "sub", "maximum", "minimum"):
            return max([own, *(x.summed for x in floats)])
        return own * ratio if name in _SCALED else own

    def _scan(
        self, operands: Sequence[_Held], body: Graph, states: int, scanned: int, reverse: bool = False
    ) -> list[_Held]:
        held, sequences, rest = (
            list(operands[:states]),
            operands[states : states + scanned],
            operands[states + scanned :],
        )
        steps = len(sequences[0].exact)
        before: list[list[_Held]] = []
        given: list[list[_Held]] = []
        for t in range(steps - 1, -1, -1) if reverse else range(steps):
            before.append(held)
            at = [_Held(x.exact[t], tuple(s[t] for s in x.samples), x.summed) for x in sequences]
            results = self.graph(body, [*held, *at, *rest])
            held = results[:states]
            given.append(results[states:])
        order = slice(None, None, -1 if reverse else 1)
        collected = [*zip(*given[order], strict=True), *zip(*before[order], strict=True)]
        return [*held, *map(_stacked, collected)]

    def _unit_of(self, dtype: np.dtype[Any]) -> float:
        if dtype.kind != "f":
            return 0.0
        return float(np.finfo(dtype).eps) / 2 if self._unit is None else self._unit

    def _moved(self, x: Any, share: float) -> Any:
        return x * (1 + share * self._rng.standard_normal(x.shape)) if _is_float(x) else x

    def rounding(self, value: _Held) -> Rounding:
        """Returns the spread of an output's samples as a tolerance."""
        if not _is_float(value.exact):
            return Rounding(value.exact, np.zeros(value.exact.shape), np.zeros(value.exact.shape, bool))
        apart = [np.nan_to_num(sample - value.exact, nan=0.0, posinf=0.0, neginf=0.0) for sample in value.samples]
        spread = _FACTOR * np.sqrt(np.mean(np.square(apart), axis=0))
        most = _SHARE * value.summed
        return Rounding(value.exact, np.minimum(spread, most), spread > most)


def _weight(name: str, x: Any) -> float:
    """Returns how many units an operand is moved by, for an op that computes in many steps."""
    width = max(np.shape(x), default=1)
    # A weight is read at every step: its own noise stands for that of the sums over its rows.
    layer, _, rest = name.partition("_")
    is_weight = np.ndim(x) == 2 and layer in ("rnn", "lstm", "gru") and rest != "cell"
    return float(np.shape(x)[-1] if is_weight else _UNITS * np.sqrt(width))


def _stacked(parts: Iterable[_Held]) -> _Held:
    several = list(parts)
    exact = np.stack([x.exact for x in several])
    if not any(x.is_noisy for x in several):
        return _Held(exact, (exact,) * _SAMPLES, max(x.summed for x in several))
    samples = tuple(np.stack([x.samples[i] for x in several]) for i in range(_SAMPLES))
    return _Held(exact, samples, max(x.summed for x in several))


def _results(result: Any) -> list[Any]:
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def _is_float(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _wide_dtype(attr: Any) -> Any:
    return np.dtype(np.float64) if isinstance(attr, np.dtype) and attr.kind == "f" else attr


def _magnitude(x: Any) -> Any:
    return np.abs(x) if _is_float(x) or isinstance(x, float) else x


def _square(x: Any) -> Any:
    return np.square(x) if _is_float(x) or isinstance(x, float) else x


def _one(x: Any) -> Any:
    return np.ones_like(x) if _is_float(x) else x


def _greatest(x: Any) -> float:
    """Returns the greatest finite magnitude."""
    if not _is_float(x):
        return 0.0
    finite = x[np.isfinite(x)]
    return float(np.abs(finite).max()) if finite.size else 0.0
