"""What the parts of a formula compute, on plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["ATOMS", "REAL"]

REAL: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "mod": lambda x, y: x % y,
    "floordiv": lambda x, y: x // y,
    "neg": lambda x: -x,
    "float": float,
}

ATOMS: dict[str, Callable[..., Any]] = {
    "mod": lambda n, k: n % k,
    "floordiv": lambda n, k: n // k,
    "min": min,
    "max": max,
    "bound": lambda n, size: slice(n, None).indices(size)[0],
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "trunc": math.trunc,
}
