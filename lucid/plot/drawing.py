"""Drawing: the picture of a graph, as Graphviz's text, and rendered by Graphviz."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import onnx

from ..errors import LucidError
from ..export.exported import Exported
from ..export.file.read import read
from ..export.training.step import TrainingStep
from ..files import atomic_write
from ..nn.module import Module
from ..seeing.tracing import traced
from .dot import Diagram
from .nodes import Drawn, of_graph, of_model

__all__ = ["Drawing", "graph"]

_TEXTS = (".dot", ".gv")
_PICTURES = (".svg", ".png", ".pdf")


class Drawing:
    """The picture of a graph; a notebook shows it where Graphviz is installed.

    Attributes:
        source: the graph in Graphviz's language, DOT.
        boxes: how many boxes it has.
    """

    def __init__(self, source: str, boxes: int) -> None:
        self.source = source
        self.boxes = boxes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a text (``.dot``, ``.gv``) or a picture (``.svg``, ``.png``, ``.pdf``), as a whole or not at all.

        Raises:
            ValueError: the path ends otherwise.
            LucidError: Graphviz is needed, and not installed, or fails.
        """
        ending = Path(path).suffix.lower()
        if ending not in (*_TEXTS, *_PICTURES):
            raise ValueError(f"graph: a path ends in {', '.join((*_TEXTS, *_PICTURES))}; got {os.fspath(path)!r}")
        content = self.source.encode() if ending in _TEXTS else _rendered(self.source, ending[1:])
        with atomic_write(path) as file:
            file.write(content)

    def _repr_svg_(self) -> str | None:
        return _rendered(self.source, "svg").decode() if shutil.which("dot") else None

    def __repr__(self) -> str:
        return f"<Drawing of {self.boxes} boxes; save() writes it, and source is its text for Graphviz>"


def graph(
    model: Any, *inputs: Any, path: str | os.PathLike[str] | None = None, most: int = 12, **named: Any
) -> Drawing:
    """Draws the graph of a model: its nodes, framed by module, with the shapes of what passes between them.

    Constants, parameters and what is computed of them alone are left out. In a training step, the nodes of no module
    are framed as the gradients, "backward", and the optimizer's, "update".

    Args:
        model: a Module or a function of Tensors, which is traced in evaluation mode, and not changed; or an ONNX model:
            a path, a protobuf, or what `to_onnx` or `training_step` returned.
        inputs: arguments of a Module or a function; those of a Module's last call if there are none.
        path: a file to write: see `Drawing.save`.
        most: how many boxes a frame may have. With more, those in it become one box each, and, if that is not enough,
            itself. Nodes outside of modules are always drawn.
        named: keyword arguments.

    Raises:
        TypeError: it is no model, or there are arguments for a file.
        ValueError: a Module was never called, and there are no inputs; or the path has another ending.
        LucidError: the path asks for a picture, and Graphviz is not installed.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
        >>> print(lucid.plot.graph(model, lucid.ones(2, 3)).source)
        digraph {
          ...
          i0 [label="input", shape=oval, fillcolor=white]
          o0 [label="output", shape=oval, fillcolor=white]
          subgraph "cluster_0" {
            label="0"
            n0 [label="linear"]
          }
          subgraph "cluster_1" {
            label="1"
            n1 [label="tanh"]
          }
          i0 -> n0 [label=" (2, 3)"]
          n0 -> n1 [label=" (2, 4)"]
          n1 -> o0 [label=" (2, 4)"]
        }
    """
    if not isinstance(most, int) or most < 1:
        raise ValueError(f"graph: most must be a positive integer; got {most!r}")
    diagram = Diagram(_drawn(model, inputs, named), most)
    drawing = Drawing(diagram.source, len(diagram.boxes))
    if path is not None:
        drawing.save(path)
    return drawing


def _drawn(model: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Drawn:
    if isinstance(model, TrainingStep):
        model = model.exported
    if isinstance(model, (Exported, onnx.ModelProto, str, os.PathLike)):
        if inputs or named:
            raise TypeError("graph: an ONNX model is drawn as it is written; leave the inputs out")
        if isinstance(model, Exported):
            model = model.proto
        return of_model(model if isinstance(model, onnx.ModelProto) else read(model))
    if not callable(model):
        raise TypeError(
            f"graph: expected a Module, a function, a path, a protobuf or an export; got {type(model).__name__}"
        )
    found = traced(model, inputs, named)
    if found is None:
        what = type(model).__name__ if isinstance(model, Module) else "a function"
        raise ValueError(f"graph: the inputs of {what} are not known; write lucid.plot.graph(model, x)")
    return of_graph(found)


def _rendered(source: str, kind: str) -> bytes:
    """Runs Graphviz; returns the picture."""
    dot = shutil.which("dot")
    if dot is None:
        raise LucidError(
            f"graph: a {kind} is laid out by Graphviz's program dot, which is not installed: apt install graphviz, "
            "brew install graphviz or conda install graphviz. Without it write a .dot file, or take .source"
        )
    done = subprocess.run(
        [dot, f"-T{kind}", *(["-Gdpi=144"] if kind == "png" else [])], input=source.encode(), capture_output=True
    )
    if done.returncode:
        raise LucidError(f"graph: Graphviz failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
