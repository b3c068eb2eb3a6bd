"""ONNX models made for tests, and onnxruntime's results for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import lucid

__all__ = [
    "Array",
    "around",
    "as_tensors",
    "check",
    "compare",
    "graph",
    "loop_body",
    "model_of",
    "numbers",
    "ort",
    "port",
    "results",
]

Array = np.ndarray[Any, Any]

_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}


def port(name: str, shape: Sequence[int | str | None] | None, dtype: str = "float32") -> onnx.ValueInfoProto:
    """Declares an input or output."""
    return helper.make_tensor_value_info(name, _TYPES[dtype], shape)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Mapping[str, Any] | None = None,
    name: str = "graph",
) -> onnx.GraphProto:
    """Returns a graph; constants become initializers, Python's integers among them int64."""
    held = [onnx.numpy_helper.from_array(np.asarray(value), key) for key, value in (constants or {}).items()]
    return helper.make_graph(list(nodes), name, list(inputs), list(outputs), held)


def model_of(main: onnx.GraphProto, opset: int = 17, functions: Sequence[onnx.FunctionProto] = ()) -> onnx.ModelProto:
    """Returns a checked model of a graph."""
    domains = {function.domain for function in functions}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    made = helper.make_model(main, opset_imports=imports, functions=list(functions), ir_version=8)
    onnx.checker.check_model(made)
    return made


def ort(model: onnx.ModelProto | bytes | str, *inputs: Array) -> list[Array]:
    """Returns what onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    found: list[Array] = session.run(None, dict(zip(names, inputs, strict=True)))
    return found


def as_tensors(inputs: Sequence[Array]) -> list[lucid.Tensor]:
    """Returns arrays as tensors."""
    return [lucid.from_numpy(np.array(x)) for x in inputs]


def results(model: Any, inputs: Sequence[Array]) -> list[Array]:
    """Returns what an imported module computes."""
    with lucid.no_grad():
        found = model(*as_tensors(inputs))
    return [y.numpy() for y in (found if isinstance(found, tuple) else (found,))]


def compare(model: Any, source: onnx.ModelProto | bytes | str, *inputs: Array, tolerance: float = 1e-5) -> None:
    """Fails unless an imported module gives what onnxruntime does for the file that it came from."""
    wanted = ort(source, *inputs)
    found = results(model, inputs)
    assert len(found) == len(wanted)
    for y, want in zip(found, wanted, strict=True):
        assert y.dtype == want.dtype
        np.testing.assert_allclose(y, want, tolerance, tolerance)


def numbers(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    """Returns random numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def around(nodes: list[onnx.NodeProto], inputs: Any, outputs: Any, constants: Any = None) -> onnx.ModelProto:
    """Returns a checked model of nodes."""
    return model_of(graph(nodes, inputs, outputs, constants))


def check(model: onnx.ModelProto, *runs: tuple[Array, ...], free: int = 0) -> Any:
    """Compares an import with onnxruntime, exports it with the first run as the example, and compares that, too.

    Args:
        model: the file.
        runs: inputs, at several sizes.
        free: how many axes of the inputs the export must leave free.
    """
    imported = lucid.from_onnx(model)
    for run in runs:
        compare(imported, model, *run)
    again = lucid.export.to_onnx(imported, *as_tensors(runs[0])).proto
    named = {d.dim_param for x in again.graph.input for d in x.type.tensor_type.shape.dim if d.dim_param}
    assert len(named) >= free
    for run in runs:
        for found, want in zip(ort(again, *run), ort(model, *run), strict=True):
            np.testing.assert_allclose(found, want, 1e-5, 1e-5)
    return imported


def loop_body(nodes: list[onnx.NodeProto], states: list[str], outputs: list[str], constants: Any = None) -> Any:
    """A body with the number of the trip `i`, the condition `go`, and states."""
    inputs = [port("i", (), "int64"), port("go", (), "bool"), *(port(name, None) for name in states)]
    return graph(nodes, inputs, [port("going", (), "bool"), *(port(name, None) for name in outputs)], constants)
