"""DOT: the text by which Graphviz lays a graph out, with a frame around the nodes of each module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .nodes import Drawn, Step

__all__ = ["Diagram"]


class Diagram:
    """A graph with the nodes of large scopes merged into one box for each scope.

    Attributes:
        boxes: the label of each box, by its key.
        edges: for each pair of boxes, the values that pass from one to the other, with their shapes.
    """

    def __init__(self, drawn: Drawn, most: int) -> None:
        self.boxes: dict[str, str] = {}
        self.edges: dict[tuple[str, str], dict[object, str]] = {}
        self._scopes: dict[str, list[str]] = {}
        self._rounds: list[str] = []
        merged = _merged(drawn.steps, most)
        sources = self._inputs(drawn)
        for number, step in enumerate(drawn.steps):
            around = next((scope for scope in _from_outside(step.scope) if scope in merged), None)
            if around is None:
                key = f"n{number}"
                self.boxes[key] = step.label
                self._scopes.setdefault(step.scope, []).append(key)
            else:
                key = f"s{list(merged).index(around)}"
                self.boxes[key] = f"{around.rpartition('.')[2]}\n{merged[around]} nodes"
                own = self._scopes.setdefault(around.rpartition(".")[0], [])
                own += [] if key in own else [key]
            for value in dict.fromkeys(step.inputs):
                if value in sources:
                    self._connect(sources[value], key, value, drawn)
            sources.update(dict.fromkeys(step.outputs, key))
        self._outputs(drawn, sources)

    def _inputs(self, drawn: Drawn) -> dict[object, str]:
        keys = {label: f"i{i}" for i, label in enumerate(dict.fromkeys(drawn.inputs.values()))}
        counts = Counter(drawn.inputs.values())
        self.boxes.update((key, _counted(label, counts[label])) for label, key in keys.items())
        self._rounds += keys.values()
        return {value: keys[label] for value, label in drawn.inputs.items()}

    def _outputs(self, drawn: Drawn, sources: dict[object, str]) -> None:
        counts = Counter(label for label, _ in drawn.outputs)
        keys = {label: f"o{i}" for i, label in enumerate(counts)}
        self.boxes.update((key, _counted(label, counts[label])) for label, key in keys.items())
        self._rounds += keys.values()
        for label, value in drawn.outputs:
            if value in sources:
                self._connect(sources[value], keys[label], value, drawn)

    def _connect(self, source: str, target: str, value: object, drawn: Drawn) -> None:
        if source != target:
            self.edges.setdefault((source, target), {})[value] = drawn.shapes.get(value, "")

    @property
    def source(self) -> str:
        """The graph in Graphviz's language."""
        lines = [
            "digraph {",
            '  graph [fontname="Helvetica", fontsize=11, color="#8a97a3", labeljust=l]',
            '  node [fontname="Helvetica", fontsize=11, shape=box, style="rounded,filled", fillcolor="#e8eef4"]',
            '  edge [fontname="Helvetica", fontsize=9, color="#5a6874"]',
            *(f"  {key} [label={_quoted(self.boxes[key])}, shape=oval, fillcolor=white]" for key in self._rounds),
            *self._framed("", "  "),
            *(f"  {a} -> {b}{_edge([*values.values()])}" for (a, b), values in self.edges.items()),
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _framed(self, scope: str, indent: str) -> Iterator[str]:
        """Yields the boxes of a scope, and the frames of those in it."""
        for key in self._scopes.get(scope, ()):
            style = ', fillcolor="#cfdceb"' if key.startswith("s") else ""
            yield f"{indent}{key} [label={_quoted(self.boxes[key])}{style}]"
        inside = [path for other in self._scopes for path in _from_outside(other) if path.rpartition(".")[0] == scope]
        for path in dict.fromkeys(inside):
            yield f"{indent}subgraph {_quoted(f'cluster_{path}')} {{"
            yield f"{indent}  label={_quoted(path.removeprefix(f'{scope}.'))}"
            yield from self._framed(path, indent + "  ")
            yield f"{indent}}}"


def _merged(steps: tuple[Step, ...], most: int) -> dict[str, int]:
    """Returns the scopes that become one box each, with the number of their nodes.

    Where a scope would show more than `most` boxes, those in it become one box each; if that is not enough, itself.
    """
    nodes: Counter[str] = Counter()
    for step in steps:
        nodes.update(_from_outside(step.scope))
    inside: dict[str, list[str]] = {}
    for scope in nodes:
        inside.setdefault(scope.rpartition(".")[0], []).append(scope)
    shown = Counter(step.scope for step in steps)
    merged: dict[str, int] = {}
    for scope in sorted(nodes, key=lambda path: -path.count(".")):
        own, inner = shown[scope], inside.get(scope, [])
        shown[scope] += sum(shown[path] for path in inner)
        if shown[scope] > most:
            merged.update((path, nodes[path]) for path in inner if nodes[path] > 1)
            shown[scope] = own + len(inner)
        if shown[scope] > most:
            merged[scope] = nodes[scope]
            shown[scope] = 1
    return merged


def _from_outside(scope: str) -> list[str]:
    """Returns the paths of a scope and of those around it, the outermost first."""
    parts = scope.split(".") if scope else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _counted(label: str, count: int) -> str:
    return label if count == 1 else f"{label}\n{count} tensors"


def _edge(labels: list[str]) -> str:
    label = labels[0] if len(labels) == 1 else f"{len(labels)} tensors"
    return f" [label={_quoted(f' {label}')}]" if label else ""  # the space keeps the text off the line


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", " ").replace("\n", "\\n")
    return f'"{escaped}"'
