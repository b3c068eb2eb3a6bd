"""Programs that look a size up in a table: what the keys are decides, and no run need have met them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

import lucid
from lucid.export import to_onnx
from lucid.tracer.lookup import keys_in_sight
from tests.proof.case import Case, Cases, rand, verdict

SIZES = (1, 2, 3, 4, 6, 7, 8, 17, 23, 24, 32, 40, 64, 119, 120, 700)
X = rand(5, 3)
TIMES = [(rand(n, 3),) for n in SIZES]

CONFIG = SimpleNamespace(limit=17, inner=SimpleNamespace(steps=[8, 23, 700]))
CACHE: dict[Any, Any] = {}
MANY = {**dict.fromkeys(range(5000, 7000), 1.0), 119: 2.0}

FIXED = Cases()
fixed = FIXED.refused
FREE = Cases()
free = FREE.exported


@dataclass(frozen=True)
class Bucket:
    """A key with a number in it."""

    steps: int
    kind: str = "short"


@fixed((X,), *TIMES)
def attributes(x):
    return x * {CONFIG.limit: 3.0, CONFIG.inner.steps[2]: 2.0}.get(x.shape[0], 1.0)


@fixed((X,), *TIMES)
def computed_keys(x):
    return x * {k * 8: float(k) for k in range(3, 6)}.get(x.shape[0], 1.0)


@fixed((X,), *TIMES)
def a_union_of_sets(x):
    return x * 2 if x.shape[0] in {k * 8 for k in CONFIG.inner.steps} | {int("120")} else x


@fixed((X,), *TIMES)
def pairs(x):
    return x * {(CONFIG.limit, "a"): 2.0}.get((x.shape[0], "a"), 1.0)


@fixed((X,), *TIMES)
def objects(x):
    return x * {Bucket(CONFIG.limit): 2.0}.get(Bucket(x.shape[0]), 1.0)


@fixed((X,), *TIMES)
def filled_in_a_loop(x):
    table = {}
    for k in CONFIG.inner.steps:
        table[k * 5] = 2.0
    return x * table.get(x.shape[0], 1.0)


@fixed((X,), *TIMES)
def written_into(x):
    table = dict.fromkeys([CONFIG.limit * 7], 1.0)
    table[x.shape[0]] = 2.0
    return x * float(len(table))


def picked(table, n):
    return table.get(n, 1.0)


@fixed((X,), *TIMES)
def in_another_function(x):
    return x * picked({7 * 17: 2.0}, x.shape[0])


@fixed((X,), *TIMES)
def a_formula_as_the_key(x):
    return x * {CONFIG.limit: 2.0}.get(x.shape[0] // 7, 1.0)


@fixed((X,), *TIMES)
def a_table_of_more_keys_than_are_compared(x):
    return x * MANY.get(x.shape[0], 1.0)


@fixed((X,), *TIMES)
def after_a_branch_that_does_nothing(x):
    return x * {CONFIG.limit: 2.0}.get(max(x.shape[0], 7), 1.0)


@free((X,), *TIMES, free={"x": (0, 1)})
def a_cache(x):
    n = x.shape[0]
    if n not in CACHE:
        CACHE[n] = lucid.arange(n).float().unsqueeze(1)
    return x + CACHE[n]


@free((X,), *TIMES, free={"x": (0, 1)})
def a_cache_by_pairs(x):
    key = (x.shape[0], x.shape[1])
    if key not in CACHE:
        CACHE[key] = lucid.ones(*key)
    return x + CACHE[key]


@free((X,), *TIMES, free={"x": (0, 1)})
def keys_of_which_none_is_a_size(x):
    return x * {0: 2.0, -1: 3.0, "a": 4.0}.get(x.shape[0], 1.0)


@pytest.mark.parametrize("case", FIXED, ids=str)
def test_what_a_table_decides_fixes_the_axis(case: Case) -> None:
    assert verdict(case).startswith("right")
    assert "test_tables.py" in to_onnx(case.function, *case.example).fixed["x"][0]


@pytest.mark.parametrize("filled", [(), (5,), (3, 8, 17)], ids=str)
@pytest.mark.parametrize("case", FREE, ids=str)
def test_a_cache_decides_nothing(case: Case, filled: tuple[int, ...]) -> None:
    CACHE.clear()
    for n in filled:
        case.function(lucid.tensor(rand(n, 3)))
    assert verdict(case).startswith("right")
    CACHE.clear()


def test_the_keys_in_sight() -> None:
    table = {1: 2, (3, (4, "five")): 6, "seven": 8}
    numbers = [9, 10]
    found: list[Any] = []
    found += keys_in_sight() or [] if table and {numbers[1]: 11, 2**4: 12}.get(0) is None else []
    assert sorted(set(found)) == [1, 3, 4, 9, 10, 16]


def test_a_property_is_not_run_to_find_keys() -> None:
    class Table:
        @property
        def entries(self) -> dict[int, int]:
            raise AssertionError("it is run")

    table = Table()
    found = [keys_in_sight(), lambda: table.entries]
    assert found[0] == []
