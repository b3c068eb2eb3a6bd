"""Plan: a proved graph, and the decisions on how to lower it."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from ...errors import ExportError
from ...ops.generator import default_generator
from ...proof.example import Axis, check_names
from ...proof.interface import Interface, lengths_of, with_states
from ...proof.proof import Condition, Proof
from ...proof.ranges import Range, find_ranges
from ...proof.separation import Separation, separable, separate, with_totals
from ...proof.streaming import Streaming, prove_streaming, single_steps
from ...tensor import Tensor, around
from ...tracer.dim import Guard
from ...tracer.graph import Graph
from ...tracer.node import Node, Value
from ...tracer.size import Size, evaluate, symbols_of, unknowns_of

__all__ = ["SEED", "SMALLEST", "Lowering", "Plan", "Requested", "make_plan", "strategy_of"]

Lowering = Literal["auto", "rnn", "unrolled", "scan", "columns"]

Requested = Literal[Lowering, "fastest"]
"""What `to_onnx` is asked for: a lowering, or that which is the fastest at the example's sizes."""

_OPERATOR_OUTPUTS = {"rnn": 2, "lstm": 3, "gru": 2}
"""The ops with a choice of lowerings, and how many of their outputs ONNX's operator returns."""


SMALLEST = 1 << 14
"""The fewest numbers in a weight that is quantized: below, int8 saves less than 48 kB, and the quantization at run time
takes longer than the product."""

SEED = "seed"
"""The name of the input that is the seed of random draws."""

_EXTREMA = ("amax", "amin", "argmax", "argmin")
"""The ops that need at least one element."""


