"""Autotuning: which candidate wins, with made-up timings."""

from __future__ import annotations

from typing import Any

import pytest

from lucid.runtime.compiled import autotune


class Timed:
    """A candidate with given timings."""

    def __init__(self, *turns: float, steady: bool = False, frugal: bool = False) -> None:
        self.turns = list(turns)
        self.steady = steady
        self.frugal = frugal

    def seconds(self, arrays: Any, shapes: Any) -> float:
        return self.turns.pop(0)

    def run(self, arrays: Any, shapes: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the pauses of the autotuner instead of waiting."""
    found: list[float] = []
    monkeypatch.setattr(autotune.time, "sleep", found.append)
    monkeypatch.setattr(autotune, "_WARM", 0.0)
    return found


def winner(*candidates: Timed, rounds: int = 3, elsewhere: bool = False) -> Timed:
    """Returns the fastest; after each timing the program does something else, if `elsewhere`."""
    steps = autotune.fastest(candidates, [], (), rounds)
    try:
        next(steps)
        while True:
            steps.send(elsewhere)
    except StopIteration as stop:
        found: Timed = stop.value
        return found


def test_a_slow_moment_decides_nothing(rests: list[float]) -> None:
    candidates = [Timed(1, 1, 1), Timed(9), Timed(3, 0.5, 3), Timed(4, 4), Timed(5)]
    assert winner(*candidates) is candidates[2]
    assert not any(candidate.turns for candidate in candidates)  # all timings were used
    assert rests == [autotune._SETTLE] * 10


def test_one_alone_is_not_timed() -> None:
    for steady in (True, False):
        only = Timed(steady=steady)
        assert winner(only) is only


def test_those_of_one_thread_take_turns_without_a_rest(rests: list[float]) -> None:
    candidates = [Timed(0.04, 0.04, 0.04, steady=True), Timed(0.05, 0.01, 0.05, steady=True), Timed(0.09, steady=True)]
    assert winner(*candidates) is candidates[1]
    assert not any(candidate.turns for candidate in candidates)
    assert [rest for rest in rests if rest] == [autotune._SETTLE]


def test_after_something_else_those_of_one_thread_rest_first(rests: list[float]) -> None:
    candidates = [Timed(0.04, 0.04, 0.04, steady=True), Timed(0.05, 0.01, 0.05, steady=True)]
    assert winner(*candidates, elsewhere=True) is candidates[1]
    assert rests == [autotune._SETTLE] * 6


@pytest.mark.parametrize(
    ("own", "others", "spread_wins"),
    [
        ([0.012, 0.012, 0.012], [0.009, 0.009, 0.009], True),
        ([0.012, 0.012, 0.012], [0.011], False),  # the lead is too small
        ([0.012, 0.012], [0.005, 0.03], False),  # no lead in the second round
        ([0.012, 0.024], [0.009, 0.023], False),  # both are slower in the second round, and the lead is too small
        ([0.001, 0.002, 0.012], [0.0008, 0.0015, 0.009], True),
    ],
)
def test_what_is_spread_has_to_be_ahead_each_time_side_by_side(
    own: list[float], others: list[float], spread_wins: bool
) -> None:
    steady = Timed(0.012, 0.012, 0.012, *own, steady=True)
    spread = Timed(*others)
    assert winner(spread, steady) is (spread if spread_wins else steady)
    assert not spread.turns


@pytest.mark.parametrize(("taken", "spread_wins"), [(0.95, True), (1.05, False)])
def test_long_calls_are_compared_as_they_are(taken: float, spread_wins: bool) -> None:
    steady, spread = Timed(1.0, 1.0, 1.0, steady=True), Timed(taken)
    assert winner(steady, spread) is (spread if spread_wins else steady)


@pytest.mark.parametrize(("taken", "wins"), [(1.05, True), (1.15, False)])
def test_of_long_calls_one_that_takes_less_memory_may_take_a_little_longer(taken: float, wins: bool) -> None:
    steady, frugal = Timed(1.0, 1.0, 1.0, steady=True), Timed(taken, frugal=True)
    assert winner(steady, frugal) is (frugal if wins else steady)


def test_of_several_that_are_ahead_the_first_by_most_is_taken() -> None:
    steady = Timed(*[0.01] * 9, steady=True)
    ahead, further = Timed(*[0.005] * 3), Timed(*[0.003] * 3)
    assert winner(ahead, further, steady) is further


def test_a_clock_that_stands_still() -> None:
    steady, spread = Timed(*[0.01] * 6, steady=True), Timed(0.0, 0.0, 0.0)
    assert winner(steady, spread) is spread


def test_no_round_begins_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "_BUDGET", -1.0)
    candidates = [Timed(2, steady=True), Timed(1, steady=True), Timed(3)]
    assert winner(*candidates) is candidates[1]
