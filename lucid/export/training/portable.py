"""Rewrites a model so that more runtimes run it: no product of a vector and a matrix, no Concat of many inputs."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from ...errors import ExportError
from ..file.subgraphs import subgraphs
from ..names import Names

__all__ = ["check_portable", "with_matrices", "with_short_concats"]

_JOINED = 7
"""Inputs of a Concat, at most: WebGPU promises a shader eight buffers, and the result takes one."""


def with_matrices(model: ir.Model) -> ir.Model:
    """Returns a model in which a vector in a matrix product has an axis of size one, which the result then loses.

    WebGPU builds of onnxruntime refuse MatMul with a vector.
    """
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(model))
    ranks: dict[str, int] = {}
    _note_ranks(proto.graph, ranks)
    names = Names([*(value.name for graph in model.graphs() for value in _values(graph))])
    for graph in model.graphs():
        for node in list(graph):
            if node.op_type == "MatMul" and node.domain == "":
                _widen(graph, node, ranks, names)
    return model


def with_short_concats(model: ir.Model) -> ir.Model:
    """Returns a model in which a Concat has at most seven inputs; a longer one joins what others have joined.

    In the jsep build of onnxruntime-web 1.30, eight or more give zeros.
    """
    names = Names([*(value.name for graph in model.graphs() for value in _values(graph))])
    for graph in model.graphs():
        for node in list(graph):
            if node.op_type == "Concat" and node.domain == "" and len(node.inputs) > _JOINED:
                _shorten(graph, node, names)
    return model


def _shorten(graph: ir.Graph, node: ir.Node, names: Names) -> None:
    (out,) = node.outputs
    parts = list(node.inputs)
    while len(parts) > 1:
        groups = [parts[i : i + _JOINED] for i in range(0, len(parts), _JOINED)]
        parts = [group[0] if len(group) == 1 else _concat(graph, node, group, names) for group in groups]
    (result,) = parts
    assert result is not None
    users, is_output = list(out.uses()), [i for i, value in enumerate(graph.outputs) if value is out]
    for user, index in users:
        user.replace_input_with(index, result)
    for i in is_output:
        graph.outputs[i] = result
    graph.remove(node, safe=True)
    result.name, result.shape = out.name, out.shape


def _concat(graph: ir.Graph, node: ir.Node, parts: list[ir.Value | None], names: Names) -> ir.Value:
    concat = ir.node("Concat", parts, attributes={"axis": node.attributes["axis"].as_int()})
    (result,) = concat.outputs
    result.name = names.fresh(f"{node.outputs[0].name}_part")
    if (dtype := node.outputs[0].dtype) is not None:
        result.dtype = dtype
    graph.insert_before(node, concat)
    return result


def _widen(graph: ir.Graph, node: ir.Node, ranks: dict[str, int], names: Names) -> None:
    flat = [ranks.get(str(value.name)) == 1 for value in node.inputs if value is not None]
    if not any(flat):
        return
    (out,) = node.outputs
    lost = []
    for i, (is_vector, axis) in enumerate(zip(flat, (0, 1), strict=True)):
        value = node.inputs[i]
        if is_vector and value is not None:
            node.replace_input_with(i, _reshaped(graph, node, value, "Unsqueeze", axis, names))
            lost.append(i - 2)
    users, is_output = list(out.uses()), [i for i, value in enumerate(graph.outputs) if value is out]
    axes = _axes(graph, node, lost, names)
    squeeze = ir.node("Squeeze", [out, axes])
    (result,) = squeeze.outputs
    result.name, out.name = out.name, names.fresh(f"{out.name}_wide")
    result.shape, out.shape = out.shape, None
    if out.dtype is not None:
        result.dtype = out.dtype
    graph.insert_after(node, squeeze)
    for user, index in users:
        user.replace_input_with(index, result)
    for i in is_output:
        graph.outputs[i] = result


def _reshaped(graph: ir.Graph, node: ir.Node, value: ir.Value, op_type: str, axis: int, names: Names) -> ir.Value:
    reshape = ir.node(op_type, [value, _axes(graph, node, [axis], names)])
    (result,) = reshape.outputs
    result.name = names.fresh(f"{value.name}_matrix")
    if value.dtype is not None:
        result.dtype = value.dtype
    graph.insert_before(node, reshape)
    return result


def _axes(graph: ir.Graph, node: ir.Node, axes: list[int], names: Names) -> ir.Value:
    constant = ir.node("Constant", [], attributes={"value": ir.tensor(np.array(axes, np.int64))})
    (value,) = constant.outputs
    value.name, value.dtype, value.shape = names.fresh("axes"), ir.DataType.INT64, ir.Shape([len(axes)])
    graph.insert_before(node, constant)
    return value


def _values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]


def _note_ranks(graph: onnx.GraphProto, ranks: dict[str, int]) -> None:
    for tensor in graph.initializer:
        ranks[tensor.name] = len(tensor.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            ranks[value.name] = len(value.type.tensor_type.shape.dim)
    for node in graph.node:
        for inner in subgraphs(node):
            _note_ranks(inner, ranks)


def check_portable(proto: onnx.ModelProto, what: str) -> None:
    """Checks that a model has no float64.

    Raises:
        ExportError: it has; the message names the tensor.
    """
    double = onnx.TensorProto.DOUBLE
    pending = [onnx.shape_inference.infer_shapes(proto).graph]
    while pending:
        graph = pending.pop()
        found = [tensor.name for tensor in graph.initializer if tensor.data_type == double]
        infos = (*graph.input, *graph.value_info, *graph.output)
        found += [value.name for value in infos if value.type.tensor_type.elem_type == double]
        if found:
            raise ExportError(f"training_step: {found[0]!r} in {what} is float64, which WebGPU has not; use float32")
        pending += [inner for node in graph.node for inner in subgraphs(node)]
