"""Tensors passed on as they are, with a look at their gradients: what a module's backward hooks need."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import op
from ..tracer.op import Array

__all__: list[str] = []


@op
def passed(*tensors: Array, link: Any) -> Array:
    """Returns copies; in the backward pass, `link` gets the tuple of their gradients, and returns what takes its place.

    They are copies, since a node can note for one input only that its results are views.
    """
    return tuple([np.array(x) for x in tensors])


@passed.vjp
def _(g: Any, link: Any) -> Any:
    return link(g if isinstance(g, tuple) else (g,))
