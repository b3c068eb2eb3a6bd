"""Lowers a graph with symbolic sizes to an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from ...errors import ExportError
from ...tracer.graph import Graph
from ...tracer.node import Node, Value
from ...tracer.size import Real, Size, symbols_of, unknowns_of
from .bidirectional import Pair, find_pairs, lowered_pair
from .builder import Builder
from .plan import Plan, strategy_of
from .prune import all_nodes, without_dead
from .registry import LOWERINGS
from .ties import tied

__all__ = ["lower", "lower_body"]


def lower(plan: Plan, opset: int) -> ir.Model:
    """Lowers a graph to an ONNX model.

    Raises:
        ExportError: an op cannot be exported; the message has the reason and the user's line.
    """
    graph = plan.graph
    # A node without a strategy is in an inner graph, such as the step of a scan.
    b = Builder(opset, lambda node: plan.strategies.get(node) or strategy_of(node, "auto", False, b.read), lower_body)
    b.read, b.precision, b.steps = graph.read, plan.precision, plan.steps
    values: dict[Value, Any] = {}
    inputs = []
    for name, value in graph.inputs.items():
        b.unique(name)
        graph_input = ir.Value(name=name)
        _annotate(graph_input, value)
        values[value] = graph_input
        inputs.append(graph_input)
    for name in graph.outputs:
        if name not in graph.inputs:
            b.unique(name)
    by_name = dict(zip(graph.inputs, inputs, strict=True))
    for (name, axis), symbol in plan.axes.items():
        b.symbols.setdefault(symbol, (by_name[name], axis))
    for value, tensor in graph.captured.items():
        label = graph.labels[value]
        values[value] = _Constant(tensor._data, label, not label.startswith("constant_"))
    for atom, (value, axis) in graph.measured.items():
        b.measured[atom] = lambda value=value, axis=axis: (_operand(b, values, value), axis)  # type: ignore[misc]
    pairs = find_pairs(graph, plan.strategies)
    second = {pair.back: pair for pair in pairs}
    within = {node for pair in pairs for node in (pair.ahead, *pair.nodes)}
    for node in graph.nodes:
        if node in second:
            _lower_pair(b, second[node], values)
        elif node not in within:
            _lower_node(b, node, values)
    b.node = None
    outputs: list[ir.Value] = []
    for value in graph.outputs.values():
        result = _operand(b, values, value)
        if result.producer() is None or any(result is output for output in outputs):
            result = b.op("Identity", result)
        _annotate(result, value)
        outputs.append(result)
    nodes, outputs = without_dead(b.nodes, outputs)
    used = {v for node in all_nodes(nodes) for v in node.inputs if v is not None}
    initializers = [v for v in b.initializers.values() if v in used]
    if plan.precision != "int8":  # a product with a transposed table would not be quantized
        nodes, initializers = tied(b, nodes, initializers)
    # A weight that was folded into another constant is gone, so its name is free again.
    names = {v.name for v in initializers} | {v.name for v in inputs}
    for constant in initializers:
        if b.wished[constant] not in names:
            constant.name = b.wished[constant]
            names.add(constant.name)
    for name, output in zip(graph.outputs, outputs, strict=True):
        output.name = name if name not in graph.inputs else b.unique(f"{name}_out")
    imports = {"": opset}
    ir_graph = ir.Graph(inputs, outputs, nodes=nodes, initializers=initializers, opset_imports=imports, name="lucid")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    model = ir.Model(ir_graph, ir_version=version, producer_name="lucid")
    CommonSubexpressionEliminationPass()(model)
    # Of two equal nodes the first one stays, also if it was part of another op's lowering, and has no shape yet.
    for value, output in zip(graph.outputs.values(), ir_graph.outputs, strict=True):
        _annotate(output, value)
    return model


def lower_body(b: Builder, inner: Builder, body: Graph, operands: Sequence[ir.Value], moving: int) -> list[ir.Value]:
    """Lowers a graph inside another one, such as the step of a scan.

    Nodes that depend on none of the first `moving` operands are loop-invariant, and are computed outside.

    Args:
        b: the builder of the outer graph.
        inner: the builder of the body.
        operands: the values for the inputs of `body`: arguments of the body, then values of the outer graph.

    Returns:
        The values of the outputs.
    """
    values: dict[Value, Any] = {}
    for value, operand in zip(body.inputs.values(), operands, strict=True):
        array = b.array(operand)
        values[value] = operand if array is None else _Constant(array, operand.name)
    inside = set(list(body.inputs.values())[:moving])
    b.read = inner.read = b.read | body.read
    around = b.node
    for node in body.nodes:
        given = [v for v in node.inputs if type(v) is Value]
        moves = not given or any(v in inside for v in given)
        if moves:
            inside.update(node.value(i) for i in range(len(node.outputs)))
        _lower_node(inner if moves else b, node, values)
    b.node = inner.node = around
    return [_operand(inner, values, value) for value in body.outputs.values()]


def _lower_pair(b: Builder, pair: Pair, values: dict[Value, Any]) -> None:
    """Lowers both directions of a layer, and adds the joined results to `values`."""
    operands = [[_operand(b, values, v) for v in node.inputs] for node in (pair.ahead, pair.back)]
    for result, value in zip(lowered_pair(b, pair, *operands), pair.results, strict=True):
        if value is not None:
            _annotate(result, value)
            values[value] = result


def _lower_node(b: Builder, node: Node, values: dict[Value, Any]) -> None:
    """Lowers one node, and adds its results to `values`."""
    b.node = node
    folded = None if _is_cut(b, node, values) else _fold(node, values)
    if folded is not None:
        label = _label_of(node, values)
        for i, array in enumerate(folded):
            values[node.value(i)] = _Constant(array, label)
        return
    operands = [_operand(b, values, v) for v in node.inputs]
    for i, result in enumerate(_lowered(b, node, operands)):
        value = node.value(i)
        if result is None:  # nothing reads it
            continue
        if result.producer() is not None and result.shape is None:
            _annotate(result, value)
        values[value] = result


class _Constant:
    """A tensor known at export; it becomes an initializer if a node reads it."""

    __slots__ = ("array", "name", "whole")

    def __init__(self, array: np.ndarray[Any, Any], name: str | None, whole: bool = False) -> None:
        self.array = array
        self.name = name
        self.whole = whole  # a parameter or a buffer, not what was computed of one


def _operand(b: Builder, values: Mapping[Value, Any], operand: Any) -> Any:
    if type(operand) is Value:
        found = values[operand]
        return b.const(found.array, found.name) if isinstance(found, _Constant) else found
    if isinstance(operand, (Size, Real)):
        return b.op("Squeeze", b.number(operand), np.array([0]))
    return operand


def _lowered(b: Builder, node: Node, operands: list[Any]) -> tuple[Any, ...]:
    op = node.op
    if op.no_export is not None:
        raise ExportError(f"to_onnx: {op.name} at {node.location} cannot be exported: {op.no_export}")
    lowering = LOWERINGS.get(op.name)
    if lowering is None:
        raise ExportError(
            f"to_onnx: {op.name} at {node.location} has no lowering; write one, a function of the "
            f"builder, {', '.join((*op.inputs, *op.attributes))}, under @lucid.export.lowers({op.name!r}), or say "
            "why there is none, with @lucid.op(no_export=...)"
        )
    try:
        results = lowering(b, *operands, **node.attrs)
    except ExportError as error:
        raise ExportError(f"to_onnx: {op.name} at {node.location}: {error}") from error
    except TypeError as error:
        raise ExportError(
            f"to_onnx: the lowering of {op.name} at {node.location}: {error}; it is called with the builder, "
            f"{', '.join((*op.inputs, *op.attributes))}"
        ) from error
    return results if isinstance(results, tuple) else (results,)


def _is_cut(b: Builder, node: Node, values: Mapping[Value, Any]) -> bool:
    """Returns whether a node cuts a weight into parts, which onnxruntime does when it loads the file.

    So the file has the whole weight. But only a weight that a product reads as it is can be quantized.
    """
    source = values.get(node.inputs[0]) if node.op.name == "split_to" else None
    return isinstance(source, _Constant) and source.whole and b.precision != "int8"


def _fold(node: Node, values: Mapping[Value, Any]) -> tuple[Any, ...] | None:
    """Computes the results of a node whose inputs are all constant; returns None for any other node."""
    if node.op.no_export is not None or any(symbols_of(attr) or unknowns_of(attr) for attr in node.attrs.values()):
        return None
    arrays = []
    for operand in node.inputs:
        if isinstance(operand, (Size, Real)):
            return None
        if type(operand) is Value:
            found = values[operand]
            if not isinstance(found, _Constant):
                return None
            arrays.append(found.array)
        else:
            arrays.append(operand)
    result = node.op.forward(*arrays, **node.attrs)
    return tuple(np.asarray(r) for r in (result if isinstance(result, tuple) else (result,)))


_REARRANGED = ("expand_to", "permute", "reshape_to", "slice_at", "split_to", "squeeze", "unsqueeze")


def _label_of(node: Node, values: Mapping[Value, Any]) -> str | None:
    """Returns the name of the weight that a folded node only rearranges; None if it computes something else."""
    source = values.get(node.inputs[0]) if node.op.name in _REARRANGED else None
    if not isinstance(source, _Constant) or source.name is None:
        return None
    return f"{source.name}.T" if node.op.name == "permute" and source.array.ndim == 2 else source.name


def _annotate(target: ir.Value, value: Value) -> None:
    target.dtype = ir.DataType.from_numpy(value.dtype)
    target.shape = ir.Shape([n if isinstance(n, int) else None if n is None else str(n) for n in value.shape])
