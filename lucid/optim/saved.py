"""The saved state of an optimizer: whether it is one, and whether it fits a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor, around
from .joined import NUMBERS

__all__ = ["fit", "malformed"]


def malformed(groups: Any, state: Any) -> str:
    """Returns which part of a state dict has the wrong type; nothing if none has."""
    if not isinstance(groups, (list, tuple)) or not all(isinstance(group, Mapping) for group in groups):
        return f"param_groups must be a list of dicts; got {type(groups).__name__}"
    for number, group in enumerate(groups):
        if not isinstance(numbers := group.get("params"), (list, tuple)) or any(type(n) is not int for n in numbers):
            return f"the params of group {number} must be a list of numbers"
    if not isinstance(state, Mapping) or not all(isinstance(entries, Mapping) for entries in state.values()):
        return "state must be a dict of dicts"
    return ""


def fit(
    entries: Mapping[str, Any], p: Tensor, slots: Mapping[str, float], where: str, problems: list[str]
) -> dict[str, Any]:
    """Converts the saved state of a parameter; adds what does not fit to `problems`."""
    missing = [name for name in slots if name not in entries]
    unexpected = [str(name) for name in entries if name not in slots]
    if missing:
        problems.append(f"{where} lacks {', '.join(missing)}")
    if unexpected:
        problems.append(f"{where} has an unexpected {', '.join(unexpected)}")
    state: dict[str, Any] = {}
    for name in slots:
        if name not in entries:
            continue
        entry = entries[name]
        shape = () if name in NUMBERS else p.shape
        try:
            array = entry._data if isinstance(entry, Tensor) else np.asarray(entry)
        except ValueError:  # lists of different lengths
            problems.append(f"{where}: {name} should have shape {shape}, got {type(entry).__name__}")
            continue
        if array.shape != shape or array.dtype.kind not in "fiu":
            problems.append(f"{where}: {name} should have shape {shape}, got {array.dtype}{list(array.shape)}")
        elif name in NUMBERS:
            state[name] = float(array.item())
        else:
            state[name] = around(np.array(array, p.dtype, order="C"))
    return state
