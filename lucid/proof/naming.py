"""Names of axes: those that the user asks for, and those that the proof finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def names_of(graph: Graph, groups: Mapping[str, tuple[Axis, ...]], loaded: Mapping[Axis, str]) -> dict[str, str]:
    """Returns better names for the symbols: time and batch where a layer or a loader knows them, else the input's.

    Args:
        graph: a trace.
        groups: the axes of each symbol.
        loaded: the names of the axes that a data loader made.
    """
    names: dict[str, str] = {}
    known = [*_known(graph), *((Size.symbol(s), loaded[a]) for s, axes in groups.items() for a in axes if a in loaded)]
    for size, name in known:
        if size.is_symbol and str(size) not in names and name not in names.values():
            names[str(size)] = name
    # Half as many steps, as after a strided convolution, are of the time axis, too.
    for size, name in known:
        if len(size.symbols) == 1 and not size.symbols & names.keys() and name not in names.values():
            names[size.symbols.pop()] = name
    for symbol in groups:
        names.setdefault(symbol, symbol)
    return names


def _known(graph: Graph) -> Iterator[tuple[Size, str]]:
    """Yields the sizes that layers know, and the name of each: first those of recurrent layers."""
    layers: list[tuple[Any, Sequence[str | None]]] = []
    for node in graph.nodes:
        if "lengths" in node.op.inputs:
            layers.append((node.outputs[0].shape, ("time", "batch")))
        if node.op.name == "scan":
            layers.append((node.inputs[node.attrs["states"]].shape, ("time",)))
    for shape, axes in (*layers, *((note.value.shape, note.axes) for note in graph.notes)):
        for size, name in zip(shape, axes, strict=False):
            if isinstance(size, Size) and name is not None:
                yield size, name


def listed(axes: Iterable[Axis]) -> str:
    return " and ".join(f"axis {axis} of {name}" for name, axis in axes)
