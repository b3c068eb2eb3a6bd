"""lucid's first calls, each a job whose run makes the compiled module and calls it once."""

from __future__ import annotations

import lucid

from ..case import Case
from ..job import Job
from .lucid import layer

__all__ = ["backward", "forward"]


def forward(case: Case) -> Job:
    """Compiles a layer, and waits for its first answer."""
    model, x = layer(case).eval(), lucid.tensor(case.input())
    return Job(lambda: lucid.compile(model)(x), dict)


def backward(case: Case) -> Job:
    """Compiles a layer with its gradients, and waits for the first answer."""
    model, x, g = layer(case), lucid.tensor(case.input()), lucid.tensor(case.gradient())
    return Job(lambda: lucid.compile_backward(model)(x, gradient=g), dict)
