"""From a graph with symbolic sizes to an ONNX model."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from ...errors import ExportError
from ...tracer.graph import Graph
from ...tracer.node import Node, Value
from ...tracer.symbolic import Size, evaluate, symbols_of
from .builder import Builder
from .prune import all_nodes, without_dead
from .registry import LOWERINGS

__all__ = ["RECURRENT", "lower", "pin", "read_values", "strategy_of"]

RECURRENT = {"rnn": 2, "lstm": 3, "gru": 2}
"""The ops with a choice of lowerings, and how many of their outputs ONNX's operator gives."""


def read_values(graph: Graph) -> set[Value]:
    """The values that some node or output reads."""
    read = {value for node in graph.nodes for value in node.inputs if type(value) is Value}
    return read | set(graph.outputs.values())


def strategy_of(node: Node, lowering: str, time_is_asked: bool, read: Container[Value]) -> str:
    """How a recurrent node is lowered, if `lowering` is "auto".

    tanh, LSTM and GRU become the operator that every runtime knows; relu is unrolled, unless its time axis was asked to
    be dynamic; float64 is a Scan, since onnxruntime has no such operators for it, and so is a layer whose gates a
    gradient reads: the operators do not give them, they would be computed once more.

    Raises:
        ExportError: the operator was asked for, where onnxruntime has none.
    """
    op = node.op.name
    dtype = node.outputs[0].dtype
    gates_are_read = any(node.value(i) in read for i in range(RECURRENT[op], len(node.outputs)))
    if lowering == "rnn" and dtype != np.float32:
        raise ExportError(
            f"to_onnx: onnxruntime has no {op.upper()} operator for {dtype}; use lowering='scan' or 'unrolled'"
        )
    steps = node.outputs[0].shape[0]
    if lowering == "unrolled" and steps is None:
        raise ExportError(
            f"to_onnx: {op} at {node.location} cannot be unrolled, since its number of time steps is known in the run "
            "alone; use lowering='scan', or make the axis that it depends on fixed"
        )
    if lowering == "columns":
        return "columns" if op == "lstm" else "scan"
    if lowering != "auto":
        return lowering
    if dtype == np.float64 or gates_are_read:
        return "scan"
    if node.attrs.get("nonlinearity") == "relu":
        return "scan" if steps is None or (time_is_asked and isinstance(steps, Size)) else "unrolled"
    return "rnn"


def pin(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph with some symbols replaced by numbers."""
    places: dict[Value, Value] = {}

    def attribute(old: Any) -> Any:
        if isinstance(old, Size):
            if symbols_of(old) <= sizes.keys():
                return old.at(sizes)
            kept = tuple(s for s in old.symbols if s not in sizes)
            factor = evaluate(Size(tuple(s for s in old.symbols if s in sizes)), sizes)
            return Size(kept, old.coefficient * factor, old.offset)
        if isinstance(old, (tuple, list)):
            return type(old)(map(attribute, old))
        if isinstance(old, slice):
            return slice(*map(attribute, (old.start, old.stop, old.step)))
        return pin(old, sizes) if isinstance(old, Graph) else old

    inputs = {}
    for name, value in graph.inputs.items():
        inputs[name] = places[value] = Value(tuple(map(attribute, value.shape)), value.dtype, value.requires_grad)
    for node in graph.nodes:
        operands = tuple(places.get(v, v) if type(v) is Value else attribute(v) for v in node.inputs)
        outputs = tuple(spec._replace(shape=tuple(map(attribute, spec.shape))) for spec in node.outputs)
        attrs = {name: attribute(attr) for name, attr in node.attrs.items()}
        pinned = Node(node.op, operands, attrs, outputs, node.needs_grad)
        pinned.scope, pinned.location = node.scope, node.location
        for i in range(len(outputs)):
            places[node.value(i)] = pinned.value(i)
    results = {name: places.get(value, value) for name, value in graph.outputs.items()}
    return Graph(inputs, results, graph.captured, graph.labels, graph.structure, graph.leaks)


def lower(graph: Graph, axes: Mapping[tuple[str, int], str], opset: int, strategies: Mapping[Node, str]) -> ir.Model:
    """The ONNX model of a graph.

    Raises:
        ExportError: an op cannot be exported; the message has the reason and the user's line.
    """
    read = read_values(graph)
    # A node that has none is part of another one, as of the step of a scan.
    b = Builder(opset, lambda node: strategies.get(node) or strategy_of(node, "auto", False, b.read), lower_body)
    b.read = read
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
    for (name, axis), symbol in axes.items():
        b.symbols.setdefault(symbol, (by_name[name], axis))
    for value, tensor in graph.captured.items():
        values[value] = _Constant(tensor._data, graph.labels[value])
    for node in graph.nodes:
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
    # A weight that was folded into another one is gone, and its name is free again.
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
    return model


def lower_body(b: Builder, inner: Builder, body: Graph, operands: Sequence[ir.Value], moving: int) -> list[ir.Value]:
    """Add the nodes of a graph that is part of another, as the step of a scan.

    What depends on none of the first `moving` operands is the same at every step, and is computed outside.

    Args:
        b: the builder of the graph around.
        inner: that of the body.
        operands: what stands for each input of `body`: arguments of the body, then values of the graph around.

    Returns:
        What stands for each output.
    """
    values: dict[Value, Any] = {}
    for value, operand in zip(body.inputs.values(), operands, strict=True):
        array = b.array(operand)
        values[value] = operand if array is None else _Constant(array, operand.name)
    inside = set(list(body.inputs.values())[:moving])
    b.read = inner.read = b.read | read_values(body)
    around = b.node
    for node in body.nodes:
        given = [v for v in node.inputs if type(v) is Value]
        moves = not given or any(v in inside for v in given)
        if moves:
            inside.update(node.value(i) for i in range(len(node.outputs)))
        _lower_node(inner if moves else b, node, values)
    b.node = inner.node = around
    return [_operand(inner, values, value) for value in body.outputs.values()]


def _lower_node(b: Builder, node: Node, values: dict[Value, Any]) -> None:
    """Add one node to a builder, and its results to `values`."""
    b.node = node
    folded = _fold(node, values)
    if folded is not None:
        for i, array in enumerate(folded):
            values[node.value(i)] = _Constant(array, None)
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
    """A tensor known at export; it becomes an initializer if a node takes it as it is."""

    __slots__ = ("array", "name")

    def __init__(self, array: np.ndarray[Any, Any], name: str | None) -> None:
        self.array = array
        self.name = name


def _operand(b: Builder, values: Mapping[Value, Any], operand: Any) -> Any:
    if type(operand) is Value:
        found = values[operand]
        return b.const(found.array, found.name) if isinstance(found, _Constant) else found
    if isinstance(operand, Size):
        return b.op("Squeeze", b.size(operand), np.array([0]))
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


def _fold(node: Node, values: Mapping[Value, Any]) -> tuple[Any, ...] | None:
    """The results of a node whose inputs are all known, computed now."""
    if node.op.no_export is not None or any(symbols_of(attr) for attr in node.attrs.values()):
        return None
    arrays = []
    for operand in node.inputs:
        if isinstance(operand, Size):
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


def _annotate(target: ir.Value, value: Value) -> None:
    target.dtype = ir.DataType.from_numpy(value.dtype)
    target.shape = ir.Shape([n if isinstance(n, int) else None if n is None else str(n) for n in value.shape])
