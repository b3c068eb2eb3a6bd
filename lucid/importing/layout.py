"""Layout: which parameters a graph has, how its nodes read them, and the steps that result."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .body import Body
from .names import Paths, own_name, stack_of
from .node import Constant, Node
from .program import Program, Step
from .registry import Operation
from .values import Array
from .weights import GATES, Use, parts_of, uses_of

__all__ = ["Layout", "Reading"]

_PASSING = ("Cast", "Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators through which a bias still belongs to the layer before."""

_LAYERS = (
    "Conv",
    "ConvTranspose",
    "Einsum",
    "Gemm",
    "MatMul",
    "LayerNormalization",
    "BatchNormalization",
    "RMSNormalization",
)


class Reading(NamedTuple):
    """A graph that was read.

    Attributes:
        program: what it computes.
        parameters: its weights, by path.
        buffers: its other float constants of several elements, by path.
        keys: the name that the program has for each parameter and buffer, by path.
    """

    program: Program
    parameters: dict[str, Array]
    buffers: dict[str, Array]
    keys: dict[str, str]


class Layout:
    """The parameters of a graph.

    Args:
        body: the graph.
        paths: the paths of parameters and buffers.
    """

    def __init__(self, body: Body, paths: Paths) -> None:
        self._body = body
        self._paths = paths
        self._makers = {name: (node, inside) for node, inside in body.walk() for name in node.outputs if name}
        self._uses: dict[Constant, list[Use | None]] = {}
        self._made: dict[Constant, list[str]] = {}
        self._layouts: dict[Constant, str] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._stacks: dict[Node, tuple[str, int]] = {}
        self._buffered: dict[Constant, str] = {}
        self._derived: ChainMap[Constant, Step] = ChainMap()
        self._readers: dict[str, list[Node | Body]] = {}
        self._bodies = [
            body,
            *(inner for node, inside in body.walk() for inner in inside.bodies.get(node, {}).values()),
        ]
        for inside in self._bodies:
            for node in inside.nodes:
                for name in node.inputs:
                    self._readers.setdefault(name, []).append(node)
            for name in inside.outputs:
                self._readers.setdefault(name, []).append(inside)
        self.parameters: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}
        self.keys: dict[str, str] = {}

    def reading(self) -> Reading:
        """Makes parameters and buffers, and returns the program that reads them."""
        used: list[tuple[Node, int, Constant, Use]] = []
        for node, inside in self._body.walk():
            given = {i: inside.constants[name] for i, name in enumerate(node.inputs) if name in inside.constants}
            uses = uses_of(node, given, lambda name: self._is_layer(name, 0))
            for i, constant in given.items():
                self._uses.setdefault(constant, []).append(uses.get(i))
            used += [(node, i, given[i], use) for i, use in uses.items()]
        outputs = {body.constants[name] for body in self._bodies for name in body.outputs if name in body.constants}
        shared = self._shared({*self._uses, *outputs})
        for node, _, constant, use in used:
            sources = constant.sources()
            for weight in sources if sources & shared or _is_sum(constant) else {constant}:
                layouts = {None if other is None else other.layout for other in self._uses.get(weight, ())}
                whole = len(layouts) > 1 or weight in shared | outputs or not _splits(weight.array, use.layout)
                self._layouts[weight] = "plain" if whole or weight is not constant else use.layout
                if weight not in self._made:
                    self._made[weight] = self._add_parameters(node, weight, use)
        program = self._program(self._body)
        return Reading(program, self.parameters, self.buffers, self.keys)

    def _shared(self, read: set[Constant]) -> set[Constant]:
        """Returns the tensors of the file that several constants are computed from, themselves included.

        If one of these is a weight, the tensor is the parameter, and the constants are computed when the program runs.
        """
        counts = Counter(source for constant in read for source in constant.sources())
        return {source for source, count in counts.items() if count > 1}

    def _is_layer(self, name: str, depth: int) -> bool:
        """Returns whether a value is what a layer computes, before its bias or after its scale."""
        node, inside = self._makers.get(name, (None, None))
        if node is None or inside is None or depth > 8:
            return False
        if node.op_type in _LAYERS or (node.op_type == "Div" and self._is_root(node.inputs[1])):
            return True
        rows = [i for i, name in enumerate(node.inputs) if name in inside.constants]
        if node.op_type == "Add" and not rows:  # as of a recurrent cell: x W + h U
            return all(self._is_layer(name, depth + 1) for name in node.inputs)
        if node.op_type in _PASSING or (node.op_type in ("Add", "Mul") and len(rows) == 1):
            return self._is_layer(node.inputs[1 if rows == [0] else 0], depth + 1)
        return False

    def _is_root(self, name: str) -> bool:
        node, _ = self._makers.get(name, (None, None))
        return node is not None and node.op_type == "Sqrt"

    # --- parameters

    def _add_parameters(self, node: Node, constant: Constant, use: Use) -> list[str]:
        layout = self._layouts[constant]
        keys = []
        for name, array in parts_of(constant.array, layout):
            wish = self._wish(node, constant, use) if not name else self._in_stack(node, name)
            same = self.parameters.get(wish)
            if not name and constant.name == f"{wish}.T" and same is not None and np.array_equal(same, array):
                keys.append(self.keys[wish])  # lucid stores a weight that is also read transposed in both ways
                continue
            path = self._paths.fresh(wish)
            self.parameters[path] = array
            self.keys[path] = f"\0{path}"
            keys.append(self.keys[path])
        return keys

    def _wish(self, node: Node, constant: Constant, use: Use) -> str:
        own = own_name(constant.name)
        if own is not None:
            return own
        scope = node.scope or self._scope_of_bias(node)
        return f"{scope}.{use.name}" if scope else use.name

    def _scope_of_bias(self, node: Node) -> str:
        """Returns the path of the layer whose bias is added to what a node computes, if the bias has its own name."""
        for reader in self._readers.get(node.outputs[0], ()):
            if isinstance(reader, Node) and reader.op_type == "Add":
                for name in reader.inputs:
                    own = own_name(name)
                    if own is not None and own.endswith(".bias"):
                        return own.removesuffix(".bias")
        return ""

    def _in_stack(self, node: Node, name: str) -> str:
        """Returns the path of a recurrent layer's weight, as the layer of PyTorch's that has it would name it."""
        if node not in self._stacks:
            scope, number = stack_of(node, node.inputs[1:4])
            count = self._counts.get((scope, node.op_type), 0)
            self._counts[scope, node.op_type] = count + 1
            self._stacks[node] = scope, count if number is None else number
        scope, number = self._stacks[node]
        own = name.format(f"_l{number}")
        return f"{scope}.{own}" if scope else own

    # --- steps

    def _program(self, body: Body) -> Program:
        steps: list[Step] = []
        constants: dict[str, Array] = {}
        self._derived = self._derived.new_child()
        biases = {node: bias for node in body.nodes if (bias := self._bias_of(node, body)) is not None}
        added = set(biases.values())
        for name, constant in self._rows_of(body):
            shape = f"{name} shape"
            constants[shape] = np.array(constant.array.shape)
            reshape = Operation("Reshape", name, {}, body.opset, 1)
            steps.append(Step("Reshape", reshape, (self._made[constant][0], shape), (f"{name} row",)))
        for node in body.nodes:
            if node not in added:
                steps.append(self._step(node, body, constants, biases.get(node)))
        outputs = tuple([self._key(name, body, constants) for name in body.outputs])
        steps[:0] = self._derived.maps[0].values()
        self._derived = self._derived.parents
        return Program(body.inputs, outputs, tuple(_live(steps, outputs)), constants)

    def _rows_of(self, body: Body) -> Iterable[tuple[str, Constant]]:
        """Returns the parameters that a graph reads as rows along one of several axes, each with its name."""
        read = {name for node in body.nodes for name in node.inputs if name in body.constants}
        return [
            (name, body.constants[name]) for name in sorted(read) if self._layouts.get(body.constants[name]) == "row"
        ]

    def _bias_of(self, node: Node, body: Body) -> Node | None:
        """Returns the node that adds the bias to a product, if nothing else reads the product."""
        if node.op_type != "MatMul" or self._layout(node, body, 1) != "transposed":
            return None
        readers = self._readers.get(node.outputs[0], ())
        add = readers[0] if len(readers) == 1 else None
        if not isinstance(add, Node) or add not in body.nodes or add.op_type != "Add":
            return None
        other = add.inputs[1 - add.inputs.index(node.outputs[0])]
        bias = body.constants.get(other)
        rows = None if bias is None else self.parameters.get(self._made.get(bias, [""])[0][1:])
        return add if rows is not None and rows.ndim == 1 else None

    def _layout(self, node: Node, body: Body, i: int) -> str | None:
        """Returns the layout of the parameter that an input of a node is; None if it is none."""
        constant = body.constants.get(node.inputs[i]) if i < len(node.inputs) else None
        return None if constant is None else self._layouts.get(constant)

    def _step(self, node: Node, body: Body, constants: dict[str, Array], add: Node | None) -> Step:
        keys = [self._key(name, body, constants) for name in node.inputs]
        outputs = node.outputs
        graphs = {name: self._program(inner) for name, inner in body.bodies.get(node, {}).items()}
        form = node.op_type
        if node.op_type in GATES and self._is_recurrent(node, body):
            form = "recurrent"
            given = [*keys, *[""] * (8 - len(keys))]
            keys = [keys[0], *given[4:], *self._by_direction(node, body)]
        elif node.op_type == "MatMul" and self._layout(node, body, 1) == "transposed":
            form = "linear"
            if add is not None:
                keys += [self._key(name, body, constants) for name in add.inputs if name != node.outputs[0]]
                outputs = add.outputs
        elif node.op_type == "Gemm" and node.is_linear:
            kept = "plain" if node.get("transB", 0) else "transposed"
            form = "linear" if self._layout(node, body, 1) == kept else "Gemm"
        return Step(form, node.operation(graphs), tuple(keys), tuple(outputs))

    def _is_recurrent(self, node: Node, body: Body) -> bool:
        """Returns whether all weights of a recurrent operator are parameters in the layout of lucid's layers."""
        places = [i for i in (1, 2, 3) if i < len(node.inputs) and node.inputs[i]]
        return all((self._layout(node, body, i) or "").startswith(node.op_type) for i in places)

    def _by_direction(self, node: Node, body: Body) -> list[str]:
        """Returns the weights of a recurrent operator, those of the first direction first."""
        weights = [self._made[body.constants[name]] for name in node.inputs[1:4] if name]
        count = len(weights[0])
        return [
            key
            for d in range(count)
            for made in weights
            for key in made[d * len(made) // count :][: len(made) // count]
        ]

    def _key(self, name: str, body: Body, constants: dict[str, Array]) -> str:
        """Returns the name by which the program reads a value."""
        constant = body.constants.get(name) if name else None
        return name if constant is None else self._key_of(constant, name, constants)

    def _key_of(self, constant: Constant, name: str, constants: dict[str, Array]) -> str:
        if constant in self._made:
            return f"{name} row" if self._layouts[constant] == "row" else self._made[constant][0]
        if constant.origin is not None and not self._made.keys().isdisjoint(constant.sources()):
            return self._derive(constant, name, constants)
        if not constant.is_weight or constant.array.size == 1:
            constants[name] = constant.array
            return name
        if constant not in self._buffered:
            wish = own_name(constant.name) or f"constants.{constant.name.strip('/') or 'value'}".replace("/", ".")
            path = self._paths.fresh(wish)
            self.buffers[path] = constant.array
            self.keys[path] = self._buffered[constant] = f"\0{path}"
        return self._buffered[constant]

    def _derive(self, constant: Constant, name: str, constants: dict[str, Array]) -> str:
        """Returns the name of a value that is computed from parameters when the program runs."""
        origin = constant.origin
        assert origin is not None
        if constant not in self._derived:
            names = [f"{name}\0{i}" for i in range(len(origin.given))]
            keys = [
                "" if given is None else self._key_of(given, own, constants)
                for given, own in zip(origin.given, names, strict=True)
            ]
            outputs = ["" for _ in origin.node.outputs]
            outputs[origin.result] = f"{name}\0"
            self._derived[constant] = Step(origin.node.op_type, origin.node.operation(), tuple(keys), tuple(outputs))
        return self._derived[constant].outputs[origin.result]


def _is_sum(constant: Constant) -> bool:
    """Returns whether a constant is a sum, as that of both biases of a recurrent layer."""
    return constant.origin is not None and constant.origin.node.op_type == "Add"


def _splits(array: Array, layout: str) -> bool:
    """Returns whether a weight of a recurrent operator has the axes that the operator takes."""
    kind, _, name = layout.partition(" ")
    if not name:
        return True
    blocks = len(GATES[kind]) * (2 if name == "bias" else 1)
    return array.ndim == (2 if name == "bias" else 3) and array.shape[0] in (1, 2) and array.shape[1] % blocks == 0


def _live(steps: Iterable[Step], outputs: Iterable[str]) -> list[Step]:
    """Returns the steps that an output depends on, each with the values that no later step reads."""
    needed = set(outputs)
    live = []
    for step in reversed(list(steps)):
        if needed.isdisjoint(step.outputs):
            continue
        read = {name for name in step.inputs if name}
        for program in step.node.attributes.values():
            if isinstance(program, Program):
                read |= program.read
        last = sorted(name for name in (read | {*step.outputs}) - needed if name and not name.startswith("\0"))
        live.append(step._replace(dead=tuple(last)))
        needed |= read
    return live[::-1]
