"""Job: the timed call of a contender, and its results, which are compared with the others'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Job"]


class Job(NamedTuple):
    """One call of a contender.

    Attributes:
        run: the call that is timed; it returns only when its result is ready.
        results: returns the results of the first call, by name; called before the first `run`.
    """

    run: Callable[[], object]
    results: Callable[[], dict[str, np.ndarray[Any, Any]]]
