"""Made-up programs are exported rightly or refused, and so are their compiled modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proof.made_up_programs import compiled_verdict, proved, seeded, smaller, verdict
from tests.proof.maker import Program, made_up
from tests.tiers import sampled

WRONG = ("wrong", "raised", "fails")


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_an_export_is_right_or_refused(data: st.DataObject) -> None:
    program = made_up(lambda n: data.draw(st.integers(0, n - 1)), 5)
    found = verdict(program)
    assert not found.startswith(WRONG), f"{found}\n{program}"


def assert_right_or_refused(program: Program, check: Callable[[Program], str]) -> None:
    found = check(program)
    if found.startswith(WRONG):
        program = smaller(program, lambda p: check(p)[:6] == found[:6])
        pytest.fail(f"{check(program)}\n{program}")


@pytest.mark.slow
@pytest.mark.parametrize("first", sampled(range(0, 2000, 50), 40))
def test_many_exports_are_right_or_refused(first: int) -> None:
    for seed in range(first, first + 50):
        assert_right_or_refused(seeded(seed), verdict)


@pytest.mark.slow
@pytest.mark.parametrize("first", sampled(range(5000, 6000, 50), 20))
def test_the_proof_is_right_without_the_comparison(first: int) -> None:
    for seed in range(first, first + 50):
        assert_right_or_refused(seeded(seed), proved)


def test_a_compiled_program_is_right_or_raises() -> None:
    assert_right_or_refused(seeded(0), compiled_verdict)


@pytest.mark.slow
@pytest.mark.parametrize("seed", sampled(range(1, 61), 6))
def test_compiled_programs_are_right_or_raise(seed: int) -> None:
    assert_right_or_refused(seeded(seed), compiled_verdict)


@pytest.mark.slow
def test_a_wrong_verdict_is_found_and_its_program_made_smaller() -> None:
    def bad(program: Program) -> str:
        return "wrong" if ".cumsum(" in program.text else "right"

    program = next(p for p in map(seeded, range(200)) if bad(p) == "wrong" and len(p.body) > 6)
    small = smaller(program, lambda p: bad(p) == "wrong")
    assert ".cumsum(" in small.text
    assert len(small.body) == 2
