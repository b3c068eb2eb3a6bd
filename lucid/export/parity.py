"""Parity check: compares the eager model with onnxruntime at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from ..errors import ExportError, VerificationError
from ..ops.generator import begin_again
from ..proof.example import Arrays, Axis, Example
from ..tensor import Tensor
from ..tracer.tree import flatten
from .file.empty import without_aborts
from .file.layout import lay_out
from .file.write import staged
from .lowering.plan import Plan
from .report import Check, Report
from .rounding import Rounding, rounding

__all__ = ["check", "feed_of", "session_of", "tolerance", "wanted"]

_TOLERANCES = {"float16": (1e-3, 1e-3), "float32": (1.3e-6, 1e-5), "float64": (1e-10, 1e-12)}
"""Relative and absolute tolerance by dtype: torch.testing's for float16 and float32, tighter for float64."""

_REDUCED = {"float16": (5e-3, 5e-3), "int8": (5e-2, 5e-2)}
"""The same by precision of the model; the absolute one is a share of the greatest magnitude of the output."""

_FLOATS = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}
"""NumPy's dtypes by onnxruntime's type names."""


_FURTHER = 8
"""By about how much several axes together are larger: twice as large, they would take longer than all other runs. Each
by itself is twice as large."""

_STEPS = (7, 1, -1, 2)
"""The changes of a single size that are compared if a program accepts none of the other sizes."""


def tolerance(dtype: np.dtype[Any], rtol: float | None, atol: float | None) -> tuple[float, float]:
    """Returns the relative and the absolute tolerance for outputs of a dtype."""
    default = _TOLERANCES.get(dtype.name, (0.0, 0.0))
    return default[0] if rtol is None else rtol, default[1] if atol is None else atol


def check(
    model: ir.Model,
    lowered: ir.Model,
    plan: Plan,
    function: Callable[..., Any],
    example: Example,
    precision: str | None = None,
    *,
    verify: bool,
    rtol: float | None,
    atol: float | None,
) -> Report | None:
    """Checks a model with onnx, and compares it with the function that it was exported from.

    Args:
        model: the model.
        lowered: the model before its conversion to another precision.
        plan: the plan that `lowered` was lowered from.
        function: the exported function.
        example: the arguments that it was exported with.
        precision: the precision that the model was converted to, if it was.
        verify: whether to compare the two; if not, the result is None.
        rtol, atol: the tolerances; None for the defaults of each output's dtype.

    Raises:
        ExportError: onnx rejects the model.
        VerificationError: the model and the function differ.
    """
    names = [str(value.name) for value in model.graph.outputs]
    with staged(model) as source:
        try:
            onnx.checker.check_model(source, full_check=True)
        except Exception as error:  # the checker raises its own exception types
            raise ExportError(f"to_onnx: the ONNX checker refuses the model: {error}") from error
        if not verify:
            return None
        empty = any(not array.size for array in example.arrays.values())
        report = _compare(session_of(source, empty), names, function, example, plan, precision, rtol, atol)
    if precision is None:
        return report
    return report._replace(bytes=(lay_out(lowered).bytes, lay_out(model).bytes))


def _compare(
    session: Any,
    output_names: Sequence[str],
    function: Callable[..., Any],
    example: Example,
    plan: Plan,
    precision: str | None,
    rtol: float | None,
    atol: float | None,
) -> Report:
    """Runs the function eagerly and the model in onnxruntime, and compares names, shapes, dtypes and values.

    It does so at the example's sizes, at size one on all free axes, and at larger sizes that the export never traced. A
    model that was converted to another precision may have other dtypes. Inputs that are parameters get the function's
    tensors, and the seed of random draws is that of the generator.

    Raises:
        VerificationError: they differ, or axes are free but only the example's sizes could be compared.
    """
    axes, parameters = plan.axes, plan.parameters
    found = [output.name for output in session.get_outputs()]
    if found != list(output_names):
        raise VerificationError(f"to_onnx: the outputs are named {found}; expected {list(output_names)}")
    base = {symbol: example.arrays[name].shape[axis] for (name, axis), symbol in axes.items()}
    chosen = wanted(base, plan)
    runs: list[tuple[dict[str, int], Arrays, list[np.ndarray[Any, Any]] | str]] = []
    for number, sizes in enumerate(chosen):
        runs.append((sizes, *_eager(function, example, axes, sizes, number)))
    if all(isinstance(references, str) for _, _, references in runs[1:]):
        # Sizes that a program accepts one by one need not fit together.
        for symbol, n in product(base, _STEPS):
            sizes = {**base, symbol: base[symbol] + n}
            if sizes[symbol] > 0 and allowed(plan, sizes):
                runs.append((sizes, *_eager(function, example, axes, sizes, len(runs))))
    expected = [references for _, _, references in runs if not isinstance(references, str)]
    if base and len(expected) == 1 < len(runs):
        raise VerificationError(
            "to_onnx: the eager model accepts none of the other sizes tried, so free axes could not be verified: "
            f"{runs[-1][2]}"
        )
    tolerances = {
        name: _tolerance(list(references), precision, rtol, atol, bool(parameters))
        for name, references in zip(output_names, zip(*expected, strict=True), strict=True)
    }
    own = {name: tensor._data for name, tensor in plan.inputs.items()}
    defaults = rtol is None and atol is None and precision not in _REDUCED
    unit = float(np.finfo(np.float32).eps) / 2 if precision == "float32" else None
    checks, explained = [], dict.fromkeys(output_names, 0.0)
    for sizes, arrays, references in runs:
        if isinstance(references, str):
            checks.append(Check(sizes, None, references))
            continue
        feed = {**arrays, **own}
        made = _difference(
            _results(session, feed, sizes, precision),
            references,
            sizes,
            tolerances,
            precision,
            _Explanation(plan, feed, sizes, unit) if defaults else None,
        )
        checks.append(Check(sizes, made.difference))
        explained = {name: max(most, made.rounding.get(name, 0.0)) for name, most in explained.items()}
    explained = {name: most for name, most in explained.items() if most}
    tolerances |= {name: (tolerances[name][0], tolerances[name][1] + most) for name, most in explained.items()}
    return Report(tuple(checks), tuple(output_names), rtol, atol, tolerances, precision, None, plan.reads, explained)


