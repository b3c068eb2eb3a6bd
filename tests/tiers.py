"""The two tiers of tests: tests marked slow run in `make test-all` only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["thinned"]


def thinned(cases: Iterable[Any], every: int, arguments: int = 1) -> list[Any]:
    """Returns cases for `parametrize`: the first of every n cases runs in the fast tier, the others are marked slow.

    Args:
        cases: the cases.
        every: n.
        arguments: the number of arguments per case; if there are several, each case is a tuple.

    Example:
        >>> [len(case.marks) for case in thinned("abcd", 3)]
        [0, 1, 1, 0]
    """
    rows = [(case,) if arguments == 1 else tuple(case) for case in cases]
    return [pytest.param(*row, marks=[pytest.mark.slow] if i % every else []) for i, row in enumerate(rows)]
