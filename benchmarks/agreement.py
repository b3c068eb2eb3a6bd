"""Agreement: checks that contenders compute the same, before their times are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["TOLERANCE", "disagreement"]

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-3
"""Relative to the largest element. Sums of float32 over thousands of steps in another order differ by a tenth of it."""

STEP_TOLERANCE = 0.02
"""Relative to the learning rate. A step of 1e-6 in a float32 weight of 0.2 is exact to about a hundredth."""

ADAM_EPSILON = 1e-8


def disagreement(results: Mapping[str, Array], reference: Mapping[str, Array], tolerance: float = TOLERANCE) -> str:
    """Describes how the results of a contender differ from the reference; returns an empty text if they agree.

    Keys that both have are compared. "step of w" is Adam's first step in units of the learning rate. It is compared
    with the contender's own "gradient of w": where a gradient is almost zero, its sign, and so the step, is random.
    """
    shared = results.keys() & reference.keys()
    if not shared:
        return "has no result in common with the first contender"
    for name in sorted(shared):
        if name.startswith("step of "):
            g = results[name.replace("step of ", "gradient of ", 1)].astype(np.float64)
            wanted, limit = g / (np.abs(g) + ADAM_EPSILON), STEP_TOLERANCE
        else:
            wanted, limit = reference[name], tolerance
        if results[name].shape != wanted.shape:
            return f"disagrees: {name} has shape {results[name].shape}, not {wanted.shape}"
        error = float(np.max(np.abs(results[name] - wanted)) / np.max(np.abs(wanted)))
        if not error <= limit:
            return f"disagrees: {name} is off by {error:.1e}"
    return ""
