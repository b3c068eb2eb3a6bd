"""Yardsticks in pure onnxruntime, on the models that lucid writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import lucid
from lucid.export import to_onnx

from ..case import Case
from ..job import Job
from .lucid import layer, streamable

__all__ = ["file", "stream", "training_products"]


def file(case: Case, lowering: Any) -> Job:
    """Runs the file that lucid writes with this lowering, as any program would."""
    exported = to_onnx(layer(case), lucid.tensor(case.input()), lowering=lowering)
    session = onnxruntime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: case.input()}
    return Job(lambda: session.run(None, feed), lambda: {"output": session.run(None, feed)[0]})


def stream(case: Case) -> Job:
    """Runs one call after another with bound buffers: states swap places, and no input or output is copied."""
    h = lucid.zeros(case.layers, case.batch, case.hidden)
    state = ((h, h * 1.0),) if case.kind == "lstm" else (h,)
    lowering: Any = streamable(case)
    model = to_onnx(layer(case), lucid.tensor(case.input()), *state, lowering=lowering, verify=False)
    session = onnxruntime.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    x_name, *state_names = (i.name for i in session.get_inputs())
    y_name, *next_names = (o.name for o in session.get_outputs())

    def buffer(*shape: int) -> tuple[Any, Any]:
        array = np.zeros(shape, np.float32)
        return array, onnxruntime.OrtValue.ortvalue_from_numpy(array)

    x, x_value = buffer(1, case.batch, case.features)
    y_value = buffer(1, case.batch, case.hidden)[1]
    states = [[buffer(case.layers, case.batch, case.hidden)[1] for _ in state_names] for _ in range(2)]
    bindings = []
    for turn in range(2):
        binding = session.io_binding()
        binding.bind_ortvalue_input(x_name, x_value)
        binding.bind_ortvalue_output(y_name, y_value)
        for name, value in zip(state_names, states[turn], strict=True):
            binding.bind_ortvalue_input(name, value)
        for name, value in zip(next_names, states[1 - turn], strict=True):
            binding.bind_ortvalue_output(name, value)
        bindings.append(binding)
    turn = 0

    def run() -> None:
        nonlocal turn
        session.run_with_iobinding(bindings[turn])
        turn = 1 - turn

    def results() -> dict[str, Any]:
        outputs = []
        for row in case.input():
            x_value.update_inplace(np.ascontiguousarray(row[None]))
            run()
            outputs.append(y_value.numpy().copy())
        return {"output": np.concatenate(outputs)}

    del x
    return Job(run, results)


def training_products(case: Case) -> Job:
    """Computes only the matrix products of a training step, in onnxruntime.

    They are one for all inputs, one per time step forward and one backward, and one each for the gradients of the
    weights and of the layer's input.
    """
    weights = case.weights()
    rows, hidden, gates = case.time * case.batch, case.hidden, case.gates * case.hidden
    feed = {"x": case.input().reshape(rows, -1), "h": case.gradient()}
    feed["flat"] = feed["h"].reshape(rows, hidden)
    feed["da"] = np.concatenate([feed["h"]] * case.gates, axis=2)
    feed["flat_da"] = feed["da"].reshape(rows, gates)
    nodes: list[Any] = []
    outputs: list[str] = []

    def product(kind: str, a: str, b: str, **attributes: Any) -> None:
        outputs.append(f"y{len(outputs)}")
        nodes.append(helper.make_node(kind, [a, b], [outputs[-1]], **attributes))

    for k in range(case.layers):
        w, r, given = f"weight_ih_l{k}", f"weight_hh_l{k}", "flat" if k else "x"
        feed[w], feed[r], feed[f"{r}.T"] = weights[w], weights[r], np.ascontiguousarray(weights[r].T)
        product("Gemm", given, w, transB=1)
        for states, recurrent in (("h", f"{r}.T"), ("da", r)):
            step = helper.make_node("MatMul", ["state", recurrent], ["product"])
            read, made = (_value(name, [None, None]) for name in ("state", "product"))
            body = helper.make_graph([step], "step", [read], [made])
            outputs.append(f"y{len(outputs)}")
            nodes.append(helper.make_node("Scan", [states], [outputs[-1]], body=body, num_scan_inputs=1))
        product("Gemm", "flat_da", "flat", transA=1)
        product("Gemm", "flat_da", given, transA=1)
        if k:
            product("Gemm", "flat_da", w)
    inputs = [_value(name, list(array.shape)) for name, array in feed.items()]
    graph = helper.make_graph(nodes, "products", inputs, [_value(name, None) for name in outputs])
    version = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[version], ir_version=onnx.helper.find_min_ir_version_for([version]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return Job(lambda: session.run(None, feed), dict)


def _value(name: str, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
