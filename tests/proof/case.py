"""Cases of programs that must be exported rightly or refused, in one form for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lucid
from lucid import nn
from lucid.errors import ExportError, LucidError, ShapeError
from lucid.export import to_onnx
from lucid.runtime import Session
from lucid.tracer.tree import flatten

__all__ = ["SIZES", "Case", "Cases", "compiled", "rand", "sized", "verdict"]

SIZES = (1, 2, 3, 4, 6, 7, 8, 12, 13, 16, 17, 20, 21, 31, 32, 33, 64, 100, 129, 257, 300)
"""Sizes of which no run of a proof is likely to see more than a few."""

Free = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    """A program, an example and inputs that no run of the proof saw.

    Attributes:
        function: a function or a module.
        example: the arguments to export it with.
        probes: other arguments.
        match: for a program that must be refused, a part of the message; None if it must be exported.
        options: the options of the export.
        free: the axes that must be free, by input; then the file must take all probes that the function takes.
        name: the name of the case; None for that of the function.
    """

    function: Callable[..., Any]
    example: tuple[Any, ...]
    probes: tuple[tuple[Any, ...], ...]
    match: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    free: Free = field(default_factory=dict)
    name: str | None = None

    def __str__(self) -> str:
        return self.name or getattr(self.function, "__name__", type(self.function).__name__)


class Cases(list[Case]):
    """A list of cases, filled by decorators."""

    def refused(self, *arguments: tuple[Any, ...], match: str = "", **options: Any) -> Callable[[Any], Any]:
        """Declares that a program must be refused: the example, then probes."""
        return self._add(arguments, match, {}, options)

    def exported(self, *arguments: tuple[Any, ...], free: Free | None = None, **options: Any) -> Callable[[Any], Any]:
        """Declares that a program must be exported, with these axes free, and be right at the probes."""
        return self._add(arguments, None, free or {}, options)

    honest = exported
    """Declares that a program must be exported rightly or refused; the file need not take the probes."""

    def _add(
        self, arguments: tuple[tuple[Any, ...], ...], match: str | None, free: Free, options: Any
    ) -> Callable[[Any], Any]:
        example, *probes = arguments

        def add(function: Any) -> Any:
            made = function() if isinstance(function, type) else function
            self.append(Case(made, example, tuple(probes), match, options, free))
            return function

        return add


def rand(*shape: int, scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Returns standard normal numbers, always the same for a shape."""
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * scale).astype(np.float32)


def sized(*tail: int, sizes: tuple[int, ...] = SIZES) -> list[tuple[Any, ...]]:
    """Returns the arguments of functions of one array, at many sizes of its first axis."""
    return [(rand(n, *tail),) for n in sizes]


def verdict(case: Case) -> str:
    """Returns "refused", "right", or what is wrong; a size that the file does not take counts as right.

    Only if an axis that must be free is fixed, or the file does not take a size that the function takes although all
    such axes are free, it is "fixed".
    """
    try:
        exported = to_onnx(case.function, *map(_copy, case.example), **case.options)
    except ExportError as error:
        return f"refused: {error}"
    for name, axes in case.free.items():
        for axis in axes:
            if axis not in exported.axes.get(name, {}):
                return f"fixed: axis {axis} of {name}: {exported.fixed.get(name, {}).get(axis)}"
    session = Session(exported)
    compared = 0
    for probe in (case.example, *case.probes):
        wanted, failure = _eager(case.function, probe)
        where = f"at {[np.shape(x) for x in probe]}, axes {exported.axes}"
        try:
            got = [np.asarray(array) for array in session(*map(_copy, probe))]
        except ShapeError as error:  # an axis is fixed
            if case.free and failure is None:
                return f"fixed: {error} {where}"
        except Exception as error:  # whatever the runtime raises
            if failure is None:
                return f"wrong: {type(error).__name__}: {error} {where}"
        else:
            if failure is None:
                compared += 1
                if (what := _difference(got, wanted)) is not None:
                    return f"wrong: {what} {where}"
    return f"right at {compared} of {len(case.probes) + 1}, axes {exported.axes}"


def compiled(case: Case, backward: bool = False) -> str:
    """Returns the verdict for calls of the compiled module, at the example and the probes, in this order.

    It is "right", "refused" if a call raised an error of lucid's although the eager one did not, or what is wrong.
    Where the eager module raises, the compiled one must raise the same type, or an error of lucid's.
    """
    model = case.function if isinstance(case.function, nn.Module) else _Wrapped(case.function)
    model.train(backward)
    fast: Any = (lucid.compile_backward if backward else lucid.compile)(model, threads=1)
    refused, compared = None, 0
    for probe in (case.example, *case.probes):
        where = f"at {[np.shape(x) for x in probe]}"
        wanted, failure = _eager(model, probe, backward)
        try:
            got = _results(model, fast, probe, backward)
        except Exception as error:  # whatever the user's code or the runtime raises
            if failure is None and not isinstance(error, LucidError):
                return f"wrong: {type(error).__name__}: {error} {where}"
            if failure is not None and not isinstance(error, (type(failure), LucidError)):
                return f"wrong: {error!r} for {failure!r} {where}"
            if failure is None:
                refused = refused or f"refused {where}: {error}"
        else:
            if failure is not None:
                return f"wrong: no {failure!r} {where}"
            compared += 1
            if (what := _difference(got, wanted)) is not None:
                return f"wrong: {what} {where}"
    return refused or f"right at {compared} of {len(case.probes) + 1} calls"


class _Wrapped(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def _eager(function: Any, probe: tuple[Any, ...], backward: bool = False) -> tuple[list[Any], Exception | None]:
    """Returns the results of a function, or what it raises."""
    try:
        return _results(function, function, probe, backward), None
    except Exception as error:  # the programs may raise anything
        return [], error


def _results(model: Any, call: Any, probe: tuple[Any, ...], backward: bool) -> list[Any]:
    """Returns the results of a call as arrays; after `backward`, the gradients of the parameters as well."""
    tensors = [lucid.tensor(_copy(x)) for x in probe]
    if not backward:
        return _arrays(call(*tensors))
    model.zero_grad()
    result = call(*tensors)
    if call is model:
        flatten(result, _is_tensor)[0][0].backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    return _arrays((result, *[lucid.zeros(1) if g is None else g for g in gradients]))


def _arrays(tree: Any) -> list[Any]:
    return [leaf.detach().numpy() for leaf in flatten(tree, _is_tensor)[0]]


def _difference(got: list[Any], wanted: list[Any]) -> str | None:
    """Returns how two lists of arrays differ; None if they do not."""
    for i, (one, other) in enumerate(zip(got, wanted, strict=True)):
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"result {i} is {one.dtype}{list(one.shape)}, not {other.dtype}{list(other.shape)}"
        if not np.allclose(one, other, 1e-3, 1e-4, equal_nan=True):
            return f"result {i} has other values"
    return None


def _is_tensor(x: Any) -> bool:
    return isinstance(x, lucid.Tensor)


def _copy(x: Any) -> Any:
    return np.array(x)
