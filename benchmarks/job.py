"""Job: what a contender does in one call, and the results by which it is held against the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Job"]


class Job(NamedTuple):
    """One call of a contender.

    Attributes:
        run: the call that is timed; it returns only once its result is there.
        results: what the first call gives, by name; asked for before the first `run`.
    """

    run: Callable[[], object]
    results: Callable[[], dict[str, np.ndarray[Any, Any]]]