def wanted(base: dict[str, int], plan: Plan) -> list[dict[str, int]]:
    """Returns the sizes to compare at: the example's, then those that the conditions of the plan allow."""
    double = {symbol: 2 * n + 3 + i for i, (symbol, n) in enumerate(base.items())}
    larger = double
    if len(base) > 1:
        larger = {symbol: n + min(n, _FURTHER) + 3 + i for i, (symbol, n) in enumerate(base.items())}
    # A condition may be for multiples.
    larger = next((s for s in (larger, double, *_multiples(base)) if allowed(plan, s)), larger)
    others = [dict.fromkeys(base, 1), larger]
    if len(base) > 1:
        wide = double if allowed(plan, double) else larger
        others += [{**wide, symbol: 1} for symbol in base]
    return [base, *(sizes for sizes in others if sizes != base and allowed(plan, sizes))]


def _multiples(base: Mapping[str, int]) -> Iterator[dict[str, int]]:
    for factor in (2, 3, 4):
        yield {symbol: factor * n for symbol, n in base.items()}


def allowed(plan: Plan, sizes: Mapping[str, int]) -> bool:
    return all(condition.guard.holds(sizes) for condition in plan.conditions)


def _eager(
    function: Callable[..., Any], example: Example, axes: Mapping[Axis, str], sizes: Mapping[str, int], number: int
) -> tuple[Arrays, list[np.ndarray[Any, Any]] | str]:
    """Runs the function on the first of several inputs that it accepts; if there is none, returns the reason.

    Raises:
        Exception: the function fails with the example itself.
    """
    why = ""
    for arrays in example.proposals({axis: sizes[symbol] for axis, symbol in axes.items()}, seed=number):
        args, kwargs = example.arguments(arrays)
        try:
            begin_again()
            # Gradients stay enabled: the function may compute some.
            return arrays, [t._data for t in flatten(function(*args, **kwargs), _is_tensor)[0]]
        except Exception as error:  # a user's model may raise anything at an unsupported size
            if not number:
                raise
            why = why or f"the eager model refuses: {error}{example.made_up(arrays)}"
    return example.arrays, why


class _Explanation:
    """What rounding does to the outputs at some sizes; estimated only if it is needed."""

    def __init__(self, plan: Plan, arrays: Arrays, sizes: Mapping[str, int], unit: float | None) -> None:
        self._given = plan, arrays, sizes, unit
        self._outputs: list[Rounding | None] | None = None

    def of(self, number: int) -> Rounding | None:
        """Returns the estimate for an output; None if there is none."""
        if self._outputs is None:
            count = len(self._given[0].graph.outputs)
            try:
                self._outputs = [*rounding(*self._given)]
            except Exception:  # an op of the user's may not run in float64: then rounding explains nothing
                self._outputs = [None] * count
        return self._outputs[number]


class _Found(NamedTuple):
    """The greatest difference of a comparison, and by output what rounding had to explain."""

    difference: float
    rounding: dict[str, float]


