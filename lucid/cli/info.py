"""The command `lucid info`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
import onnx

from ..export.file.digest import messages
from ..export.file.read import read
from ..tables import counted, size_of, text_table
from . import arguments
from .text import clean

__all__ = ["info"]


@click.command(short_help="Show inputs, outputs, operators, weights, metadata.")
@arguments.model
@arguments.as_json
def info(model: str, as_json: bool) -> None:
    """Show the inputs, outputs, operators, weights and metadata of MODEL.

    The model is read, not run.
    """
    found = _facts(model)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


def _facts(path: str) -> dict[str, Any]:
    proto = read(path)
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [_value(value) for value in graph.input if value.name not in weights]
    tensors = [m for m in messages(proto) if isinstance(m, onnx.TensorProto)]
    beside = {e.value for t in tensors for e in t.external_data if e.key == "location"}
    nodes = [m for m in messages(proto) if isinstance(m, onnx.NodeProto)]
    kinds: Counter[str] = Counter()
    for tensor in tensors:
        kinds[_dtype(tensor.data_type)] += _count(tensor)
    folder = os.path.dirname(os.path.abspath(path))
    return {
        "path": path,
        "bytes": os.path.getsize(path),
        "beside": {name: os.path.getsize(os.path.join(folder, name)) for name in sorted(beside)},
        "ir_version": proto.ir_version,
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        "producer": f"{proto.producer_name} {proto.producer_version}".strip(),
        "inputs": inputs,
        "outputs": [_value(value) for value in graph.output],
        "axes": _axes(inputs),
        "operators": dict(Counter(_operator(node) for node in nodes).most_common()),
        "weights": {"tensors": len(tensors), "elements": dict(kinds)},
        "metadata": {entry.key: entry.value for entry in proto.metadata_props},
    }


def _value(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return {"name": value.name, "dtype": (kind or "unknown").removesuffix("_type"), "shape": None}
    tensor = value.type.tensor_type
    shape: list[int | str] | None = None
    if tensor.HasField("shape"):
        shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    return {"name": value.name, "dtype": _dtype(tensor.elem_type), "shape": shape, "doc": value.doc_string}


def _dtype(number: int) -> str:
    name = onnx.TensorProto.DataType.Name(number) if number in onnx.TensorProto.DataType.values() else "unknown"
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())


def _count(tensor: onnx.TensorProto) -> int:
    count = 1
    for n in tensor.dims:
        count *= n
    return count


def _axes(inputs: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Returns the positions of each free axis."""
    axes: dict[str, list[str]] = {}
    for value in inputs:
        for axis, n in enumerate(value["shape"] or ()):
            if isinstance(n, str):
                axes.setdefault(n, []).append(f"axis {axis} of {value['name']}")
    return axes


def _operator(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def _text(found: dict[str, Any]) -> str:
    elements = found["weights"]["elements"]
    rows = [
        ("size", ", ".join([size_of(found["bytes"]), *(f"{size_of(n)} in {k}" for k, n in found["beside"].items())])),
        ("producer", found["producer"] or "unknown"),
        ("operators of", ", ".join(f"{domain} {version}" for domain, version in found["opsets"].items())),
        *(("input", _described(value)) for value in found["inputs"]),
        *(("output", _described(value)) for value in found["outputs"]),
        *((f"free axis {symbol}", ", ".join(places)) for symbol, places in found["axes"].items()),
        ("nodes", ", ".join(f"{n} {op}" if n > 1 else op for op, n in found["operators"].items()) or "none"),
        (
            "constants",
            counted(found["weights"]["tensors"], "tensor")
            + "".join(f", {counted(n, 'element')} of {dtype}" for dtype, n in elements.items()),
        ),
        *((key, text if len(text) <= 100 else f"{text[:97]}...") for key, text in found["metadata"].items()),
    ]
    return f"{clean(found['path'])}\n{text_table([('', clean(name), clean(text)) for name, text in rows])}"


def _described(value: dict[str, Any]) -> str:
    shape = value["shape"]
    doc = value.get("doc", "").partition(". Axes:")[0]  # the shape says the rest
    dims = "" if shape is None else f"[{', '.join(map(str, shape))}]"
    return f"{value['name']}: {value['dtype']}{dims}{doc and f'  {doc}'}"
