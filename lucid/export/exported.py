"""Exported: an ONNX model, its free axes and its verification report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir

from ..errors import ExportError, FileError
from ..tables import counted, html_table
from ..tracer.graph import Graph
from .file.layout import fits
from .file.write import write
from .lowering.graph import lower
from .lowering.plan import Plan
from .precision import Precision
from .report import Report

__all__ = ["Exported"]


class Exported:
    """An exported ONNX model, its free axes and its verification report.

    It has its own copy of the weights, so no later change of the model reaches it. While it lives, the weights take
    memory twice. Those of a trainable model are inputs, and not stored.

    Attributes:
        model: the model, in onnx_ir's representation.
        path: the file that it was written to; None if it was not written.
        report: the verification report; None if verification was off.
        axes: for each input, the name of each free axis.
        fixed: for each input, the reason why each other axis is fixed.
        conditions: what sizes must satisfy, such as ``time >= 2``, with the user's line: the function raises an error
            where one does not hold, and so does a `Session`.
        opset: the version of the ONNX operator set.
        precision: the precision that it was converted to: "float32", "float16" or "int8"; None if it was not.
        parameters: for each input that is a parameter of a trainable model, the model's tensor.
        draws: the number of random draws in a call; if there are any, the last input is the seed, "seed".
        recurrent: the recurrent ops in the model: "rnn", "lstm", "gru".
        separation: how the model runs on parts of a batch; None if it cannot.
        streaming: how the pieces of a sequence give what the whole gives, or why they do not.
        ranges: the elements that inputs may hold, such as those of class indices; a `Session` checks them.
        interface: which inputs are lengths, which are states, and which states may be left out.
        lowerings: with ``lowering="fastest"``, the seconds that a call takes with each, at the example's sizes.
    """

    def __init__(
        self,
        model: ir.Model,
        plan: Plan,
        opset: int,
        precision: Precision | None = None,
        report: Report | None = None,
        lowerings: Mapping[str, float] | None = None,
    ) -> None:
        self.model = model
        self.opset = opset
        self.precision = precision
        self.report = report
        self.path: str | None = None
        self.axes = plan.by_input(plan.axes)
        self.fixed = plan.by_input(plan.fixed)
        self.conditions = {str(condition): str(condition.where or "the proof") for condition in plan.conditions}
        self.parameters = plan.parameters
        self.draws = plan.draws
        self.recurrent = plan.recurrent
        self.separation = plan.separation
        self.streaming = plan.streaming
        self.ranges = plan.ranges
        self.interface = plan.interface
        self.lowerings = dict(lowerings or {})
        self._by_operator = "rnn" in plan.strategies.values()
        # Only `part` and `_graph` need it. It holds the weights as they were before they were converted or rearranged.
        parted = plan.separation is not None and plan.separation.totals
        self._plan = plan if parted or plan.parameters else None

    @property
    def proto(self) -> onnx.ModelProto:
        """The model as a protobuf message."""
        return ir.to_proto(self.model)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the file: the user's and lucid's."""
        return dict(self.model.metadata_props)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return [str(value.name) for value in self.model.graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return [str(value.name) for value in self.model.graph.outputs]

    @property
    def operators(self) -> dict[str, int]:
        """The number of nodes of each ONNX operator, not counting subgraphs."""
        return dict(Counter(node.op_type for node in self.model.graph))

    @property
    def _graph(self) -> Graph | None:
        """The graph that was lowered, of a trainable model; None of others, and of copies."""
        return self._plan.graph if self._plan is not None and self.parameters else None

    def part(self) -> Exported:
        """Returns the model for a part of a batch: its last outputs are the totals that `separation` uses as weights.

        Raises:
            ExportError: it cannot be run on parts of a batch.
        """
        if self.separation is None:
            raise ExportError("the model was not proved to be separable: what it gives depends on the batch as a whole")
        if not self.separation.totals:
            return self
        assert self._plan is not None  # a copy that lost its plan lost its separation, too
        plan = self._plan.for_parts()
        return Exported(lower(plan, self.opset), plan, self.opset)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        # The plan holds the graph, whose nodes cannot be copied.
        state["_plan"] = None
        if self.separation is not None and self.separation.totals:
            state["separation"] = None
        return state

    def serialize(self) -> bytes:
        """Returns the model as the bytes of an ONNX file.

        Raises:
            FileError: it exceeds protobuf's limit of 2 GiB; `save` then writes the weights as external data.
        """
        if not fits(self.model):
            raise FileError("the model is too large for one file of 2 GiB; save() writes its weights as external data")
        return self.proto.SerializeToString(deterministic=True)

    def save(self, path: str | os.PathLike[str], external_data: bool | None = None) -> None:
        """Writes the model to a file, as a whole or not at all.

        External data is written to ``<name of the model>.<digest>.data``. A crash leaves either the old model with the
        old weights or the new model with the new ones.

        Args:
            path: the file to write.
            external_data: whether to store the weights in a file beside it; if None, only above protobuf's 2 GiB.

        Raises:
            FileError: a single file is requested, but the model is too large for it.
            OSError: the disk is full, the folder does not exist, and so on; an old file at `path` is left unchanged.
        """
        write(self.model, path, external_data)
        self.path = os.fspath(path)

    def __str__(self) -> str:
        lines = [f"ONNX model, opset {self.opset}, {counted(sum(self.operators.values()), 'node')}"]
        for kind, values in (("input", self.model.graph.inputs), ("output", self.model.graph.outputs)):
            lines += [f"  {kind} {value.name}: {value.type}{_dims(value)}" for value in values]
        lines.append("  nodes " + ", ".join(f"{n} {op}" if n > 1 else op for op, n in self.operators.items()))
        for name, reasons in self.fixed.items():
            lines += [f"  axis {axis} of {name} is fixed: {why}" for axis, why in reasons.items()]
        lines += [f"  {condition}, as {where} demands" for condition, where in self.conditions.items()]
        if self.report is not None:
            lines += ["  " + line for line in str(self.report).splitlines()]
        lines += [f"  {line}" for line in self._speeds()]
        return "\n".join(lines)

    def _speeds(self) -> list[str]:
        """Returns what other lowerings of the recurrent layers would bring."""
        if self.lowerings:
            ordered = sorted(self.lowerings.items(), key=lambda item: item[1])
            return [f"lowering {name}: {seconds * 1e3:.3g} ms a call" for name, seconds in ordered]
        hint = 'lowering rnn, of ONNX\'s own operators; lowering="fastest" times the others, often faster in batches'
        return [hint] if self._by_operator else []

    def __repr__(self) -> str:
        return f"<Exported ({', '.join(self.input_names)}) -> ({', '.join(self.output_names)}), opset {self.opset}>"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = []
        for kind, values in (("input", self.model.graph.inputs), ("output", self.model.graph.outputs)):
            rows += [(kind, f"{value.name}: {value.type}{_dims(value)}") for value in values]
        rows += [
            (f"axis {axis} of {name}", f"free: {symbol}")
            for name, axes in self.axes.items()
            for axis, symbol in axes.items()
        ]
        rows += [
            (f"axis {axis} of {name}", f"fixed: {why}")
            for name, reasons in self.fixed.items()
            for axis, why in reasons.items()
        ]
        rows += [("condition", f"{condition}, as {where} demands") for condition, where in self.conditions.items()]
        rows.append(("operators", ", ".join(f"{n} {op}" if n > 1 else op for op, n in self.operators.items())))
        rows += [("speed", line) for line in self._speeds()]
        rows.append(("comparison with onnxruntime", "none was made" if self.report is None else str(self.report)))
        if self.path is not None:
            rows.append(("file", self.path))
        return html_table(f"ONNX model, opset {self.opset}", (), rows)


def _dims(value: Any) -> str:
    return "" if value.shape is None else f"[{', '.join(str(n) for n in value.shape)}]"
