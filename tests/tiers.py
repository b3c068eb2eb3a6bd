"""The tiers of tests: the fast one, the slow one, and the rest of the large tables, which `make test-all` runs, too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["sampled", "thinned"]


def thinned(cases: Iterable[Any], every: int, arguments: int = 1, sample: int = 1) -> list[Any]:
    """Returns cases for `parametrize`: the first of every n cases runs in the fast tier, the others are marked slow.

    Args:
        cases: the cases.
        every: n.
        arguments: the number of arguments per case; if there are several, each case is a tuple.
        sample: of every so many cases the first stays in the slow tier; the others are exhaustive.

    Example:
        >>> [len(case.marks) for case in thinned("abcd", 3)]
        [0, 1, 1, 0]
    """
    rows = [(case,) if arguments == 1 else tuple(case) for case in cases]
    slow, more = [pytest.mark.slow], [pytest.mark.slow, pytest.mark.exhaustive]
    marks = [[] if i % every == 0 else more if i % sample else slow for i in range(len(rows))]
    return [pytest.param(*row, marks=mark) for row, mark in zip(rows, marks, strict=True)]


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Returns cases for the `parametrize` of a slow test: of every n cases the first; the others are exhaustive.

    Example:
        >>> [[mark.name for mark in case.marks] for case in sampled("abc", 2)]
        [[], ['exhaustive'], []]
    """
    return [pytest.param(case, marks=[pytest.mark.exhaustive] if i % every else []) for i, case in enumerate(cases)]
