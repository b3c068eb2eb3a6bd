"""Quantizes the weights of products and tables to int8.

The other operand of a product is quantized when the model runs, each row with a scale of its own. So a row's numbers
depend on nothing else in its batch: not on its neighbours, not on padding, not on the other steps of a sequence.
onnxruntime's own quantizer has one scale for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import ExportError
from .lowering.plan import SMALLEST
from .names import Names

__all__ = ["quantize"]

_WEIGHT = 63
"""The greatest quantized weight: with 8 bits, sums of products saturate on CPUs without VNNI."""

_ROW = 127
"""The greatest quantized magnitude of the other operand."""

_MIDDLE = np.array(128, np.uint8)
"""What 0 becomes: onnxruntime's products take this operand as uint8."""

_RECURRENT = ("RNN", "LSTM", "GRU")


def quantize(model: ir.Model) -> tuple[str, ...]:
    """Quantizes a float32 model in place; returns the names of the weights that stay float32.

    Raises:
        ExportError: there is no weight to quantize, though not because all are small.
    """
    quantizer = _Quantizer(model)
    for graph in list(model.graphs()):
        for node in list(graph):
            quantizer.visit(graph, node)
    if not quantizer.done and (quantizer.operators or not quantizer.kept):
        raise ExportError(
            "to_onnx: there is nothing to quantize: int8 needs a product with a constant matrix, or a constant table; "
            "a recurrent layer has one if it is lowered as 'scan' or 'unrolled'"
        )
    used = {value for graph in model.graphs() for node in graph for value in node.inputs}
    initializers = model.graph.initializers
    for name, value in list(initializers.items()):
        if value not in used and not value.is_graph_output():
            del initializers[name]
    return tuple(name for name in quantizer.kept if name in initializers)


