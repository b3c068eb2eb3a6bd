"""Operators at the edges compute what onnxruntime computes, as nodes of inputs and folded as constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import lucid
from lucid.export.lowering.opset import newest_opset
from tests.importing.edges import ROWS, Row
from tests.tiers import thinned


def model_of(row: Row, wanted: list[Any] | None, folded: bool) -> onnx.ModelProto:
    """Returns a model of one node, whose inputs are those of the graph, or constants."""
    given = {f"x{i}": x for i, x in enumerate(row.inputs) if x is not None}
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(row.inputs)]
    outputs = [f"y{i}" for i in range(row.outputs)]
    node = helper.make_node(row.op_type, names, outputs, **row.attributes)
    described = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in (*given.items(), *zip(outputs, wanted or [], strict=False))
    ]
    infos, results = described[: len(given)], described[len(given) :]
    tensors = [onnx.numpy_helper.from_array(x, name) for name, x in given.items()]
    results = results or [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph([node], "row", [] if folded else infos, results, tensors if folded else [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", row.opset)], ir_version=10)


def by_onnxruntime(row: Row) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = model_of(row, None, False)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {port.name: row.inputs[int(port.name[1:])] for port in session.get_inputs()})


@pytest.mark.parametrize("row", thinned(ROWS, 8), ids=str)
def test_edges(row):
    if row.opset > newest_opset():
        pytest.skip(f"the installed onnxruntime does not know operator set {row.opset}")
    kernel = by_onnxruntime(row)
    wanted = kernel if row.otherwise is None else [np.asarray(x, kernel[0].dtype) for x in row.otherwise]
    tensors = [lucid.tensor(x) for x in row.inputs if x is not None]
    for folded in (False, True):
        model = lucid.from_onnx(model_of(row, wanted, folded))
        found = model() if folded else model(*tensors)
        for y, want in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
            assert (y.dtype, y.shape) == (want.dtype, want.shape)
            tolerance = 3e-3 if want.dtype == np.float16 else 2e-5
            exact = np.float64 if want.dtype.kind == "f" else want.dtype
            y, want = (np.asarray(part).astype(exact) for part in (y.detach().numpy(), want))
            np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance)
