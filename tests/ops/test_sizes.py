"""Size rules: the formula that each op gives for the sizes of its results, held against NumPy over random shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid.errors import LucidError
from lucid.proof.ties import Ties
from lucid.tracer.op import OPS
from lucid.tracer.size import Size, evaluate
from lucid.tracer.symbolic import resolved
from lucid.tracer.trace import record
from tests.ops.case import Case, Sample, results
from tests.ops.cases import CASES
from tests.tiers import thinned

SHAPES = 12
"""The number of random shapes for each row."""

EXPORTABLE = [case for case in CASES if all(0 not in x.shape for x in case.inputs if isinstance(x, Sample))]


def symbols_of(arrays: list[Any]) -> list[list[str]]:
    return [[f"s{i}_{axis}" for axis in range(x.ndim)] for i, x in enumerate(arrays)]


def resized(array: Any, shape: tuple[int, ...]) -> Any:
    """Returns the elements of an array, repeated or cut to another shape."""
    for axis, n in enumerate(shape):
        array = np.take(array, np.arange(n) % max(1, array.shape[axis]), axis=axis)
    return array


def test_every_op_has_a_rule() -> None:
    shipped = [name for name, op in OPS.items() if op.__module__.startswith("lucid.ops.")]
    assert len(shipped) > 120
    assert [name for name in shipped if OPS[name].size_rule is None] == []


@pytest.mark.parametrize("case", thinned(EXPORTABLE, 8), ids=str)
def test_a_formula_gives_the_size_at_other_shapes(case: Case) -> None:
    given = case.arrays(np.float32)
    places = [i for i, x in enumerate(given) if isinstance(x, np.ndarray)]
    arrays = [given[i] for i in places]
    names = symbols_of(arrays)
    function = lucid.tracer.op.FUNCTIONS[case.name]

    def run(*tensors: Any) -> Any:
        full = list(given)
        for place, tensor in zip(places, tensors, strict=True):
            full[place] = tensor
        return tuple(results(case.run(function, *full)))

    formulas = [[Size.symbol(name) for name in own] for own in names]
    graph = record(run, tuple(map(lucid.tensor, arrays)), {}, shapes=formulas)
    start = {name: n for own, x in zip(names, arrays, strict=True) for name, n in zip(own, x.shape, strict=True)}
    ties = Ties(graph.sizes.guards, start)
    found = [value.shape for value in resolved(graph, {}).outputs.values()]
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(SHAPES):
        sizes: dict[Any, int] = {name: int(rng.integers(1, 9)) for name in start}
        for name, target in ties.names.items():
            if isinstance(name, str):
                sizes[name] = target.at(sizes) if isinstance(target, Size) else target
        # What the function decided by sizes it decides alike, or the formula is for other sizes.
        if not all(guard.kind == "text" or guard.holds(sizes) for guard in graph.sizes.guards if _known(guard)):
            continue
        moved = [resized(x, tuple(sizes[name] for name in own)) for x, own in zip(arrays, names, strict=True)]
        try:
            actual = [t.shape for t in run(*map(lucid.tensor, moved))]
        except (LucidError, IndexError, ValueError):  # an index or a length that is out of range there
            continue
        compared += 1
        for formula, shape in zip(found, actual, strict=True):
            assert len(formula) == len(shape)
            assert tuple(m if n is None else evaluate(n, sizes) for n, m in zip(formula, shape, strict=True)) == shape
    assert compared or ties.fixed or ties.rest


def _known(guard: Any) -> bool:
    return not any(isinstance(x, Size) and x.unknowns for x in (guard.left, guard.right))
