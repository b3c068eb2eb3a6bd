"""Freeing: axes that a file fixed take any size, if nothing in the file stands for the size that they had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import LucidError, ModelImportError
from ..tensor import Tensor, around
from ..tracer import no_grad
from .lockstep import Lockstep, differing
from .program import Program, Step

__all__ = ["examples", "freed", "roles"]

PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
"""The sizes of freed axes in the second run."""

Axis = tuple[str, int]
"""An input, and one of its axes."""


class _ReachedError(Exception):
    """The lockstep run reached a recurrent operator; it holds what the axis is there."""


def freed(
    program: Program,
    scope: Mapping[str, Any],
    shapes: Mapping[str, tuple[int | str, ...]],
    dtypes: Mapping[str, Any],
    names: Mapping[Axis, str],
) -> Program:
    """Returns a program for any sizes of some axes.

    Args:
        program: a program that the file fixes to sizes.
        scope: its parameters and buffers.
        shapes: the shape of each input: the file's sizes, and names of axes that it does not fix.
        dtypes: the dtype of each input.
        names: the axes to free, and the name of each.

    Raises:
        ModelImportError: an axis cannot be freed; the message says why.
    """
    frozen: dict[str, int] = {}
    for (name, axis), label in names.items():
        size = shapes[name][axis]
        if isinstance(size, int) and frozen.setdefault(label, size) != size:
            raise ModelImportError(f"the axes named {label} have sizes {frozen[label]} and {size}")
    two = {name: tuple([names.get((name, axis), n) for axis, n in enumerate(shape)]) for name, shape in shapes.items()}
    first, second = _sizes(shapes, 0), _sizes({**shapes, "\0": tuple(names.values())}, 1)
    first.update({label: n for label, n in frozen.items() if label in first})
    with no_grad():
        runs = [
            [_example(kind[name], dtypes[name], sizes) for name in program.inputs]
            for kind, sizes in ((shapes, first), (two, second))
        ]
        return Lockstep(program, scope, frozen).run(*runs)


def roles(
    program: Program,
    scope: Mapping[str, Any],
    shapes: Mapping[str, tuple[int | str, ...]],
    dtypes: Mapping[str, Any],
) -> dict[Axis, str]:
    """Returns which axes of the inputs a recurrent operator reads as its time or as its batch.

    Args:
        program: a program.
        scope: its parameters and buffers.
        shapes: the shape of each input: the file's sizes, and names of axes that it does not fix.
        dtypes: the dtype of each input.
    """
    found: dict[Axis, str] = {}
    sizes = _sizes(shapes, 0)
    for name, shape in shapes.items():
        for axis, n in enumerate(shape):
            if isinstance(n, int):
                other = {**shapes, name: (*shape[:axis], PRIMES[-1], *shape[axis + 1 :])}
            else:
                other = {x: tuple([PRIMES[-1] if m == n else m for m in axes]) for x, axes in shapes.items()}
            with no_grad():
                runs = [[_example(kind[x], dtypes[x], sizes) for x in program.inputs] for kind in (shapes, other)]
                try:
                    Lockstep(program, scope, {}, _reached).run(*runs)
                except _ReachedError as reached:
                    if str(reached):
                        found[name, axis] = str(reached)
                except (LucidError, ValueError, IndexError):
                    continue
    return found


def _reached(step: Step, a: Sequence[Any], b: Sequence[Any]) -> None:
    """Raises what the axis that differs is for a recurrent operator, if one of its inputs has it."""
    read = [differing(x, y) for x, y in zip(a, b, strict=True)]
    places: list[tuple[int | None, int | None]]  # of each input, its time and its batch
    if step.node.op_type == "Scan":
        count = len(a) - step.node.get("num_scan_inputs", 0)
        axes = step.node.get("scan_input_axes", [0] * (len(a) - count))
        places = [(None, 0)] * count + [(axis, 1 - axis if axis < 2 else None) for axis in axes]
    elif step.node.op_type == "Loop":
        held, scanned = step.node.get("states"), step.node.get("scanned")
        others = len(a) - 2 - held - scanned
        places = [(None, None)] * 2 + [(None, 0)] * held + [(None, None)] * others + [(0, 1)] * scanned
    else:
        batch = 0 if step.node.get("layout", 0) else 1
        start = 1 if step.form == "recurrent" else 4
        places = [(None, None)] * len(a)
        places[0] = 1 - batch, batch
        places[start : start + 3] = [(None, 0), (None, batch), (None, batch)]
    for free, (time, sequences) in zip(read, places, strict=False):
        if free:
            role = "time" if free == [time] else "batch" if free == [sequences] else ""
            raise _ReachedError(role)


def _sizes(shapes: Mapping[str, tuple[int | str, ...]], turn: int) -> dict[str, int]:
    """Returns distinct sizes for named axes, others in each turn, none of which is a size in the file."""
    taken = {n for shape in shapes.values() for n in shape if isinstance(n, int)}
    labels = sorted({n for shape in shapes.values() for n in shape if isinstance(n, str)})
    primes = [n for n in PRIMES if n not in taken][turn::2]
    if len(labels) > len(primes):
        raise ModelImportError(f"more than {len(primes)} named axes: {', '.join(labels)}")
    return dict(zip(labels, primes, strict=False))


def examples(
    inputs: Sequence[str], shapes: Mapping[str, tuple[int | str, ...]], dtypes: Mapping[str, Any], turn: int = 0
) -> list[Tensor]:
    """Returns made-up inputs of a program; free axes have other sizes in each of the turns 0 and 1."""
    sizes = _sizes(shapes, turn)
    return [_example(shapes[name], dtypes[name], sizes) for name in inputs]


def _example(shape: tuple[int | str, ...], dtype: Any, sizes: Mapping[str, int]) -> Tensor:
    kind = np.dtype(dtype)
    whole = [n if isinstance(n, int) else sizes[n] for n in shape]
    # Integers may be lengths, which are at least one, or indices, which may be one in any but the smallest tables.
    return around(np.ones(whole, kind) if kind.kind in "iu" else np.full(whole, 0.5).astype(kind))
