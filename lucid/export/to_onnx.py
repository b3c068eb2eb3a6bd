"""to_onnx: from a model to a verified ONNX file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal, get_args

import onnx

from ..errors import ExportError
from ..nn.module import Module
from ..ops.random import get_rng_state, set_rng_state
from ..proof.axes import Dynamic, Proof, prove
from ..proof.example import Example, check_names
from ..proof.separation import separate
from ..tensor import Tensor
from ..tracer.graph import Graph
from ..tracer.node import Node, Value
from ..tracer.symbolic import symbols_of
from .exported import Exported
from .file.files import staged
from .file.layout import lay_out
from .file.metadata import check_metadata, stamp
from .lowering.graph import RECURRENT, lower, pin, read_values, strategy_of
from .lowering.opset import DEFAULT_OPSET, check_opset
from .parity import compare
from .precision import PRECISIONS, Precision, convert

__all__ = ["to_onnx"]

Lowering = Literal["auto", "rnn", "unrolled", "scan", "columns"]


def to_onnx(
    model: Callable[..., Any],
    *example_inputs: Any,
    path: str | os.PathLike[str] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Dynamic = "auto",
    lowering: Lowering = "auto",
    opset: int = DEFAULT_OPSET,
    precision: Precision | None = None,
    float32_io: bool = True,
    trainable: bool = False,
    metadata: Mapping[str, str] | None = None,
    external_data: bool | None = None,
    verify: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
) -> Exported:
    """Export a model, or any function of Tensors, to ONNX, and compare the two before returning.

    The model is run at the example's sizes and again at others, in evaluation mode unless it is to be trained; what
    those runs have in common is proved, and anything that was frozen into the graph by accident is refused. The model,
    its gradients and the random state are left as they were.

    Args:
        model: a Module, or a function of Tensors.
        example_inputs: Tensors or arrays, nested as the model takes them. If there are none, those of the model's last
            call serve; a bare recurrent layer needs no call at all.
        path: where to write the model; it is written whole or not at all, and only once verified.
        input_names: names for the inputs, in place of those of the model's parameters.
        output_names: names for the outputs.
        dynamic: "auto" finds every axis that can vary; None fixes all; a mapping such as ``{"x": {0: "time", 1:
            "batch"}}`` asks for those, and names them.
        lowering: how recurrent layers are written: "rnn" (one ONNX RNN, LSTM or GRU a layer), "unrolled" (MatMul, Add
            and the activations for each step, time fixed), "scan" (one Scan a layer), "columns" (the same, but in an
            LSTM sequences are the columns of all matrices: for weights that are inputs, and from some 16 sequences on);
            With relu, of whose NaN onnxruntime's RNN makes 0, "rnn" has a Scan as well, for when there may be any.
            "auto": "rnn", but an RNN with relu "unrolled", or "scan" where a dynamic time axis is asked for, and
            float64 "scan".
        opset: the version of the ONNX operator set.
        precision: None keeps the dtypes of the model. "float32" converts float64. "float16" converts all floats: half
            the size, and speed on devices that have it (onnxruntime computes in float32 on a CPU). "int8" keeps the
            weights of linear and recurrent layers and of tables of rows in int8: a quarter of the size; each product
            with one quantizes the other factor when it runs, and all else stays float32. Recurrent layers are written
            as "scan" then, the ONNX RNN operator having no int8 form.
        float32_io: whether the inputs and outputs of a float16 model are float32.
        trainable: for a function that computes gradients: all that requires gradients, the parameters of a model, is
            an input, after the others, and modules keep the mode that they are in.
        metadata: texts by name, to be kept in the file, for whatever you like.
        external_data: whether the weights stand in a file beside `path`; if None, only above protobuf's 2 GiB.
        verify: compare with onnxruntime at the example's sizes, at size one and at larger sizes.
        rtol: relative tolerance; by default 1.3e-6 in float32, 5e-3 with precision "float16", 5e-2 with "int8".
        atol: absolute tolerance; by default 1e-5 in float32, times the greatest magnitude in the output if that is
            above one and the model trainable; with precision "float16" or "int8" the shares above of that magnitude.

    Raises:
        ExportError: something cannot be exported, or an axis asked for is not free; with the user's line.
        VerificationError: the exported model does not agree with the eager one.
        ValueError, TypeError: an option is not what it should be.

    Example:
        >>> rnn = nn.RNN(3, 4)
        >>> exported = lucid.export.to_onnx(rnn, lucid.randn(5, 2, 3))
        >>> exported.axes
        {'x': {0: 'time', 1: 'batch'}}
        >>> exported.operators
        {'RNN': 1, 'Squeeze': 1}
    """
    if lowering not in get_args(Lowering):
        raise ValueError(
            f"to_onnx: lowering must be one of {', '.join(map(repr, get_args(Lowering)))}; got {lowering!r}"
        )
    if not callable(model):
        raise TypeError(f"to_onnx: expected a Module or a function; got {type(model).__name__}")
    if precision is not None and precision not in PRECISIONS:
        raise ValueError(f"to_onnx: precision must be None, 'float32', 'float16' or 'int8'; got {precision!r}")
    if external_data is not None and path is None:
        raise ValueError("to_onnx: external_data says how a file is written, but there is no path to write one to")
    if path is not None and not os.path.isdir(folder := os.path.dirname(os.path.abspath(path))):
        raise FileNotFoundError(errno.ENOENT, "to_onnx: the folder does not exist", folder)
    check_opset(opset)
    metadata = check_metadata(metadata)
    if precision == "int8" and lowering == "auto":
        lowering = "scan"
    with left_as_it_was(model, evaluation=not trainable):
        example = Example(model, example_inputs, {})
        if input_names is not None:
            example.rename(input_names)
        proof = prove(model, example, dynamic)
        proof, strategies = _choose(proof, lowering, dynamic, example)
        graph, parameters = _opened(proof.graph) if trainable else (proof.graph, {})
        if output_names is not None:
            graph = _renamed_outputs(graph, output_names)
        lowered = lower(graph, proof.axes, opset, strategies)
        converted = lowered if precision is None else convert(lowered, precision, float32_io)
        exported = Exported(converted, opset, *_by_input(proof))
        exported.precision = precision
        exported.parameters = parameters
        exported.recurrent = frozenset(node.op.name for node in strategies)
        # Numbers that were quantized for a whole batch are not those of its parts.
        if precision is None and (separation := separate(graph, proof.axes)) is not None:
            exported.separation = separation
            if separation.totals:
                more = _with_totals(graph, separation.totals)
                exported._lower_part = lambda: lower(more, proof.axes, opset, strategies)
        with staged(converted) as source:
            try:
                onnx.checker.check_model(source, full_check=True)
            except Exception as error:  # the checker raises types of its own
                raise ExportError(f"to_onnx: the ONNX checker refuses the model: {error}") from error
            if verify:
                report = compare(
                    source, model, example, proof.axes, exported.output_names, rtol, atol, precision, parameters
                )
                if precision is not None:
                    report = report._replace(bytes=(lay_out(lowered).bytes, lay_out(converted).bytes))
                exported.report = report
    measured = None if exported.report is None else exported.report.as_dict()
    stamp(converted, opset, exported.axes, measured, metadata)
    if path is not None:
        exported.save(path, external_data)
    return exported


def _choose(proof: Proof, lowering: str, dynamic: Dynamic, example: Example) -> tuple[Proof, dict[Node, str]]:
    """The lowering of each recurrent node; the time axis of those that are unrolled becomes fixed."""
    asked = isinstance(dynamic, Mapping)
    nodes = proof.graph.nodes
    read = read_values(proof.graph)
    chosen = [strategy_of(node, lowering, asked, read) if node.op.name in RECURRENT else None for node in nodes]
    unrolled = {
        symbol
        for node, strategy in zip(proof.graph.nodes, chosen, strict=True)
        if strategy == "unrolled"
        for symbol in symbols_of(node.outputs[0].shape[0])
    }
    if unrolled:
        if asked:
            raise ExportError(
                f"to_onnx: axis {', '.join(sorted(unrolled))} is unrolled step by step, so it cannot be dynamic; "
                "lowering='scan' leaves it free"
            )
        if example.synthetic:
            raise ExportError(
                "to_onnx: a recurrent layer is unrolled, and no example says over how many time steps; pass "
                "example inputs or call the model once, or use lowering='scan', which leaves the length free"
            )
        pinned = {symbol: proof.sizes[symbol] for symbol in unrolled}
        reason = "a recurrent layer is unrolled over it; lowering='scan' leaves it free"
        proof = Proof(
            pin(proof.graph, pinned),
            {axis: symbol for axis, symbol in proof.axes.items() if symbol not in unrolled},
            {symbol: n for symbol, n in proof.sizes.items() if symbol not in unrolled},
            proof.fixed | {axis: reason for axis, symbol in proof.axes.items() if symbol in unrolled},
        )
    strategies = {
        node: strategy for node, strategy in zip(proof.graph.nodes, chosen, strict=True) if strategy is not None
    }
    return proof, strategies


def _opened(graph: Graph) -> tuple[Graph, dict[str, Tensor]]:
    """The graph with all that requires gradients among its inputs, and the tensors that are, by the inputs' names."""
    names = graph.names()
    trained = {value: tensor for value, tensor in graph.captured.items() if tensor.requires_grad}
    inputs = {**graph.inputs, **{names[value]: value for value in trained}}
    captured = {value: tensor for value, tensor in graph.captured.items() if value not in trained}
    opened = Graph(inputs, graph.outputs, captured, graph.labels, graph.structure, graph.leaks)
    return opened, {names[value]: tensor for value, tensor in trained.items()}


