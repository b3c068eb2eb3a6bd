"""The exchange inside of a forward pass: a term of this rank becomes the sum over all ranks."""

from __future__ import annotations

from typing import Any

from ..tensor import op
from ..tracer.op import Array

__all__ = ["sum_over_ranks"]


@op(no_export="it is a sum over several processes, and a file runs in one")
def sum_over_ranks(x: Array, /, total: Array, ranks: int) -> Array:
    """Returns the sum over all ranks, `total`, of which `x` is the term of this one.

    All ranks compute what follows alike, and each begins its backward pass with its share of it, 1 / ranks. So the
    gradient of a term is that of the sum, as often as there are ranks.
    """
    return total


@sum_over_ranks.vjp
def _(g: Any, ranks: int) -> Any:
    return g * ranks
