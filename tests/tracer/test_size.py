"""Formulas of sizes: their arithmetic, bounds and text, against Python's ints."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucid.runtime.session.formula import compute
from lucid.tracer.bounds import always, begin, largest, range_of, smallest
from lucid.tracer.dim import Dim, Guard
from lucid.tracer.extent import beginning, greater, lesser
from lucid.tracer.size import Size, evaluate
from lucid.tracer.symbolic import Sizes

T, S = Size.symbol("t"), Size.symbol("s")
SIZES = [{"t": t, "s": s} for t in (1, 2, 3, 5, 8, 31, 64) for s in (1, 2, 7, 12)]

small = st.integers(-4, 9)
positive = st.integers(1, 9)


def formulas(depth: int = 3) -> st.SearchStrategy[Any]:
    """Returns pairs of a formula and the function that computes it."""
    leaves = st.one_of(
        st.sampled_from([(T, lambda v: v["t"]), (S, lambda v: v["s"])]), small.map(lambda n: (n, lambda v: n))
    )
    if not depth:
        return leaves
    inner = formulas(depth - 1)
    pairs = st.tuples(inner, inner)
    return st.one_of(
        leaves,
        pairs.map(lambda p: (p[0][0] + p[1][0], lambda v: p[0][1](v) + p[1][1](v))),
        pairs.map(lambda p: (p[0][0] - p[1][0], lambda v: p[0][1](v) - p[1][1](v))),
        pairs.map(lambda p: (p[0][0] * p[1][0], lambda v: p[0][1](v) * p[1][1](v))),
        pairs.map(lambda p: (largest(p[0][0], p[1][0]), lambda v: max(p[0][1](v), p[1][1](v)))),
        pairs.map(lambda p: (smallest(p[0][0], p[1][0]), lambda v: min(p[0][1](v), p[1][1](v)))),
        st.tuples(inner, positive).map(lambda p: (p[0][0] // p[1], lambda v: p[0][1](v) // p[1])),
        st.tuples(inner, positive).map(lambda p: (p[0][0] % p[1], lambda v: p[0][1](v) % p[1])),
        inner.map(lambda p: (begin(p[0], T), lambda v: slice(p[1](v), None).indices(v["t"])[0])),
    )


@settings(max_examples=300, deadline=None)
@given(formulas())
def test_a_formula_computes_what_python_computes(pair: Any) -> None:
    formula, function = pair
    for sizes in SIZES:
        assert evaluate(formula, sizes) == function(sizes)


@settings(max_examples=300, deadline=None)
@given(formulas(2), formulas(2), st.sampled_from(["lt", "le", "eq", "ne", "gt", "ge"]))
def test_what_always_holds_holds_at_every_size(one: Any, other: Any, kind: str) -> None:
    known = always(kind, one[0], other[0])
    low, high = range_of(one[0])
    for sizes in SIZES:
        assert low <= one[1](sizes) <= high
        if known is not None:
            assert Guard(kind, one[0], other[0], known).holds(sizes)


@settings(max_examples=200, deadline=None)
@given(formulas(2))
def test_the_text_of_a_formula_computes_the_same(pair: Any) -> None:
    for sizes in SIZES[::5]:
        assert compute(str(pair[0]), sizes) == pair[1](sizes)


@settings(max_examples=200, deadline=None)
@given(formulas(2), formulas(1))
def test_a_symbol_can_be_replaced_by_a_formula(pair: Any, other: Any) -> None:
    formula, function = pair
    renamed = formula.renamed({"s": other[0]}) if isinstance(formula, Size) else formula
    for sizes in SIZES:
        if (n := other[1](sizes)) >= 1:
            assert evaluate(renamed, sizes) == function({**sizes, "s": n})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (T - T % 7, T // 7 * 7),
        (-(-T // 2), (T + 1) // 2),
        ((T + 7) // 8 * 8, T + (-T) % 8),
        ((2 * T + 1) // 2, T),
        (T * S // S, T),
        ((T + -T % 8) * S // (8 * S), (T + 7) // 8),
        (T // 2 * 2 + T % 2, T),
        ((T * 3) % 3, 0),
        ((T + 1) % 2, 1 - T % 2),
    ],
)
def test_equal_formulas_have_one_form(one: Any, other: Any) -> None:
    assert one == other
    assert str(one) == str(other)


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (2 * T - 1, "2*t-1"),
        (T // 2, "t//2"),
        (-(-T // 2), "(t+1)//2"),
        (T * S + 1, "s*t+1"),
        (T * (T + 1) // 2, "(t*t+t)//2"),
        (largest(T - 2, 0), "max(0, t-2)"),
        (T % 7, "t%7"),
        (S * (T % 7), "s*(t%7)"),
    ],
)
def test_the_text_is_what_a_programmer_would_write(formula: Any, text: str) -> None:
    assert str(formula) == text


# --- Dims


@pytest.fixture
def dim() -> Dim:
    return Dim(5, T, Sizes(None))


STAY: dict[str, Any] = {
    "ceil": lambda n: math.ceil(n / 2),
    "floor": lambda n: math.floor(n / 2),
    "trunc": lambda n: math.trunc(n / 2),
    "round": lambda n: round(n / 2),
    "prod": lambda n: math.prod((n, n, 2)),
    "sum": lambda n: sum((n, 1, n)),
    "divmod": lambda n: divmod(n, 3)[1],
    "shift": lambda n: n << 2 >> 1,
    "and": lambda n: n & 7,
    "square": lambda n: n**2,
    "root": lambda n: n**-0.5,
    "decay": lambda n: 0.9**n,
    "abs": lambda n: abs(n - 8),
    "neg": lambda n: -n % 8,
    "floor of a float": lambda n: n / 2 // 1,
    "float rest": lambda n: n % 1.5,
}


@pytest.mark.parametrize("compute_it", STAY.values(), ids=STAY)
def test_arithmetic_stays_symbolic(compute_it: Any, dim: Dim) -> None:
    found = compute_it(dim)
    assert type(found) is Dim
    for n in (1, 2, 5, 8, 13):
        assert evaluate(found.formula, {"t": n}) == compute_it(n)
    assert all(guard.holds({"t": n}) for guard in dim.owner.guards for n in (1, 2, 8))


PLAIN: dict[str, Any] = {
    "range": lambda n: list(range(n)),
    "index of a list": lambda n: [10, 11, 12, 13, 14, 15][n],
    "repetition": lambda n: [0] * n,
    "int": lambda n: int(n) + 1,
    "float": lambda n: float(n),
    "sqrt": lambda n: math.sqrt(n),
    "hex": lambda n: hex(n),
    "bits": lambda n: n.bit_length(),
    "percent": lambda n: "%d" % n,  # noqa: UP031 - it is the conversion that counts
    "power of two": lambda n: 2**n,
    "bytes": lambda n: bytes(n),
    "slice of a list": lambda n: [1, 2, 3, 4, 5, 6][:n],
    "isclose": lambda n: math.isclose(n, 5.0),
    "comb": lambda n: math.comb(n, 2),
}


@pytest.mark.parametrize("use", PLAIN.values(), ids=PLAIN)
def test_a_plain_number_leaves_a_guard(use: Any, dim: Dim) -> None:
    assert use(dim) == use(5)
    (guard,) = dim.owner.guards
    assert guard.is_equality
    assert not guard.holds({"t": 6})
    assert guard.how


def test_it_looks_like_an_int(dim: Dim) -> None:
    assert isinstance(dim, int)
    assert isinstance(dim / 2, float)
    assert dim.owner.guards == {}
    assert (dim > 3, dim == 5, dim != 5, bool(dim)) == (True, True, False, True)
    assert len(dim.owner.guards) == 4
    assert dim != "5"
    assert dim != None  # noqa: E711 - the comparison counts
    with pytest.raises(TypeError):
        dim < "5"  # type: ignore[operator]  # noqa: B015 - the comparison counts


def test_helpers_compare_without_a_guard(dim: Dim) -> None:
    assert lesser(dim, 100).formula == smallest(T, 100)
    assert greater(dim - 1, 0) == 4
    assert beginning(-3, dim).formula == largest(T - 3, 0)
    assert not [guard for guard in dim.owner.guards if guard.right != 4]


def test_a_formula_has_an_end(dim: Dim) -> None:
    n: Any = dim
    for k in range(2, 60):
        n = (n * 3 + k) // k + n % k
    assert type(n) is int
    assert any("too long" in guard.how for guard in dim.owner.guards)


def test_formulas_in_files_are_arithmetic_and_nothing_else() -> None:
    assert compute("time // 2 + max(0, time - 3)", {"time": 9}) == 10
    assert compute("time % 8 == 0", {"time": 16}) is True
    for text in ("__import__('os')", "time.real", "[time]", "time if time else 1", "9**9**9**9", "time(1)", "(" * 500):
        assert compute(text, {"time": 9}) is None, text


def test_remainders_are_looked_at_one_by_one():
    assert always("ge", T + T % 2, 2)
    assert always("ge", T + (-T) % 8, 8)
    assert always("ge", T - T % 3, 0)
    assert always("ge", T - T % 3, 1) is None
    assert always("ge", T + T % 2, 3) is None


def test_a_part_that_occurs_twice_is_not_replaced_by_its_bound() -> None:
    assert always("le", T * (S // 2), S // 2) is None
    assert always("ge", T * (S // 2), S // 2) is not False