class _Quantizer:
    """Replaces the nodes of a model.

    Attributes:
        done: whether anything was quantized.
        operators: whether a recurrent operator has large weights.
        kept: the names of weights that stay float32.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.opset = model.opset_imports[""]
        self.done = self.operators = False
        self.kept: dict[str, None] = {}
        self._weights: dict[tuple[ir.Value, bool], tuple[ir.Value, ir.Value]] = {}
        self._rows: dict[tuple[ir.Graph, ir.Value], tuple[ir.Value, ir.Value]] = {}
        self._constants: dict[Any, ir.Value] = {}
        values = [v for graph in model.graphs() for v in (*graph.inputs, *graph.initializers.values())]
        values += [v for graph in model.graphs() for node in graph for v in node.outputs]
        self._names = Names(v.name for v in values)
        self._nodes: list[ir.Node] = []
        self._scope = ""

    def visit(self, graph: Any, node: ir.Node) -> None:
        """Quantizes a node if it has a constant weight that is large enough."""
        if node.op_type in _RECURRENT:
            for value in node.inputs[1:3]:
                if value is not None and value.const_value is not None:
                    self.kept[str(value.name)] = None
                    self.operators |= value.const_value.size >= SMALLEST
        made: Callable[..., ir.Value]
        if node.op_type == "MatMul" or (node.op_type == "Gemm" and _is_plain(node)):
            weight, made = node.inputs[1], self._product
        elif node.op_type == "Gather" and _integer(node, "axis") == 0:
            weight, made = node.inputs[0], self._lookup
        else:
            return
        array = _matrix(weight)
        if array is None:
            return
        assert weight is not None
        if array.size < SMALLEST or not np.isfinite(array).all():
            self.kept[str(weight.name)] = None
            return
        self.done = True
        self._scope, self._nodes = node.name or node.outputs[0].name or node.op_type, []
        result = made(graph, node, weight, array)
        result.shape = node.outputs[0].shape
        ir.convenience.replace_nodes_and_values(graph, node, [node], self._nodes, node.outputs, [result])

    def _product(self, graph: Any, node: ir.Node, weight: ir.Value, array: Any) -> ir.Value:
        """Emits a product of integers, and scales of rows and columns: x W = (q Q) * (r s) for x = q r and W = Q s."""
        x = node.inputs[0]
        assert x is not None
        transposed = bool(_integer(node, "transB"))
        numbers, scales = self._weight(weight, array.T if transposed else array, transposed, axis=0)
        rows, row_scales = self._quantized_rows(graph, x)
        total = self._emit("MatMulInteger", [rows, numbers, self._constant("middle", _MIDDLE)], ir.DataType.INT32)
        total = self._emit("Cast", [total], ir.DataType.FLOAT, to=int(ir.DataType.FLOAT))
        # One after the other: onnxruntime would fuse a product of scales into an operator with one scale for all rows.
        result = self._emit("Mul", [self._emit("Mul", [total, row_scales]), scales])
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        return result if bias is None else self._emit("Add", [result, bias])

    def _quantized_rows(self, graph: Any, x: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Emits the quantization of each row of `x`; returns the integers, and the scales of the rows."""
        if (graph, x) in self._rows:
            return self._rows[graph, x]
        greatest = self._reduced("ReduceMax", self._emit("Abs", [x]))
        # onnxruntime's maximum may skip NaN, and integers have none: a row with NaN or an infinity must become NaN.
        spoiled = self._reduced("ReduceSum", self._emit("Mul", [x, self._constant("zero", np.float32(0))]))
        # A row of zeros needs some range, too.
        scale = self._emit("Sum", [greatest, spoiled, self._constant("tiny", np.float32(1e-30))])
        within = self._emit("Div", [x, scale])
        if self.opset < 28:
            step = self._constant("step", np.float32(1 / _ROW))
            rows = self._emit("QuantizeLinear", [within, step, self._constant("middle", _MIDDLE)], ir.DataType.UINT8)
        else:  # onnxruntime 1.32 has no QuantizeLinear of this version
            rows = self._emit("Round", [self._emit("Mul", [within, self._constant("row", np.float32(_ROW))])])
            rows = self._emit("Add", [rows, self._constant("shift", _MIDDLE.astype(np.float32))])
            rows = self._emit("Cast", [rows], ir.DataType.UINT8, to=int(ir.DataType.UINT8))
        self._rows[graph, x] = rows, scale
        return rows, scale

    def _lookup(self, graph: Any, node: ir.Node, table: ir.Value, array: Any) -> ir.Value:
        """Emits the look-up of integers and of their rows' scales."""
        numbers, scales = self._weight(table, array, False, axis=1)
        indices = node.inputs[1]
        found = self._emit("Gather", [numbers, indices], ir.DataType.INT8, axis=0)
        found = self._emit("Cast", [found], ir.DataType.FLOAT, to=int(ir.DataType.FLOAT))
        return self._emit("Mul", [found, self._emit("Gather", [scales, indices], axis=0)])

    def _weight(self, weight: ir.Value, array: Any, transposed: bool, axis: int) -> tuple[ir.Value, ir.Value]:
        """Returns the integers of a weight, and its scales along an axis; a product's scales include that of rows."""
        key = weight, transposed or axis == 1
        if key not in self._weights:
            scales = np.maximum(np.abs(array).max(axis, keepdims=True), 1e-30) / _WEIGHT
            numbers = np.round(array / scales).astype(np.int8)
            if axis == 0:
                scales = scales[0] / _ROW
            self._weights[key] = (
                self._initializer(f"{weight.name}_int8", numbers),
                self._initializer(f"{weight.name}_scale", scales.astype(np.float32)),
            )
        return self._weights[key]

    def _reduced(self, op_type: str, x: ir.Value) -> ir.Value:
        """Emits a reduction along the last axis, which stays."""
        if op_type == "ReduceSum" or self.opset >= 18:
            return self._emit(op_type, [x, self._constant("last", np.array([-1]))], keepdims=1)
        return self._emit(op_type, [x], axes=[-1], keepdims=1)

    def _emit(
        self, op_type: str, inputs: Sequence[Any], dtype: ir.DataType = ir.DataType.FLOAT, **attributes: Any
    ) -> ir.Value:
        name = self._names.fresh(f"{self._scope}/{op_type}")
        result = ir.Value(name=self._names.fresh(f"{name}_output"), type=ir.TensorType(dtype))
        made = ir.convenience.convert_attributes(attributes)
        self._nodes.append(ir.Node("", op_type, inputs, made, outputs=[result], name=name))
        return result

    def _constant(self, name: str, array: Any) -> ir.Value:
        if name not in self._constants:
            self._constants[name] = self._initializer(f"int8_{name}", np.asarray(array))
        return self._constants[name]

    def _initializer(self, name: str, array: Any) -> ir.Value:
        name = self._names.fresh(name)
        value = ir.Value(name=name, const_value=ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name))
        value.dtype, value.shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
        self.model.graph.register_initializer(value)
        return value


def _matrix(value: ir.Value | None) -> Any:
    """Returns the elements of a constant matrix of float32; None if it is something else."""
    if value is None or value.const_value is None or not value.is_initializer() or value.is_graph_input():
        return None
    array = value.const_value.numpy()
    return array if array.ndim == 2 and array.dtype == np.float32 else None


def _is_plain(node: ir.Node) -> bool:
    """Returns whether a Gemm is a product and a sum, without factors, of a left operand as it is."""
    factors = [node.attributes[name].as_float() for name in ("alpha", "beta") if name in node.attributes]
    return all(factor == 1 for factor in factors) and not _integer(node, "transA")


def _integer(node: ir.Node, name: str) -> int:
    return node.attributes[name].as_int() if name in node.attributes else 0
