"""Builder: adds nodes, constants, sizes and casts to an ONNX graph, for the lowerings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import onnx_ir as ir

from ...tracer.node import Node, Value
from ...tracer.size import Real, Size, evaluate, symbols_of, unknowns_of
from ..names import Names

__all__ = ["Builder", "Operand"]

Operand = ir.Value | np.ndarray[Any, Any] | None
"""An input of a node: a value, an array that becomes a constant, or None for an omitted optional input."""

_REAL = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "neg": "Neg"}
"""The operators that compute with floating-point numbers."""

_ROUNDED = {"floor": "Floor", "ceil": "Ceil", "round": "Round", "trunc": ""}
"""The operators that round these; a cast cuts off the fraction."""


class Builder:
    """Collects the nodes of one ONNX graph.

    Attributes:
        opset: the version of the ONNX operator set.
        precision: the precision that the model will be converted to; None if it keeps its dtypes.
        steps: the symbols of the time axes of recurrent layers, which have at least one step.
        strategy_of: returns how a recurrent node is lowered: "rnn", "unrolled", "scan" or "columns".
        lower_body: lowers the inner graph of an op, see `lucid.export.lowering.graph.lower_body`.
        node: the node of the lucid graph that is being lowered.
        read: the values of the lucid graph that some node or output reads.
        wished: the name that each constant gets if no other value has it.
        symbols: the value, and its axis, that has the size of each symbol.
        measured: for each size that no rule gives, a function that returns a value and the axis with that size.
        parts: the named values that a value was concatenated from. If all lowerings read these instead, the
            concatenation is dead code.
    """

    def __init__(
        self, opset: int, strategy_of: Callable[[Any], str], lower_body: Callable[..., list[ir.Value]]
    ) -> None:
        self.opset = opset
        self.precision: str | None = None
        self.steps: frozenset[str] = frozenset()
        self.strategy_of = strategy_of
        self.lower_body = lower_body
        self.node: Node | None = None
        self.read: set[Value] = set()
        self.nodes: list[ir.Node] = []
        self.initializers: dict[str, ir.Value] = {}
        self.wished: dict[ir.Value, str] = {}
        self.parts: dict[ir.Value, Mapping[str, ir.Value]] = {}
        self.symbols: dict[str, tuple[ir.Value, int]] = {}
        self.measured: dict[Any, Callable[[], tuple[ir.Value, int]]] = {}
        self._arrays: dict[ir.Value, np.ndarray[Any, Any]] = {}
        self._constants: dict[tuple[str | None, str, tuple[int, ...], bytes], ir.Value] = {}
        self._sizes: dict[str, ir.Value] = {}
        self._names = Names()
        self._parent: Builder | None = None
        self._apart = False

    @property
    def _root(self) -> Builder:
        """The builder of the main graph, which holds all names and constants."""
        root = self
        while root._parent is not None:
            root = root._parent
        return root

    def is_read(self, *outputs: int) -> bool:
        """Returns whether any of these outputs of the current node is read; unread ones may be returned as None."""
        return self.node is not None and any(self.node.value(i) in self.read for i in outputs)

    # --- names

    def unique(self, name: str) -> str:
        """Returns a name that no other value or node of the model has, as close to `name` as possible."""
        return self._root._names.fresh(name)

    @property
    def scope(self) -> str:
        """The path of the module that the current node comes from."""
        return self.node.scope if self.node is not None else ""

    # --- nodes

    def op(self, op_type: str, *inputs: Operand, outputs: int = 1, dtype: Any = None, **attributes: Any) -> Any:
        """Adds a node and returns its output, or a tuple of them if there are several.

        Args:
            op_type: the name of the ONNX operator.
            inputs: values; arrays, which become constants; None for an omitted optional input.
            outputs: the number of outputs.
            dtype: the NumPy dtype of the outputs; by default that of the first input.
            attributes: the node's attributes.
        """
        values = [self.const(x) if isinstance(x, np.ndarray) else x for x in inputs]
        while values and values[-1] is None:
            values.pop()
        name = self.unique(f"{self.scope}/{op_type}" if self.scope else op_type)
        first = next((v for v in values if v is not None and v.dtype is not None), None)
        kind: ir.DataType | None = first.dtype if first is not None else None
        if dtype is not None:
            kind = ir.DataType.from_numpy(np.dtype(dtype))
        results = [
            ir.Value(name=self.unique(f"{name}_{i}" if outputs > 1 else f"{name}_output")) for i in range(outputs)
        ]
        for result in results:
            if kind is not None:
                result.dtype = kind
        node = ir.Node(
            "",
            op_type,
            values,
            ir.convenience.convert_attributes(attributes),
            outputs=results,
            name=name,
        )
        self.nodes.append(node)
        return results[0] if outputs == 1 else tuple(results)

    def subgraph(self, apart: bool = False) -> Builder:
        """Returns a builder for a subgraph, such as the body of a Scan; it may use this graph's values.

        Args:
            apart: whether it computes sizes by itself, since it rarely runs.
        """
        inner = Builder(self.opset, self.strategy_of, self.lower_body)
        inner.node = self.node
        inner.read = self.read
        inner.precision = self.precision
        inner._parent = self
        inner._apart = apart
        return inner

    def argument(self, name: str, dtype: Any, rank: int) -> ir.Value:
        """Creates an input of a subgraph."""
        value = ir.Value(name=self.unique(f"{self.scope}/{name}" if self.scope else name))
        value.dtype = ir.DataType.from_numpy(np.dtype(dtype))
        value.shape = ir.Shape([None] * rank)
        return value

    def graph(self, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]) -> ir.Graph:
        """Returns the subgraph built so far, to be used as an attribute of its node."""
        return ir.Graph(
            inputs, outputs, nodes=self.nodes, name=self.unique(f"{self.scope}/body" if self.scope else "body")
        )

    # --- constants

    def const(self, array: Any, name: str | None = None) -> ir.Value:
        """Returns a constant. Equal ones without a name are shared; two weights stay two, also if they are equal."""
        root = self._root
        array = np.asarray(array)
        key = (name, array.dtype.str, array.shape, sha256(np.ascontiguousarray(array).data).digest())
        if key not in root._constants:
            chosen = self.unique(name or _describe(array))
            value = ir.Value(
                name=chosen, const_value=ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=chosen)
            )
            value.dtype = ir.DataType.from_numpy(array.dtype)
            value.shape = ir.Shape(array.shape)
            root._constants[key] = root.initializers[chosen] = value
            root._arrays[value] = array
            root.wished[value] = name or chosen
        return root._constants[key]

    def label(self, x: ir.Value) -> str | None:
        """Returns the name of a value, for what is made of it; of a constant the one that it gets if it is free."""
        return self._root.wished.get(x, x.name)

    def array(self, x: Any) -> np.ndarray[Any, Any] | None:
        """Returns the elements of a constant, for folding; None if `x` is not a constant."""
        if isinstance(x, np.ndarray):
            return x
        return self._root._arrays.get(x) if isinstance(x, ir.Value) else None

    def dtype(self, x: ir.Value) -> np.dtype[Any]:
        """Returns the NumPy dtype of a value."""
        assert x.dtype is not None
        return x.dtype.numpy()

    # --- dtypes

    def cast(self, x: ir.Value, dtype: Any) -> ir.Value:
        """Casts `x` to a dtype; returns `x` itself if it already has that dtype."""
        dtype = np.dtype(dtype)
        if self.dtype(x) == dtype:
            return x
        if (array := self.array(x)) is not None:
            return self.const(array.astype(dtype))
        return self.op("Cast", x, dtype=dtype, to=int(ir.DataType.from_numpy(dtype)))

    def promote(self, *operands: Any) -> tuple[ir.Value, ...]:
        """Promotes values and Python numbers to one dtype, by NumPy's rules: a number takes the tensor's."""
        kinds = [x if isinstance(x, (bool, int, float)) else self.dtype(x) for x in operands]
        common = np.result_type(*kinds)
        return tuple(
            self.const(np.asarray(x, common)) if isinstance(x, (bool, int, float)) else self.cast(x, common)
            for x in operands
        )

    # --- sizes

    def may_be_empty(self, n: int | Size | None) -> bool:
        """Returns whether a size may be 0; None is a size that is known only at run time."""
        if n is None or unknowns_of(n):
            return True
        return evaluate(n, {symbol: int(symbol in self._root.steps) for symbol in symbols_of(n)}) == 0

    def size(self, n: int | Size) -> ir.Value:
        """Returns a size as a tensor of one int64."""
        if not isinstance(n, Size):
            return self.const(np.array([n], np.int64))
        result: ir.Value | None = None
        # What is added comes before what is subtracted, and the constant last.
        for monomial, coefficient in sorted(n.terms, key=lambda term: (not term[0], term[1] < 0)):
            parts = [self._atom(atom) for atom in monomial]
            if not parts or abs(coefficient) != 1:
                parts.append(self.const(np.array([abs(coefficient)], np.int64)))
            term = parts[0]
            for part in parts[1:]:
                term = self.op("Mul", term, part)
            if result is None:
                result = term if coefficient > 0 else self.op("Neg", term)
            else:
                result = self.op("Add" if coefficient > 0 else "Sub", result, term)
        assert result is not None
        return result if n.divisor == 1 else self.op("Div", result, np.array([n.divisor], np.int64))

    def number(self, x: Any) -> ir.Value:
        """Returns a size, or a number that follows from sizes, as a tensor of one int64 or float64."""
        if isinstance(x, float):
            return self.const(np.array([x], np.float64))
        if not isinstance(x, Real):
            return self.size(x)
        parts = [self.cast(self.number(operand), np.float64) for operand in x.operands]
        if x.name == "float":
            return parts[0]
        if x.name in ("mod", "floordiv"):
            quotient = self.op("Floor", self.op("Div", *parts))
            return quotient if x.name == "floordiv" else self.op("Sub", parts[0], self.op("Mul", quotient, parts[1]))
        result: ir.Value = self.op(_REAL[x.name], *parts)
        return result

    def _atom(self, atom: Any) -> ir.Value:
        """Returns a symbol, or a part of a size that no polynomial describes, as a tensor of one int64."""
        if type(atom) is str:
            return self._symbol(atom)
        if atom.name == "unknown":
            return self._measured(atom)
        if atom.name in _ROUNDED:
            number = self.number(atom.operands[0])
            return self.cast(number if atom.name == "trunc" else self.op(_ROUNDED[atom.name], number), np.int64)
        x, y = (self.size(operand) for operand in atom.operands)
        if atom.name == "bound":
            first = self.op("Max", self.op("Add", x, y), np.array([0]))
            x = self.op("Where", self.op("Less", x, np.array([0]), dtype=np.bool_), first, x, dtype=np.int64)
        if atom.name == "floordiv":
            return self.op("Div", self.op("Sub", x, self.op("Mod", x, y)), y)
        name = {"mod": "Mod", "min": "Min", "max": "Max", "bound": "Min"}[atom.name]
        result: ir.Value = self.op(name, x, y)
        return result

    def sizes(self, ns: Sequence[int | Size]) -> ir.Value:
        """Returns several sizes as a one-dimensional int64 tensor, a constant if none of them varies."""
        if not any(isinstance(n, Size) for n in ns):
            return self.const(np.array(ns, np.int64))
        pieces: list[ir.Value] = []
        fixed: list[int] = []
        for n in ns:
            if isinstance(n, Size):
                if fixed:
                    pieces.append(self.const(np.array(fixed, np.int64)))
                    fixed = []
                pieces.append(self.size(n))
            else:
                fixed.append(n)
        if fixed:
            pieces.append(self.const(np.array(fixed, np.int64)))
        return pieces[0] if len(pieces) == 1 else self.op("Concat", *pieces, axis=0)

    def _symbol(self, symbol: str) -> ir.Value:
        if self._parent is not None and not self._apart:
            return self._parent._symbol(symbol)
        if symbol not in self._sizes:
            scope, self.node = self.node, None
            self._sizes[symbol] = self._size_of(*self._root.symbols[symbol])
            self.node = scope
        return self._sizes[symbol]

    def _measured(self, atom: Any) -> ir.Value:
        if self._parent is not None:
            return self._parent._measured(atom)
        return self._size_of(*self.measured[atom]())

    def _size_of(self, source: ir.Value, axis: int) -> ir.Value:
        if self.opset >= 15:
            size: ir.Value = self.op("Shape", source, dtype=np.int64, start=axis, end=axis + 1)
            return size
        shape = self.op("Shape", source, dtype=np.int64)
        result: ir.Value = self.op("Gather", shape, np.array([axis], np.int64), axis=0)
        return result


def _describe(array: np.ndarray[Any, Any]) -> str:
    return f"const_{array.dtype}_{'x'.join(map(str, array.shape))}" if array.ndim else f"const_{array.dtype}"
