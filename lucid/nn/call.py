"""The last call of a module, kept in short, as an example for an export."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
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


_OfOne = tuple[tuple[int, ...], Any, Any]
"""The summary of a call with one tensor of floats: its shape, its dtype, and the names of its axes."""


def summary_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallSummary | _OfOne:
    """Returns the summary of a call with these arguments."""
    # The usual call has one tensor: a whole summary would take as long as a small layer.
    if len(args) == 1 and not kwargs and type(x := args[0]) is Tensor and (array := x._data).dtype.kind == "f":
        return array.shape, array.dtype, x._axes
    leaves, structure = (None if kwargs else _plain(args)) or flatten((args, kwargs), _is_tensor)
    return CallSummary(
        tuple([x._data if x._data.dtype.kind != "f" else (x._data.shape, x._data.dtype) for x in leaves]),
        [x._axes for x in leaves],
        structure,
    )


def _plain(args: tuple[Any, ...]) -> tuple[list[Tensor], Structure] | None:
    """Returns what `flatten` does for tensors and tuples of tensors, in a third of the time; None for anything else."""
    leaves: list[Tensor] = []
    counts: list[int | None] = []
    for arg in args:
        if isinstance(arg, Tensor):
            leaves.append(arg)
            counts.append(None)
        elif type(arg) is tuple and all(isinstance(part, Tensor) for part in arg):
            leaves += arg
            counts.append(len(arg))
        else:
            return None
    return leaves, _structure(tuple(counts))


@lru_cache
def _structure(counts: tuple[int | None, ...]) -> Structure:
    """Returns the structure of a call with tensors, which stand as None, and tuples of so many tensors."""
    parts = tuple([LEAF if n is None else Structure(tuple, None, (LEAF,) * n) for n in counts])
    return Structure(tuple, None, (Structure(tuple, None, parts), Structure(dict, (), ())))


_ONE = _structure((None,))
"""The structure of a call with one tensor."""


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def example_of(module: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Returns arguments like those of the module's last call; None if it was never called."""
    last: CallSummary | _OfOne | None = module.__dict__.get("_last_call")
    if last is None:
        return None
    summary = last if isinstance(last, CallSummary) else CallSummary((last[:2],), [last[2]], _ONE)
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
