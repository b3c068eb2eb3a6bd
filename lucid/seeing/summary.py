"""Summary: the modules of a model, with their sizes and what they compute."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..nn.module import Module
from ..tables import html_table, size_of, text_table
from ..tensor import Parameter, Tensor
from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.trace import Call
from .products import products
from .tracing import traced

__all__ = ["Row", "Summary", "summary"]

Shape = tuple[int, ...]


class Row(NamedTuple):
    """A module of a model, with all that is below it.

    Attributes:
        path: its path in the model; "" for the model itself.
        kind: its type.
        shapes: the shape of each tensor that its first call returned; None if it was not called.
        calls: how many times it was called.
        parameters: how many elements its parameters have.
        trainable: how many of these require gradients.
        parameter_bytes: the memory of its parameters.
        activation_bytes: the memory of the results of the ops that run in it; None without inputs.
        multiply_adds: how many multiply-adds its products, convolutions and recurrent ops take; None without inputs.
    """

    path: str
    kind: str
    shapes: tuple[Shape, ...] | None
    calls: int
    parameters: int
    trainable: int
    parameter_bytes: int
    activation_bytes: int | None
    multiply_adds: int | None


class Summary:
    """The modules of a model in the order of their calls; the first row is the model itself.

    It prints as a table, also in a notebook.

    Attributes:
        rows: a `Row` for each module that is called or has parameters, or is named by the nodes of an imported file.
        shapes: the shapes of the tensors among the inputs; None without inputs.
        notes: what the numbers leave out, if anything.
    """

    def __init__(self, rows: Sequence[Row], shapes: tuple[Shape, ...] | None, notes: Sequence[str] = ()) -> None:
        self.rows = tuple(rows)
        self.shapes = shapes
        self.notes = tuple(notes)

    @property
    def parameters(self) -> int:
        """How many elements the parameters have; each parameter counts once."""
        return self.rows[0].parameters

    @property
    def trainable(self) -> int:
        """How many of these require gradients."""
        return self.rows[0].trainable

    @property
    def parameter_bytes(self) -> int:
        """The memory of the parameters."""
        return self.rows[0].parameter_bytes

    @property
    def activation_bytes(self) -> int | None:
        """The memory of the results of all ops of a forward pass but views and reshapes; None without inputs."""
        return self.rows[0].activation_bytes

    @property
    def multiply_adds(self) -> int | None:
        """How many multiply-adds the products, convolutions and recurrent ops take; None without inputs."""
        return self.rows[0].multiply_adds

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it as plain data, for JSON."""
        return {
            "inputs": None if self.shapes is None else [list(shape) for shape in self.shapes],
            "rows": [row._asdict() for row in self.rows],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        heading, rows = self._cells()
        lines = text_table([heading, *rows], left=3 if self.shapes is not None else 2).splitlines()
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(f"Summary of {self.rows[0].kind}", *self._cells(), self._totals())

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        ran = self.shapes is not None
        heading = ["module", "type", *(["output shape"] if ran else []), "parameters"]
        heading += ["activations", "multiply-adds"] if ran else []
        rows = []
        for row in self.rows:
            times = f" ({row.calls} calls)" if row.calls > 1 else ""
            cells = [row.path or "(model)", row.kind + times, *([_shapes(row.shapes)] if ran else [])]
            cells.append(f"{row.parameters:,}")
            if row.activation_bytes is not None and row.multiply_adds is not None:
                cells += [size_of(row.activation_bytes), f"{row.multiply_adds:,}"]
            rows.append(cells)
        return heading, rows

    def _totals(self) -> list[str]:
        frozen = self.parameters - self.trainable
        lines = [
            f"parameters: {self.parameters:,}, of which {self.trainable:,} trainable"
            + (f" and {frozen:,} frozen" if frozen else "")
            + f"; {size_of(self.parameter_bytes)}"
        ]
        if self.activation_bytes is not None and self.multiply_adds is not None:
            lines.append(f"a forward pass of {_shapes(self.shapes)}:")
            lines[-1] += f" activations {size_of(self.activation_bytes)}, multiply-adds {self.multiply_adds:,}"
        return [*lines, *self.notes]


def summary(model: Module, *inputs: Any, **named: Any) -> Summary:
    """Returns the modules of a model in the order of their calls, with shapes, parameters, memory and multiply-adds.

    The numbers come from a trace of the model in evaluation mode, so they include what `forward` computes by functions.
    Each row includes what is below it. Nothing of the model changes: neither modes, buffers nor the random state.

    Args:
        model: the model, also one of `lucid.from_onnx`.
        inputs: what `forward` takes: tensors or arrays. Without any, inputs like those of the model's last call; if it
            was never called, the summary is one of the parameters alone.
        named: keyword arguments of `forward`.

    Raises:
        TypeError: the model is no Module.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> print(lucid.summary(model, lucid.zeros(5, 3)))
        module   type        output shape  parameters  activations  multiply-adds
        -------------------------------------------------------------------------
        (model)  Sequential  (5, 2)                26    200 bytes            100
        0        Linear      (5, 4)                16     80 bytes             60
        1        Tanh        (5, 4)                 0     80 bytes              0
        2        Linear      (5, 2)                10     40 bytes             40
        -------------------------------------------------------------------------
        parameters: 26, of which 26 trainable; 104 bytes
        a forward pass of (5, 3): activations 200 bytes, multiply-adds 100
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, such as the one that was compiled; got {type(model).__name__}")
    modules = dict(model.named_modules())
    calls: list[Call] = []
    graph = traced(model, inputs, named, calls)
    if graph is None:
        return Summary([_row(path, type(m).__name__, m.parameters()) for path, m in modules.items()], None)
    return _Traced(modules, graph, calls).summary()


class _Traced:
    """A model with its trace."""

    def __init__(self, modules: dict[str, Module], graph: Graph, calls: Sequence[Call]) -> None:
        self.modules = modules
        self.graph = graph
        self.calls: dict[str, list[Call]] = {}
        for call in calls:
            self.calls.setdefault(self.path(call.path), []).append(call)
        self.nodes: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for path in _around(self.path(node.scope)):
                self.nodes.setdefault(path, []).append(node)
        self.multiply_adds: Counter[str] = Counter()
        for scopes, count in products(graph.nodes):
            self.multiply_adds.update(dict.fromkeys((p for s in scopes for p in _around(self.path(s))), count))

    def path(self, scope: str) -> str:
        """Returns the path in the model for a scope of the trace, where a model without submodules has a name."""
        if len(self.modules) > 1:
            return scope
        first, _, rest = scope.partition(".")
        return rest if first == type(self.modules[""]).__name__.lower() else scope

    def summary(self) -> Summary:
        """Returns the summary."""
        # A module that is never called may still have weights that others read.
        held = [path for path, module in self.modules.items() if [*module.parameters(recurse=False)]]
        known = {*self.calls, *held} - {""}
        # The nodes of an imported model are named after modules that are not called, and may have no weights.
        named = [path for path in self.nodes if not known.intersection(_around(path.rpartition(".")[0]))]
        rows = [self.row(path) for path in dict.fromkeys(["", *self.calls, *named, *held])]
        return Summary(rows, tuple([value.shape for value in self.graph.inputs.values()]), self.notes())

    def row(self, path: str) -> Row:
        """Returns the row of the module at a path."""
        calls, nodes = self.calls.get(path, []), self.nodes.get(path, [])
        module = self.modules.get(path)
        shapes = calls[0].shapes if calls else (tuple(nodes[-1].outputs[0].shape),) if nodes else None
        if module is not None:
            parameters = [*module.parameters()]
        else:
            parameters = self.unregistered(path) if calls else self.read_by(nodes)
        kind = calls[0].kind if calls else "" if module is None else type(module).__name__
        activations = sum(map(_bytes, nodes))
        return _row(path, kind, parameters, shapes, len(calls), activations, self.multiply_adds[path])

    def read_by(self, nodes: Sequence[Node]) -> list[Parameter]:
        """Returns the parameters that nodes read."""
        read = dict.fromkeys(value for node in nodes for value in node.inputs if isinstance(value, Value))
        found = [self.graph.captured.get(value) for value in read]
        return [t for t in found if isinstance(t, Parameter)]

    def unregistered(self, path: str) -> list[Parameter]:
        """Returns the parameters, as far as they are read, of a module that is no part of the model."""
        labels = self.graph.labels
        captured = self.graph.captured.items()
        return [t for value, t in captured if isinstance(t, Parameter) and labels[value].startswith(f"{path}.")]

    def notes(self) -> list[str]:
        """Returns what the numbers leave out."""
        apart = [path for path in self.calls if path not in self.modules and self.unregistered(path)]
        own = sorted({node.op.name for node in _all(self.graph.nodes) if not _is_lucids(node)})
        lines = []
        if apart:
            lines.append(f"not in model.parameters(), since they are no attributes of a module: {', '.join(apart)}")
        if own:
            lines.append(f"multiply-adds leave out ops that lucid does not know: {', '.join(own)}")
        return lines


def _row(
    path: str,
    kind: str,
    parameters: Iterable[Tensor],
    shapes: tuple[Shape, ...] | None = None,
    calls: int = 0,
    activation_bytes: int | None = None,
    multiply_adds: int | None = None,
) -> Row:
    held = list(parameters)
    return Row(
        path,
        kind,
        shapes,
        calls,
        sum(p.numel() for p in held),
        sum(p.numel() for p in held if p.requires_grad),
        sum(p._data.nbytes for p in held),
        activation_bytes,
        multiply_adds,
    )


def _around(scope: str) -> Iterator[str]:
    """Yields a path and all that it is below."""
    yield ""
    parts = scope.split(".") if scope else []
    for i in range(len(parts)):
        yield ".".join(parts[: i + 1])


def _all(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yields nodes, and those in the steps of scans."""
    for node in nodes:
        yield node
        if node.op.name == "scan":
            yield from _all(node.attrs["body"].nodes)


def _bytes(node: Node) -> int:
    if node.op.view:  # what a reshape has to copy is not known here
        return 0
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in node.outputs)


def _is_lucids(node: Node) -> bool:
    return node.op.forward.__module__.split(".")[0] == __name__.split(".")[0]


def _shapes(shapes: tuple[Shape, ...] | None) -> str:
    if shapes is None:
        return ""
    texts = [str(tuple(shape)) for shape in shapes]
    return ", ".join(texts if len(texts) <= _MOST else [*texts[: _MOST - 1], f"… {len(texts)} in all"])


_MOST = 4
"""The most shapes in a cell."""
