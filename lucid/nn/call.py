"""The last call of a module, kept in short, as an example for an export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..tensor import Tensor, around, as_tensor
from ..tracer.tree import LEAF, Structure, flatten, unflatten

__all__ = ["CallSummary", "example_of", "summary_of"]


class CallSummary:
    """The shapes and dtypes of a call's tensors, enough for an example; integers are kept as they were."""

    __slots__ = ("axes", "leaves", "structure")

    def __init__(self, leaves: tuple[Any, ...], axes: list[Any], structure: Structure) -> None:
        self.leaves = leaves
        self.axes = axes
        self.structure = structure


def summary_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallSummary:
    """Returns the summary of a call with these arguments."""
    if not kwargs and len(args) == 1 and isinstance(args[0], Tensor):
        leaves: Any = args
        structure = _ONE
    else:
        leaves, structure = flatten((args, kwargs), _is_tensor)
    return CallSummary(
        tuple([x._data if x._data.dtype.kind != "f" else (x._data.shape, x._data.dtype) for x in leaves]),
        [x._axes for x in leaves],
        structure,
    )


_ONE = Structure(tuple, None, (Structure(tuple, None, (LEAF,)), Structure(dict, (), ())))


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def example_of(module: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Returns arguments like those of the module's last call; None if it was never called."""
    summary: CallSummary | None = module.__dict__.get("_last_call")
    if summary is None:
        return None
    rng = np.random.default_rng(0)

    def tensors() -> Iterator[Tensor]:
        for leaf, axes in zip(summary.leaves, summary.axes, strict=True):
            if isinstance(leaf, np.ndarray):
                made = as_tensor(leaf)
            else:
                shape, dtype = leaf
                made = around(rng.standard_normal(shape).astype(dtype))
            made._axes = axes
            yield made

    args, kwargs = unflatten(summary.structure, tensors())
    return args, kwargs
