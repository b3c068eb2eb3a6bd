"""Cases of programs that must be exported rightly or refused, in one form for all kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lucid
from lucid.errors import ExportError, LucidError
from lucid.export import to_onnx
from lucid.runtime import Session
from lucid.tracer.tree import flatten

__all__ = ["Case", "Cases", "rand", "verdict"]


@dataclass(frozen=True)
class Case:
    """A program, an example and inputs that no run of the proof saw.

    Attributes:
        function: a function, or a function without arguments that makes a module if `made` is true.
        example: the arguments to export it with.
        probes: other arguments.
        match: for a program that must be refused, a part of the message; None if it must be exported.
        options: the options of the export.
    """

    function: Callable[..., Any]
    example: tuple[Any, ...]
    probes: tuple[tuple[Any, ...], ...]
    match: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class Cases(list[Case]):
    """A list of cases, filled by decorators."""

    def refused(self, *arguments: tuple[Any, ...], match: str = "", **options: Any) -> Callable[[Any], Any]:
        """Declares that a program must be refused: the example, then probes."""
        return self._add(arguments, match, options)

    def exported(self, *arguments: tuple[Any, ...], **options: Any) -> Callable[[Any], Any]:
        """Declares that a program must be exported, and be right at the probes."""
        return self._add(arguments, None, options)

    def _add(self, arguments: tuple[tuple[Any, ...], ...], match: str | None, options: Any) -> Callable[[Any], Any]:
        example, *probes = arguments

        def add(function: Any) -> Any:
            made = function() if isinstance(function, type) else function
            self.append(Case(made, example, tuple(probes), match, options))
            return function

        return add


def rand(*shape: int, scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Returns standard normal numbers, always the same for a shape."""
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * scale).astype(np.float32)


def verdict(case: Case) -> str:
    """Returns "refused", "right", or what is wrong; a size that the file does not take counts as right."""
    try:
        exported = to_onnx(case.function, *map(_copy, case.example), **case.options)
    except ExportError as error:
        return f"refused: {error}"
    session = Session(exported)
    for probe in case.probes:
        try:
            got = [np.asarray(array) for array in session(*map(_copy, probe))]
        except LucidError:  # an axis is fixed
            continue
        wanted = flatten(
            case.function(*[lucid.tensor(_copy(x)) for x in probe]), lambda x: isinstance(x, lucid.Tensor)
        )[0]
        for one, other in zip(got, wanted, strict=True):
            reference = other.detach().numpy()
            if one.shape != reference.shape or not np.allclose(one, reference, 1e-3, 1e-4, equal_nan=True):
                return f"wrong at {[np.shape(x) for x in probe]}, axes {exported.axes}"
    return f"right, axes {exported.axes}"


def _copy(x: Any) -> Any:
    return np.array(x)
