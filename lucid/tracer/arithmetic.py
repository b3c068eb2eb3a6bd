"""What the parts of a formula compute, on plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["ATOMS", "REAL", "key_of"]

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


_PRIME = 2**61 - 1


def key_of(*parts: Any) -> int:
    """Returns a number that stands for a sequence of texts and numbers, the same in every process."""
    key = len(parts)
    for part in parts:
        own = int.from_bytes(part.encode(), "big") if type(part) is str else hash(part)
        key = (key * 1000003 + own) % _PRIME
    return key