def _tolerance(
    references: Sequence[np.ndarray[Any, Any]],
    precision: str | None,
    rtol: float | None,
    atol: float | None,
    sums: bool,
) -> tuple[float, float]:
    """Returns the tolerances for an output, given its values at all sizes; `sums`: it may be a sum over a sequence."""
    dtype = references[0].dtype
    reduced = dtype.kind == "f" and precision in _REDUCED
    if not reduced and not sums:
        return tolerance(dtype if precision != "float32" else np.dtype(np.float32), rtol, atol)
    finite = [reference[np.isfinite(reference)] for reference in references]
    greatest = max((float(np.abs(values).max()) for values in finite if values.size), default=0.0)
    if reduced:
        relative, share = _REDUCED[str(precision)]
    else:
        relative, share = tolerance(dtype if precision != "float32" else np.dtype(np.float32), None, None)
        greatest = max(1.0, greatest)
    return relative if rtol is None else rtol, share * greatest if atol is None else atol


def _results(session: Any, arrays: Arrays, sizes: Mapping[str, int], precision: str | None) -> list[Any]:
    """Runs the model."""
    try:
        return list(session.run(None, feed_of(session, arrays, precision)))
    except Exception as error:  # onnxruntime raises its own exception types
        raise VerificationError(f"to_onnx: onnxruntime failed at {_where(sizes)}: {error}") from error


def feed_of(session: Any, arrays: Arrays, precision: str | None) -> Arrays:
    """Returns the inputs of a session; those of a converted model may have other dtypes than the function's."""
    feed = {i.name: np.asarray(arrays[i.name], order="C") for i in session.get_inputs()}
    if precision is None:
        return feed
    return {i.name: feed[i.name].astype(_FLOATS.get(i.type, feed[i.name].dtype)) for i in session.get_inputs()}


def _where(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{symbol}={n}" for symbol, n in sizes.items()) or "the example's sizes"


def _difference(
    results: Sequence[np.ndarray[Any, Any]],
    expected: Sequence[np.ndarray[Any, Any]],
    sizes: Mapping[str, int],
    tolerances: Mapping[str, tuple[float, float]],
    precision: str | None,
    explanation: _Explanation | None,
) -> _Found:
    """Compares results with those of the eager model.

    Raises:
        VerificationError: they differ by more than the tolerances, and by more than rounding explains.
    """
    found = _Found(0.0, {})
    rows = zip(tolerances.items(), results, expected, strict=True)
    for number, ((name, (relative, absolute)), result, reference) in enumerate(rows):
        kinds = (result.dtype, reference.dtype) if precision is None else (result.dtype.kind, reference.dtype.kind)
        if result.shape != reference.shape or kinds[0] != kinds[1]:
            raise VerificationError(
                f"to_onnx: output {name!r} is {result.dtype}{list(result.shape)} in onnxruntime, but "
                f"{reference.dtype}{list(reference.shape)} eagerly, at {_where(sizes)}"
            )
        if not result.size:
            continue
        why = ""
        if reference.dtype.kind == "f":
            off = _apart(result.astype(reference.dtype), reference)
            with np.errstate(invalid="ignore"):
                allowed = absolute + relative * np.abs(reference)
            bad = ~(off <= allowed) & (off != 0)
            if bad.any() and explanation is not None and (own := explanation.of(number)) is not None:
                # If the eager result is farther from the exact one than that, the estimate does not describe the model.
                more = np.asarray(allowed + own.tolerance)
                right = bad & (off <= more) & (_apart(reference, own.exact) <= more)
                if right.any():
                    found.rounding[name] = float(own.tolerance[right].max())
                bad &= ~right
                why = _unexplained(own, bad)
        else:
            off = (result != reference).astype(np.float64)
            bad = result != reference
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise VerificationError(
                f"to_onnx: output {name!r} differs at {_where(sizes)}: {result[place]} in onnxruntime, but "
                f"{reference[place]} eagerly, at index {place}; {int(bad.sum())} of {bad.size} elements are beyond "
                f"rtol={relative:g}, atol={absolute:g}{why}"
            )
        found = found._replace(difference=max(found.difference, float(off.max())))
    return found


def _apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the absolute differences; equal infinities and two NaNs do not differ."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.asarray(np.abs(one - other))
    off[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
    return off


def _unexplained(own: Rounding, bad: np.ndarray[Any, Any]) -> str:
    """Says what rounding explains at the first element that differs."""
    if not bad.any():
        return ""
    place = tuple(np.argwhere(bad)[0])
    if own.lost[place]:
        return (
            "; the model amplifies the rounding of its own sums so much that two right results need not agree: compare "
            "it in float64, or give rtol and atol"
        )
    return f"; rounding explains no more than {float(own.tolerance[place]):.1e}"


def session_of(model: bytes | str, empty: bool) -> Any:
    """Loads the model in onnxruntime; `empty`: it will run on inputs without elements."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if empty and isinstance(model, bytes):
        model = without_aborts(onnx.ModelProto.FromString(model)).SerializeToString()
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own exception types
        raise VerificationError(f"to_onnx: onnxruntime cannot load the exported model: {error}") from error


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)
