"""Agreement: whether two contenders computed the same, before anybody asks which one was faster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["disagreement"]

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-3
"""Of the largest element: float32 sums over thousands of steps in another order differ by about a tenth of it."""

STEP_TOLERANCE = 0.02
"""Of the learning rate: a step of 1e-6 in a float32 weight of 0.2 is known to about a hundredth."""

ADAM_EPSILON = 1e-8


def disagreement(results: Mapping[str, Array], reference: Mapping[str, Array]) -> str:
    """What is wrong with the results of a contender, or nothing.

    Keys that both have are compared. "step of w" is Adam's first step in units of the learning rate, and is held
    against the contender's own "gradient of w": where a gradient is all but zero, its sign, and so the step, is chance.
    """
    shared = results.keys() & reference.keys()
    if not shared:
        return "has no result in common with the first contender"
    for name in sorted(shared):
        if name.startswith("step of "):
            g = results[name.replace("step of ", "gradient of ", 1)].astype(np.float64)
            wanted, limit = g / (np.abs(g) + ADAM_EPSILON), STEP_TOLERANCE
        else:
            wanted, limit = reference[name], TOLERANCE
        if results[name].shape != wanted.shape:
            return f"disagrees: {name} has shape {results[name].shape}, not {wanted.shape}"
        error = float(np.max(np.abs(results[name] - wanted)) / np.max(np.abs(wanted)))
        if not error <= limit:
            return f"disagrees: {name} is off by {error:.1e}"
    return ""
