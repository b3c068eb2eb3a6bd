"""Exported: a model that became ONNX, with what was proved and measured of it."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import onnx
import onnx_ir as ir

from ..errors import ExportError, FileError
from .file.layout import fits
from .file.write import write
from .lowering.graph import lower
from .lowering.plan import Plan
from .parity import Report
from .precision import Precision

__all__ = ["Exported"]


class Exported:
    """An ONNX model, verified against the eager one it came from.

    Attributes:
        model: the model, as onnx_ir has it.
        path: where it was written, if it was.
        report: what verification found; None if it was not asked for.
        axes: for each input, the name of each free axis.
        fixed: for each input, why each other axis is fixed.
        opset: the version of the ONNX operator set.
        precision: what the model was converted to: "float32", "float16" or "int8"; None if it was not.
        parameters: for each input that is a parameter of a trainable model, the model's own.
        recurrent: the recurrent ops in it: "rnn", "lstm", "gru".
        separation: how the model can be run on parts of a batch; None if it cannot.
    """

    def __init__(
        self, model: ir.Model, plan: Plan, opset: int, precision: Precision | None = None, report: Report | None = None
    ) -> None:
        self.model = model
        self.opset = opset
        self.precision = precision
        self.report = report
        self.path: str | None = None
        self.axes = plan.by_input(plan.axes)
        self.fixed = plan.by_input(plan.fixed)
        self.parameters = plan.parameters
        self.recurrent = plan.recurrent
        self.separation = plan.separation
        self._plan: Plan | None = plan

    @property
    def proto(self) -> onnx.ModelProto:
        """The model as protobuf."""
        return ir.to_proto(self.model)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself: the user's own metadata, and lucid's."""
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
        """How many nodes of each ONNX operator there are, subgraphs not counted."""
        return dict(Counter(node.op_type for node in self.model.graph))

    def part(self) -> Exported:
        """The model for a part of a batch: after its outputs come the totals that `separation` weighs parts by.

        Raises:
            ExportError: it cannot be run on parts of a batch.
        """
        if self.separation is None:
            raise ExportError("the model was not proved to be separable: what it gives depends on the batch as a whole")
        if not self.separation.totals:
            return self
        assert self._plan is not None  # a copy without a plan has no separation either
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
        """The model as the bytes of an ONNX file.

        Raises:
            FileError: it is larger than the 2 GiB that protobuf can write; `save` writes the weights beside it then.
        """
        if not fits(self.model):
            raise FileError("the model is too large for one file of 2 GiB; save it, then its weights stand beside it")
        return self.proto.SerializeToString(deterministic=True)

    def save(self, path: str | os.PathLike[str], external_data: bool | None = None) -> None:
        """Write the model to a file, all of it or nothing.

        Weights beside the model stand in ``<name of the model>.<digest>.data``. A crash leaves the old model with the
        old weights or the new one with the new ones.

        Args:
            path: where to write it.
            external_data: whether the weights stand in a file beside it; if None, only above protobuf's 2 GiB.

        Raises:
            FileError: one file is asked for, and the model is too large for it.
            OSError: the disk is full, the folder does not exist, and so on; what stood at `path` still stands there.
        """
        write(self.model, path, external_data)
        self.path = os.fspath(path)

    def __str__(self) -> str:
        lines = [f"ONNX model, opset {self.opset}, {sum(self.operators.values())} nodes"]
        for kind, values in (("input", self.model.graph.inputs), ("output", self.model.graph.outputs)):
            lines += [f"  {kind} {value.name}: {value.type}{_dims(value)}" for value in values]
        lines.append("  nodes " + ", ".join(f"{n} {op}" if n > 1 else op for op, n in self.operators.items()))
        for name, reasons in self.fixed.items():
            lines += [f"  axis {axis} of {name} is fixed: {why}" for axis, why in reasons.items()]
        if self.report is not None:
            lines += ["  " + line for line in str(self.report).splitlines()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Exported ({', '.join(self.input_names)}) -> ({', '.join(self.output_names)}), opset {self.opset}>"


def _dims(value: Any) -> str:
    return "" if value.shape is None else f"[{', '.join(str(n) for n in value.shape)}]"
