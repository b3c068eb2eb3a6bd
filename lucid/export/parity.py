"""Verification: the eager model and onnxruntime, side by side, at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import VerificationError
from ..tensor import Tensor
from ..tracer.tree import flatten
from .example import Axis, Example

__all__ = ["Check", "Report", "compare", "tolerance"]

_TOLERANCES = {"float16": (1e-3, 1e-3), "float32": (1.3e-6, 1e-5), "float64": (1e-10, 1e-12)}
"""Relative and absolute tolerance by dtype: torch.testing's for float16 and float32, tighter for float64."""


class Check(NamedTuple):
    """One comparison.

    Attributes:
        sizes: the size of each symbol.
        difference: the greatest absolute difference of any output; None if the sizes were not compared.
        note: why not, if so.
    """

    sizes: dict[str, int]
    difference: float | None
    note: str = ""


class Report(NamedTuple):
    """What verification found; prints as a table.

    Attributes:
        checks: the comparisons, the example's sizes first.
        outputs: the names of the outputs compared.
        rtol: the relative tolerance; None for that of each output's dtype.
        atol: the absolute tolerance; likewise.
    """

    checks: tuple[Check, ...]
    outputs: tuple[str, ...]
    rtol: float | None
    atol: float | None

    @property
    def difference(self) -> float:
        """The greatest absolute difference seen."""
        return max((check.difference for check in self.checks if check.difference is not None), default=0.0)

    def __str__(self) -> str:
        rows = [("sizes", "greatest difference")]
        for sizes, difference, note in self.checks:
            text = ", ".join(f"{symbol}={n}" for symbol, n in sizes.items()) or "as the example"
            rows.append((text, note if difference is None else f"{difference:.1e}"))
        width = max(len(row[0]) for row in rows)
        return "\n".join(f"{left.ljust(width)}  {right}" for left, right in rows)


def tolerance(dtype: np.dtype[Any], rtol: float | None, atol: float | None) -> tuple[float, float]:
    """The tolerances for outputs of a dtype."""
    default = _TOLERANCES.get(dtype.name, (0.0, 0.0))
    return default[0] if rtol is None else rtol, default[1] if atol is None else atol


def compare(
    model: bytes | str,
    function: Callable[..., Any],
    example: Example,
    axes: Mapping[Axis, str],
    output_names: Sequence[str],
    rtol: float | None,
    atol: float | None,
) -> Report:
    """Run the function eagerly and the model in onnxruntime, and compare names, shapes, dtypes and values.

    At the example's sizes, with all free axes at one, and at larger sizes that the export never traced.

    Raises:
        VerificationError: they differ, or no sizes but the example's could be compared though axes are free.
    """
    session = _session(model)
    base = {symbol: example.arrays[name].shape[axis] for (name, axis), symbol in axes.items()}
    larger = {symbol: 2 * n + 3 + i for i, (symbol, n) in enumerate(base.items())}
    wanted = [base, dict.fromkeys(base, 1), larger]
    if len(base) > 1:
        wanted += [{**larger, symbol: 1} for symbol in base]
    checks: list[Check] = []
    for number, sizes in enumerate(wanted):
        if number and sizes == base:
            continue
        arrays = example.resized({axis: sizes[symbol] for axis, symbol in axes.items()}, seed=number)
        args, kwargs = example.arguments(arrays)
        try:
            # Gradients stay enabled: the function may ask for some.
            expected = [t._data for t in flatten(function(*args, **kwargs), _is_tensor)[0]]
        except Exception as error:  # what a user's model may raise at a size it was not made for
            if not number:
                raise
            checks.append(Check(sizes, None, f"the eager model refuses: {error}"))
            continue
        checks.append(Check(sizes, _difference(session, arrays, expected, output_names, sizes, rtol, atol)))
    if base and all(check.difference is None for check in checks[1:]):
        raise VerificationError(
            "to_onnx: the eager model accepts none of the other sizes tried, so free axes could not be verified: "
            f"{checks[-1].note}"
        )
    return Report(tuple(checks), tuple(output_names), rtol, atol)


def _difference(
    session: Any,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    expected: Sequence[np.ndarray[Any, Any]],
    names: Sequence[str],
    sizes: Mapping[str, int],
    rtol: float | None,
    atol: float | None,
) -> float:
    where = ", ".join(f"{symbol}={n}" for symbol, n in sizes.items()) or "the example's sizes"
    found = [output.name for output in session.get_outputs()]
    if found != list(names):
        raise VerificationError(f"to_onnx: the outputs are named {found}; expected {list(names)}")
    feed = {i.name: np.ascontiguousarray(arrays[i.name]) for i in session.get_inputs()}
    try:
        results = session.run(None, feed)
    except Exception as error:  # onnxruntime raises types of its own
        raise VerificationError(f"to_onnx: onnxruntime failed at {where}: {error}") from error
    greatest = 0.0
    for name, result, reference in zip(names, results, expected, strict=True):
        if result.shape != reference.shape or result.dtype != reference.dtype:
            raise VerificationError(
                f"to_onnx: output {name!r} is {result.dtype}{list(result.shape)} in onnxruntime, but "
                f"{reference.dtype}{list(reference.shape)} eagerly, at {where}"
            )
        if not result.size:
            continue
        relative, absolute = tolerance(reference.dtype, rtol, atol)
        if reference.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                off = np.asarray(np.abs(result - reference))
            off[(result == reference) | (np.isnan(result) & np.isnan(reference))] = 0
            bad = np.asarray(~(off <= absolute + relative * np.abs(reference)))
            bad[(result == reference) | (np.isnan(result) & np.isnan(reference))] = False
        else:
            off = (result != reference).astype(np.float64)
            bad = result != reference
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise VerificationError(
                f"to_onnx: output {name!r} differs at {where}: {result[place]} in onnxruntime, but {reference[place]} "
                f"eagerly, at index {place}; {int(bad.sum())} of {bad.size} elements are beyond rtol={relative}, "
                f"atol={absolute}"
            )
        greatest = max(greatest, float(off.max()))
    return greatest


def _session(model: bytes | str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own
        raise VerificationError(f"to_onnx: onnxruntime cannot load the exported model: {error}") from error


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)
