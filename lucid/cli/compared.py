"""Two files side by side in onnxruntime: whether they agree, and how long each takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import LucidError, ModelImportError, VerificationError
from ..export import Exported
from ..importing.module import OnnxModule
from ..runtime import Session
from ..tracer import no_grad

__all__ = ["Comparison", "agree", "agree_in_parts", "check_pieces", "measured", "sampled"]

Array = np.ndarray[Any, Any]

_TOLERANCES = {None: 1e-4, "float32": 1e-4, "float16": 1e-2, "int8": 1e-1}
"""The greatest difference by precision, times the greatest magnitude in an output if that is above one."""


class Comparison(NamedTuple):
    """How two files compare.

    Attributes:
        difference: the greatest difference of two elements.
        sizes: the sizes of the free axes at which they were compared.
    """

    difference: float
    sizes: tuple[dict[str, int], ...]


def sampled(module: OnnxModule, shapes: Mapping[str, tuple[int, ...]]) -> list[Array]:
    """Returns made-up inputs that a module accepts.

    Integers may be lengths, indices, or classes, so they are 0 or 1, or all 1, or all 0.

    Raises:
        ModelImportError: it accepts none of them.
    """
    rng = np.random.default_rng(0)
    failure: Exception | None = None
    for kind in ("mixed", "ones", "zeros"):
        arrays = [_made(rng, shapes[port.name], port.dtype, kind) for port in module.inputs]
        try:
            with no_grad():
                module(*arrays)
            return arrays
        except (LucidError, ValueError, IndexError) as error:
            failure = failure or error
    raise ModelImportError(
        f"the model accepts no made-up inputs: {failure}; if sizes belong together, give them by --sizes, or give the "
        "axes one name, as by --dynamic batch=x:1,batch=h:1"
    ) from failure


def _made(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, kind: str) -> Array:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    low, high = {"mixed": (0, 2), "ones": (1, 2), "zeros": (0, 1)}[kind]
    return rng.integers(low, high, shape).astype(dtype)


def _inputs(new: Session, sizes: Mapping[str, int], states: Mapping[str, str]) -> dict[str, Array]:
    """Returns inputs for the new file; those that it got for hidden states are zero."""
    arrays = dict(zip(new.input_names, new.sample(**sizes), strict=True))
    return {name: np.zeros_like(x) if name in states else x for name, x in arrays.items()}


def agree(
    old: Session,
    new: Session,
    sizes: dict[str, int],
    states: Mapping[str, str],
    precision: str | None,
    before: Comparison | None,
) -> Comparison:
    """Runs both files on the same inputs and compares their outputs.

    Raises:
        VerificationError: they differ.
    """
    arrays = _inputs(new, sizes, states)
    wants = old(**{name: arrays[name] for name in old.input_names})
    gots = new(**arrays)
    greatest = 0.0 if before is None else before.difference
    for name, want in wants.items():
        greatest = max(greatest, _difference(name, want, gots[name], precision, f"at {sizes or 'its sizes'}"))
    return Comparison(greatest, (*(() if before is None else before.sizes), sizes))


def agree_in_parts(
    old: Session,
    new: Session,
    label: str,
    axes: Mapping[str, int],
    fixed: Mapping[str, int],
    states: Mapping[str, str],
    precision: str | None,
    before: Comparison,
) -> Comparison:
    """Compares the new file at three times the size that the old one fixes with the old one on each third.

    Args:
        old, new: the files.
        label: an axis along which nothing mixes, such as a batch, and which the old file fixes.
        axes: the place of that axis in each output.
        fixed: the sizes that the old file fixes.
        states: the inputs that are zero.
        precision: the precision of the new file.
        before: what was compared already.

    Raises:
        VerificationError: they differ.
    """
    size = fixed[label]
    sizes = {name: 3 * size if name == label else fixed.get(name, 2) for name in new.axes}
    arrays = _inputs(new, sizes, states)
    gots = new(**arrays)
    shapes = {spec.name: spec.shape for spec in new.inputs}
    parts = [
        old(**{name: _cut(arrays[name], shapes[name], label, start, start + size) for name in old.input_names})
        for start in range(0, 3 * size, size)
    ]
    greatest = before.difference
    for name in parts[0].names:
        want = np.concatenate([part[name] for part in parts], axes[name])
        greatest = max(greatest, _difference(name, want, gots[name], precision, f"at {sizes}"))
    return Comparison(greatest, (*before.sizes, sizes))


def _difference(name: str, want: Array, got: Array, precision: str | None, where: str) -> float:
    """Returns the greatest difference of two outputs."""
    if want.shape != got.shape or want.dtype != got.dtype:
        raise VerificationError(
            f"not written: {name} is {want.dtype}{list(want.shape)}, and {got.dtype}{list(got.shape)} in the new file"
        )
    if not want.size:
        return 0.0
    if want.dtype.kind != "f":
        if (want != got).any():
            raise VerificationError(f"not written: {name} has other elements in the new file, {where}")
        return 0.0
    one, two = want.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gaps = np.where((one == two) | (np.isnan(one) & np.isnan(two)), 0.0, np.abs(one - two))
    finite = one[np.isfinite(one)]
    limit = _TOLERANCES[precision] * max(1.0, float(np.abs(finite).max()) if finite.size else 1.0)
    gap = float(gaps.max())
    if not gap <= limit:
        raise VerificationError(
            f"not written: {name} differs by {gap:.3g}, {where}; at most {limit:.3g} is allowed"
            + (f" with {precision}" if precision else "")
        )
    return gap


def check_pieces(new: Session, exported: Exported, states: Mapping[str, str], label: str | None) -> None:
    """Runs a sequence in pieces with the states carried on, and compares with the whole.

    An output without the time axis, such as the class of a sequence, is that of the last piece.

    Args:
        new: the file with the states.
        exported: the same.
        states: the output that continues each state.
        label: the axis along which a sequence is cut.

    Raises:
        VerificationError: they differ, or a sequence cannot be cut.
    """
    if label not in new.axes:
        raise VerificationError(
            "not written: the length of a sequence is fixed, so it has no pieces; free it by --dynamic time"
        )
    total = 7
    sizes = {name: total if name == label else 2 for name in new.axes}
    arrays = _inputs(new, sizes, states)
    whole = new(**arrays)
    shapes = {spec.name: spec.shape for spec in (*new.inputs, *new.outputs)}
    carried = {name: arrays[name] for name in states}
    pieces: list[Any] = []
    for start, end in ((0, 3), (3, 4), (4, total)):
        part = {name: _cut(x, shapes[name], label, start, end) for name, x in arrays.items()}
        result = new(**{**part, **carried})
        carried = {name: result[output] for name, output in states.items()}
        pieces.append(result)
    why = "" if exported.streaming.time is not None else f" ({exported.streaming.why})"
    for name, want in whole.items():
        axis = shapes[name].index(label) if label in shapes[name] else None
        got = pieces[-1][name] if axis is None else np.concatenate([piece[name] for piece in pieces], axis)
        _difference(name, want, got, exported.precision, f"between a sequence and its pieces{why}")


def _cut(x: Array, shape: Sequence[int | str | None], label: str, start: int, end: int) -> Array:
    return np.take(x, range(start, end), shape.index(label)) if label in shape else x


def measured(old: Session, new: Session, sizes: Mapping[str, int], seconds: float) -> list[float]:
    """Returns the medians of the time of a call, in milliseconds; calls of both files take turns."""
    arrays = dict(zip(new.input_names, new.sample(**sizes), strict=True))
    calls = [(session, {name: arrays[name] for name in session.input_names}) for session in (old, new)]
    times: list[list[float]] = [[], []]
    for _ in range(3):
        for session, given in calls:
            session(**given)
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or time.perf_counter() < end:
        for (session, given), spent in zip(calls, times, strict=True):
            start = time.perf_counter()
            session(**given)
            spent.append(time.perf_counter() - start)
    return [float(np.median(spent)) * 1e3 for spent in times]