def _renamed_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    check_names("output_names", names, len(graph.outputs))
    if taken := [name for name in names if name in graph.inputs]:
        raise ValueError(f"to_onnx: output_names must differ from the inputs' names; got {', '.join(taken)} in both")
    outputs = dict(zip(names, graph.outputs.values(), strict=True))
    return Graph(graph.inputs, outputs, graph.captured, graph.labels, graph.structure, graph.leaks)


def _with_totals(graph: Graph, totals: Sequence[Value]) -> Graph:
    """The graph with further outputs after its own."""
    free = (name for name in (f"total_{i}" for i in count()) if name not in graph.outputs and name not in graph.inputs)
    outputs = graph.outputs | dict(zip(free, totals, strict=False))
    return Graph(graph.inputs, outputs, graph.captured, graph.labels, graph.structure, graph.leaks)


def _by_input(proof: Proof) -> tuple[dict[str, dict[int, str]], dict[str, dict[int, str]]]:
    """The free axes and the fixed ones, in the order of the inputs."""
    axes: dict[str, dict[int, str]] = {}
    fixed: dict[str, dict[int, str]] = {}
    for name, value in proof.graph.inputs.items():
        for axis in range(len(value.shape)):
            if (name, axis) in proof.axes:
                axes.setdefault(name, {})[axis] = proof.axes[name, axis]
            else:
                fixed.setdefault(name, {})[axis] = proof.fixed[name, axis]
    return axes, fixed


@contextmanager
def left_as_it_was(model: Callable[..., Any], evaluation: bool) -> Iterator[None]:
    """Evaluation mode inside, if asked for; then all flags, buffers, gradients and the random state are as before."""
    modules = list(model.modules()) if isinstance(model, Module) else []
    before = [(m, dict(m.__dict__), dict(m._parameters), dict(m._buffers), dict(m._modules)) for m in modules]
    gradients = [(p, p.grad) for m in modules for p in m.parameters(recurse=False)]
    random = get_rng_state()
    try:
        for module in modules:
            module.training = module.training and not evaluation
        yield
    finally:
        set_rng_state(random)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, attributes, parameters, buffers, children in before:
            _put_back(module.__dict__, attributes)
            for table, entries in (("_parameters", parameters), ("_buffers", buffers), ("_modules", children)):
                _put_back(attributes[table], entries)


def _put_back(table: dict[str, Any], entries: dict[str, Any]) -> None:
    """Give a table its entries back. If its names are the same, no other thread ever sees it without one of them."""
    if list(table) != list(entries):
        table.clear()
    table.update(entries)