class Plan(NamedTuple):
    """A graph to be lowered.

    Attributes:
        graph: the graph; its sizes depend on the free axes only.
        axes: the symbol of each free axis.
        fixed: why each other axis of an input is fixed.
        strategies: how each recurrent node is lowered: "rnn", "unrolled", "scan" or "columns".
        parameters: the inputs that are parameters of the model, and the tensor of each.
        separation: how the model runs on parts of a batch; None if it cannot.
        reads: where Python reads elements of tensors, without any effect on the graph.
        conditions: what sizes must satisfy.
        streaming: how the pieces of a sequence give what the whole gives.
        ranges: the elements that inputs may hold.
        interface: which inputs are lengths and states.
        precision: the precision that the model will be converted to; None if it keeps its dtypes.
        seed: the seed of random draws, which is an input; None if nothing is drawn.
    """

    graph: Graph
    axes: dict[Axis, str]
    fixed: dict[Axis, str]
    strategies: dict[Node, str]
    parameters: dict[str, Tensor]
    separation: Separation | None = None
    reads: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    streaming: Streaming = Streaming()
    ranges: tuple[Range, ...] = ()
    interface: Interface = Interface()
    precision: str | None = None
    seed: Tensor | None = None

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The inputs beside those of the example, which have values of their own: parameters and the seed."""
        return self.parameters if self.seed is None else {**self.parameters, SEED: self.seed}

    @property
    def draws(self) -> int:
        """The number of random draws in a call that its outputs depend on, or that come before such a one."""
        drawn = [int(node.attrs["draw"]) for node in self.graph.nodes if node.op.name == "keyed_uniform"]
        return 0 if self.seed is None else 1 + max(drawn, default=-1)

    @property
    def steps(self) -> frozenset[str]:
        """The symbols of the time axes of recurrent layers."""
        return _steps(self.graph)

    @property
    def recurrent(self) -> frozenset[str]:
        """The recurrent ops in the graph: "rnn", "lstm", "gru"."""
        return frozenset(node.op.name for node in self.strategies)

    def for_parts(self) -> Plan:
        """Returns the plan of the model for parts of a batch: its last outputs are the totals that weight the parts."""
        assert self.separation is not None
        graph = with_totals(self.graph, self.separation.totals)
        return self._replace(graph=graph, separation=None, streaming=Streaming(why="it is a part of a batch"))

    def by_input(self, facts: dict[Axis, str]) -> dict[str, dict[int, str]]:
        """Groups facts about axes by input, in the order of the inputs."""
        found: dict[str, dict[int, str]] = {}
        for name, value in self.graph.inputs.items():
            for axis in range(len(value.shape)):
                if (name, axis) in facts:
                    found.setdefault(name, {})[axis] = facts[name, axis]
        return found


def make_plan(
    proof: Proof,
    lowering: Lowering,
    precision: str | None = None,
    *,
    time_is_asked: bool = False,
    made_up: bool = False,
    trainable: bool = False,
    output_names: Sequence[str] | None = None,
    states: Mapping[str, str] | None = None,
) -> Plan:
    """Decides how a proved graph is lowered: its inputs and outputs, its recurrent nodes, its parts of a batch.

    The time axis of unrolled layers becomes fixed.

    Args:
        proof: the proof.
        lowering: the requested lowering.
        precision: the precision that the model will be converted to.
        time_is_asked: whether the user named the dynamic axes, so that none of them may be fixed.
        made_up: whether the example is synthetic, so that its number of time steps means nothing.
        trainable: whether everything that requires gradients becomes an input.
        output_names: names for the outputs, in place of the graph's.
        states: which output continues which input, besides what layers say.

    Raises:
        ExportError: a layer would be unrolled over an axis that must be dynamic or whose length is unknown, or
            onnxruntime does not have the requested operator; or a state and its next value differ in shape.
        ValueError: the names of the outputs are not distinct, or not as many as the outputs; or there are no such
            states; or the model draws random numbers, and something else is named seed.
    """
    graph, parameters = _with_parameters(proof.graph) if trainable else (proof.graph, {})
    graph, seed = _with_seed(graph, precision)
    if output_names is not None:
        graph = _with_output_names(graph, output_names)
    proof, carried = with_states(proof._replace(graph=graph), states or {}, time_is_asked)
    # Unrolled layers take pieces of one length, of which this holds as well.
    streaming = prove_streaming(proof)
    proof, strategies = _with_strategies(proof, lowering, time_is_asked, made_up, precision == "int8")
    streaming = streaming._replace(steps=single_steps(proof))
    separation = separate(proof.graph, proof.axes) if precision is None else None
    return Plan(
        _owned(proof.graph),
        proof.axes,
        proof.fixed,
        strategies,
        parameters,
        separation,
        proof.reads,
        (*proof.conditions, *_not_empty(proof.graph)),
        streaming,
        find_ranges(proof.graph),
        lengths_of(proof.graph)._replace(states=carried, separable=separable(proof.graph, proof.axes)),
        precision,
        seed,
    )


def _steps(graph: Graph) -> frozenset[str]:
    sizes: list[Any] = [node.outputs[0].shape[0] for node in graph.nodes if node.op.name in _OPERATOR_OUTPUTS]
    return frozenset[str]().union(*(symbols_of(n) for n in sizes if n in map(Size.symbol, symbols_of(n))))


def _not_empty(graph: Graph) -> list[Condition]:
    """Returns that no axis is empty along which a maximum is taken: the ops raise an error, but not the file.

    A proof is about sizes from one on, and so notes nothing of this.
    """
    found: dict[Guard, Condition] = {}
    steps = _steps(graph)
    for node in graph.nodes:
        shape = getattr(node.inputs[0], "shape", ()) if node.op.name in _EXTREMA else ()
        if not shape:
            continue
        dim = node.attrs["dim"]
        dims = range(len(shape)) if dim is None or dim == () else dim if isinstance(dim, (tuple, list)) else (dim,)
        sizes = [shape[axis] for axis in dims if isinstance(shape[axis], Size) and not unknowns_of(shape[axis])]
        for n in sizes:
            if not symbols_of(n) <= steps and evaluate(n, dict.fromkeys(symbols_of(n), 0)) <= 0:
                guard = Guard("ge", n, 1, True, node.op.name, True)
                found[guard] = Condition(guard, node.location, True)
    return list(found.values())


def _with_parameters(graph: Graph) -> tuple[Graph, dict[str, Tensor]]:
    """Adds everything that requires gradients to the inputs; returns the graph, and those tensors by input name."""
    names = graph.names()
    trained = {value: tensor for value, tensor in graph.captured.items() if tensor.requires_grad}
    inputs = {**graph.inputs, **{names[value]: value for value in trained}}
    captured = {value: tensor for value, tensor in graph.captured.items() if value not in trained}
    parameters = {names[value]: tensor for value, tensor in trained.items()}
    return graph._replace(inputs=inputs, captured=captured), parameters


def _with_seed(graph: Graph, precision: str | None) -> tuple[Graph, Tensor | None]:
    """Makes the seed of lucid's generator an input, if anything is drawn by it.

    Raises:
        ExportError: the model will be converted to another precision than that of its draws.
        ValueError: an input is named like it.
    """
    counter = default_generator()._counter()
    found = [value for value, tensor in graph.captured.items() if counter is not None and tensor is counter.key]
    if not found:
        return graph, None
    drawn = {np.dtype(node.attrs["dtype"]).name for node in graph.nodes if node.op.name == "keyed_uniform"}
    if precision == "float16" or (precision == "float32" and "float64" in drawn):
        raise ExportError(
            f"to_onnx: the model draws random numbers, which would differ in {precision}; export it without precision="
        )
    if SEED in graph.inputs:
        raise ValueError(
            f"to_onnx: the model draws random numbers, so the file has an input named {SEED!r}, but the model has one "
            "of that name, too; give it another by input_names="
        )
    captured = {value: tensor for value, tensor in graph.captured.items() if value is not found[0]}
    return graph._replace(inputs={**graph.inputs, SEED: found[0]}, captured=captured), graph.captured[found[0]]


def _owned(graph: Graph) -> Graph:
    """Returns the graph with copies of its constants, which no later change of the model reaches."""
    copies: dict[Any, np.ndarray[Any, Any]] = {}
    captured: dict[Value, Any] = {}
    for value, tensor in graph.captured.items():
        data = tensor._data
        # What is tied stays tied.
        place = (data.__array_interface__["data"][0], data.shape, data.strides, data.dtype)
        if place not in copies:
            copies[place] = data.copy(order="K")
        captured[value] = around(copies[place], tensor.requires_grad)
    return graph._replace(captured=captured)


def _with_output_names(graph: Graph, names: Sequence[str]) -> Graph:
    check_names("output_names", names, len(graph.outputs))
    if taken := [name for name in names if name in graph.inputs]:
        raise ValueError(f"to_onnx: output_names must differ from the inputs' names; got {', '.join(taken)} in both")
    return graph._replace(outputs=dict(zip(names, graph.outputs.values(), strict=True)))


def _with_strategies(
    proof: Proof, lowering: str, time_is_asked: bool, made_up: bool, quantized: bool
) -> tuple[Proof, dict[Node, str]]:
    """Chooses the lowering of each recurrent node, and fixes the axes that these lowerings require to be fixed."""
    graph = proof.graph
    strategy = _quantizable if quantized and lowering == "auto" else strategy_of
    chosen = [
        strategy(node, lowering, time_is_asked, graph.read) if node.op.name in _OPERATOR_OUTPUTS else None
        for node in graph.nodes
    ]
    unrolled = {
        symbol
        for node, strategy in zip(graph.nodes, chosen, strict=True)
        if strategy == "unrolled"
        for symbol in symbols_of(node.outputs[0].shape[0])
    }
    if unrolled:
        if time_is_asked:
            raise ExportError(
                f"to_onnx: axis {', '.join(sorted(unrolled))} is unrolled step by step, so it cannot be dynamic; "
                "lowering='scan' leaves it free"
            )
        if made_up:
            raise ExportError(
                "to_onnx: a recurrent layer is unrolled, and no example says over how many time steps; pass "
                "example inputs or call the model once, or use lowering='scan', which leaves the length free"
            )
        proof = proof.pinned(unrolled, "a recurrent layer is unrolled over it; lowering='scan' leaves it free")
    strategies = {node: s for node, s in zip(proof.graph.nodes, chosen, strict=True) if s is not None}
    return proof, strategies


def _quantizable(node: Node, lowering: str, time_is_asked: bool, read: Container[Value]) -> str:
    """Returns the lowering of a recurrent node in an int8 model: the operators have no int8 form."""
    sizes = [math.prod(value.shape) for value in node.inputs if type(value) is Value and len(value.shape) == 2]
    # A time axis stays free, whether or not the weights are large.
    small = max(sizes) < SMALLEST and strategy_of(node, lowering, True, read) == "rnn"
    return "rnn" if small else "scan"


def strategy_of(node: Node, lowering: str, time_is_asked: bool, read: Container[Value]) -> str:
    """Returns the lowering of a recurrent node.

    With "auto", tanh, LSTM and GRU become ONNX's recurrent operator, which every runtime supports. ReLU is unrolled,
    unless a dynamic time axis was requested. float64 becomes a Scan, since onnxruntime has no such operators for it. A
    layer whose gates a gradient reads becomes a Scan, too: the operators do not return their gates.

    Args:
        node: the node.
        lowering: the requested lowering.
        time_is_asked: whether its time axis must stay free.
        read: the values that some node or output reads.

    Raises:
        ExportError: the operator is requested, but onnxruntime has none.
    """
    op = node.op.name
    dtype = node.outputs[0].dtype
    gates_are_read = any(node.value(i) in read for i in range(_OPERATOR_OUTPUTS[op], len(node.outputs)))
    if lowering == "rnn" and dtype != np.float32:
        raise ExportError(
            f"to_onnx: onnxruntime has no {op.upper()} operator for {dtype}; use lowering='scan' or 'unrolled'"
        )
    steps: Any = node.outputs[0].shape[0]
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
