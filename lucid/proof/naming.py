"""Names of axes: those that the user asks for, and those that the proof finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ExportError
from ..tracer.graph import Graph
from ..tracer.size import Size
from .example import Axis, Example

__all__ = ["asked_axes", "listed", "names_of"]


def asked_axes(dynamic: Mapping[str, Mapping[int, str]], example: Example) -> dict[str, tuple[Axis, ...]]:
    """Returns the requested axes, grouped by name.

    Raises:
        ExportError: there is no such input or axis.
    """
    groups: dict[str, list[Axis]] = {}
    for name, axes in dynamic.items():
        if name not in example.arrays:
            raise ExportError(f"to_onnx: dynamic names an input {name!r}; there is {', '.join(example.arrays)}")
        ndim = example.arrays[name].ndim
        for axis, symbol in axes.items():
            # A derived size is named by its formula, such as 2*time, so no axis may have such a name.
            if not isinstance(symbol, str) or not symbol.isidentifier():
                raise ExportError(f"to_onnx: an axis is named by a word; got {symbol!r} for axis {axis} of {name}")
            if not -ndim <= axis < ndim:
                raise ExportError(f"to_onnx: {name} has {ndim} axes; dynamic asks for axis {axis}")
            groups.setdefault(symbol, []).append((name, axis % ndim))
    return {symbol: tuple(axes) for symbol, axes in groups.items()}


def names_of(graph: Graph, groups: Mapping[str, tuple[Axis, ...]]) -> dict[str, str]:
    """Returns better names for the symbols: time and batch for the axes of a recurrent op, others after the input."""
    names: dict[str, str] = {}

    def call(size: Any, name: str) -> None:
        if isinstance(size, Size) and size.is_symbol and str(size) not in names and name not in names.values():
            names[str(size)] = name

    for node in graph.nodes:
        if "lengths" in node.op.inputs:
            for n, name in zip(node.outputs[0].shape, ("time", "batch"), strict=False):
                call(n, name)
        if node.op.name == "scan":
            call(node.inputs[node.attrs["states"]].shape[0], "time")
    for symbol in groups:
        names.setdefault(symbol, symbol)
    return names


def listed(axes: Iterable[Axis]) -> str:
    return " and ".join(f"axis {axis} of {name}" for name, axis in axes)
