"""Builds the three models of a training step: the step, its start state, and the model for inference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ...errors import ExportError
from ...nn.module import Module
from ...proof.axes import Dynamic, prove
from ...proof.example import Example
from ...proof.interface import with_optional
from ...proof.isolation import isolated
from ...proof.proof import Proof
from ...proof.ranges import listed
from ...tensor import Tensor
from ..described import describe
from ..exported import Exported
from ..file.metadata import TRAIN, stamp
from ..lowering.graph import lower
from ..lowering.plan import Lowering, Plan, make_plan
from ..parity import check
from ..precision import convert
from ..report import Report
from .portable import check_portable, with_matrices, with_short_concats
from .program import Program
from .state import PREFIX, State

__all__ = ["build_inference", "build_init", "build_step", "stamped", "with_inputs"]


def build_step(
    program: Program, example: Example, dynamic: Dynamic, lowering: Lowering, opset: int
) -> tuple[ir.Model, Plan]:
    """Returns the model of a training step, which is not compared yet, and its plan.

    Raises:
        ExportError: something cannot be exported, or is float64.
    """
    with isolated(program):
        proof = prove(program, example, dynamic, trained=True)
        tensors = {entry.tensor: name for name, entry in program.state.entries.items()}
        proof, inputs = with_inputs(proof, tensors, program.outputs)
        # For batches onnxruntime's RNN takes longer, and the gates of other layers need a scan anyway.
        lowering = "scan" if lowering == "auto" else lowering
        model, plan = _lowered(proof, inputs, dynamic, lowering, opset)
        check(model, model, plan, program, example, verify=False, rtol=None, atol=None)
        check_portable(ir.to_proto(model), "the step")
    continued = {name: PREFIX + name for name in program.state.entries}
    plan = plan._replace(interface=plan.interface._replace(states={}))
    describe(model, plan)
    for value in model.graph.inputs:
        if (name := str(value.name)) in continued:
            kind = program.state.entries[name].kind
            value.doc_string = f"State: {_KINDS[kind]}. Give the output {continued[name]!r} to the next call"
    for value in model.graph.outputs:
        if (name := str(value.name)).startswith(PREFIX):
            value.doc_string = f"The next value of the input {name.removeprefix(PREFIX)!r}"
    return model, plan


_KINDS = {
    "parameter": "a parameter of the model",
    "buffer": "a buffer of the model",
    "slot": "what the optimizer keeps for a parameter",
    "count": "a number that the optimizer keeps",
    "option": "an option of the optimizer, which a schedule may change",
    "seed": "the seed of the step's random numbers",
}


def build_init(state: State, opset: int) -> ir.Model:
    """Returns a model without inputs, whose outputs are the state at the start."""
    nodes, outputs, initializers = [], [], []
    for name, entry in state.entries.items():
        array = entry.start
        tensor = ir.tensor(array, name=f"start.{name}")
        start = ir.Value(name=f"start.{name}", const_value=tensor)
        start.dtype, start.shape = tensor.dtype, ir.Shape(array.shape)
        node = ir.node("Identity", [start])
        (out,) = node.outputs
        out.name, out.dtype, out.shape = name, tensor.dtype, ir.Shape(array.shape)
        out.doc_string = f"The value at the start of {_KINDS[entry.kind]}"
        initializers.append(start)
        nodes.append(node)
        outputs.append(out)
    graph = ir.Graph([], outputs, nodes=nodes, initializers=initializers, opset_imports={"": opset}, name="lucid")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    return ir.Model(graph, ir_version=version, producer_name="lucid")


def build_inference(
    model: Module,
    call: tuple[tuple[Any, ...], dict[str, Any]],
    state: State,
    dynamic: Dynamic,
    opset: int,
    verify: bool,
) -> tuple[ir.Model, Plan, Report | None]:
    """Returns the model for inference, with the parameters and buffers of the state as inputs.

    Args:
        model: the model.
        call: the arguments of a call.
        state: the state of the step.
        dynamic: the requested axes of the step; a mapping is for the step's inputs, and not for these.
        opset: the version of the ONNX operator set.
        verify: whether to compare it with the eager model.
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    tensors: dict[Tensor, str] = {parameters[key]: key for key in state.names("parameter")}
    tensors |= {buffers[key]: key for key in state.names("buffer")}
    with isolated(model, evaluation=True):
        example = Example(model, *call)
        if taken := sorted(set(example.names) & set(tensors.values())):
            raise ExportError(
                f"training_step: {', '.join(map(repr, taken))} is an argument of the model and a key of its "
                "parameters or buffers; rename one: a file has one thing of a name"
            )
        proof = prove(model, example, None if dynamic is None else "auto", trained=True)
        proof, inputs = with_inputs(proof, tensors)
        lowered, plan = _lowered(proof, inputs, "auto", "auto", opset)
        others = {axis: proof.sizes[symbol] + 1 for axis, symbol in plan.axes.items()}
        plan = plan._replace(interface=with_optional(plan.interface, model, example, plan.graph, others))
        report = check(lowered, lowered, plan, model, example, verify=verify, rtol=None, atol=None)
        check_portable(ir.to_proto(lowered), "the model")
    describe(lowered, plan)
    return lowered, plan, report


def stamped(
    model: ir.Model, plan: Plan, opset: int, report: Report | None, contract: Mapping[str, Any] | None
) -> Exported:
    """Writes the metadata into a model, and returns it with what is known of it."""
    exported = Exported(model, plan, opset, None, report)
    stamp(
        model,
        opset,
        exported.axes,
        list(exported.conditions),
        None if report is None else report.as_dict(),
        exported.streaming.as_dict(),
        listed(exported.ranges),
        exported.interface.as_dict(),
        {} if contract is None else {TRAIN: json.dumps(contract)},
    )
    return exported


def with_inputs(
    proof: Proof, tensors: Mapping[Tensor, str], outputs: Sequence[str] | None = None
) -> tuple[Proof, dict[str, Tensor]]:
    """Adds captured tensors to the inputs of a graph, under their names, and names its outputs."""
    graph = proof.graph
    found = {value: tensor for value, tensor in graph.captured.items() if tensor in tensors}
    names = {name: number for number, name in enumerate(tensors.values())}
    chosen = sorted(((tensors[tensor], value) for value, tensor in found.items()), key=lambda pair: names[pair[0]])
    changed = graph._replace(
        inputs={**graph.inputs, **dict(chosen)},
        captured={value: tensor for value, tensor in graph.captured.items() if value not in found},
        outputs=graph.outputs if outputs is None else dict(zip(outputs, graph.outputs.values(), strict=True)),
    )
    return proof._replace(graph=changed), {name: found[value] for name, value in chosen}


def _lowered(
    proof: Proof, inputs: dict[str, Tensor], dynamic: Dynamic, lowering: Lowering, opset: int
) -> tuple[ir.Model, Plan]:
    """Lowers a proved graph to float32 nodes that a WebGPU computes, too."""
    wide = next((n for n, value in proof.graph.inputs.items() if value.dtype == np.float64), None)
    if wide is not None:
        raise ExportError(f"training_step: {wide!r} is float64, which a WebGPU has not; convert it to float32")
    # A step is for sequences of any length, so that no layer is unrolled by default.
    asked = isinstance(dynamic, Mapping) or lowering == "auto"
    plan = make_plan(proof, lowering, time_is_asked=asked)
    plan = plan._replace(parameters=inputs)
    return with_short_concats(with_matrices(convert(lower(plan, opset), "float32", True).model)), plan
