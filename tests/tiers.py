"""The tiers of tests: the fast one, the slow one, and the rest of the large tables, which `make test-all` runs, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

__all__ = ["LEFT_OUT", "in_tiers", "sampled", "thinned"]

LEFT_OUT: set[str] = set()
"""The tiers that this run leaves out; their cases are not even collected, since that takes as long as many tests."""

_MARKS = {"": [], "slow": [pytest.mark.slow], "exhaustive": [pytest.mark.slow, pytest.mark.exhaustive]}


def in_tiers(rows: Iterable[Sequence[Any]], tiers: Iterable[str]) -> list[Any]:
    """Returns cases for `parametrize`, each with its tier: "" for the fast one, "slow" or "exhaustive".

    Args:
        rows: the arguments of each case.
        tiers: the tier of each.
    """
    pairs = [(row, _MARKS[tier]) for row, tier in zip(rows, tiers, strict=True) if tier not in LEFT_OUT]
    return [pytest.param(*row, marks=marks) for row, marks in pairs]


def thinned(cases: Iterable[Any], every: int, arguments: int = 1, sample: int = 1) -> list[Any]:
    """Returns cases for `parametrize`: the first of every n cases runs in the fast tier, the others are slow.

    Args:
        cases: the cases.
        every: n.
        arguments: the number of arguments per case; if there are several, each case is a tuple.
        sample: of every so many cases the first stays in the slow tier; the others are exhaustive.

    Example:
        >>> [case.values[0] for case in thinned("abcd", 3)][0]
        'a'
    """
    rows = [(case,) if arguments == 1 else tuple(case) for case in cases]
    tiers = ["" if i % every == 0 else "exhaustive" if i % sample else "slow" for i in range(len(rows))]
    return in_tiers(rows, tiers)


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Returns cases for the `parametrize` of a slow test: of every n cases the first; the others are exhaustive.

    Example:
        >>> [case.values[0] for case in sampled(["a", "b"], 2)][0]
        'a'
    """
    rows = [(case,) for case in cases]
    return in_tiers(rows, ["exhaustive" if i % every else "" for i in range(len(rows))])
