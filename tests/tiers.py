"""The two tiers of tests: those marked slow run in `make test-all` alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["thinned"]


def thinned(cases: Iterable[Any], every: int, arguments: int = 1) -> list[Any]:
    """Cases for `parametrize`: the first, and every n-th after it, run in the fast tier; all others are marked slow.

    Args:
        cases: the cases.
        every: n.
        arguments: how many arguments a case has; each case is a tuple if there are several.

    Example:
        >>> [len(case.marks) for case in thinned("abcd", 3)]
        [0, 1, 1, 0]
    """
    rows = [(case,) if arguments == 1 else tuple(case) for case in cases]
    return [pytest.param(*row, marks=[pytest.mark.slow] if i % every else []) for i, row in enumerate(rows)]
