"""from_onnx: a module from an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner

from ..errors import FileError, LucidError, ModelImportError
from ..export.file.claims import check_digests
from ..export.file.read import folder_of, parse, read
from ..export.file.tensors import Contents
from ..export.file.wiring import check_wiring
from .module import OnnxModule, Port
from .reading import read_graph
from .values import DTYPES

__all__ = ["OLDEST", "from_onnx"]

OLDEST = 13
"""The oldest operator set that is read as it is; older models are converted to it."""


def from_onnx(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    verify: bool = True,
) -> OnnxModule:
    """Returns a module that computes what an ONNX file says, and that can be trained and exported again.

    The weights of products, convolutions, recurrent layers, embeddings and normalizations become parameters, in the
    layout and with the names that lucid's layers have: ``weight_ih_l0`` with gates in PyTorch's order, a linear layer's
    ``weight`` as (out, in). A weight that several nodes read is one parameter. Other constants of several floats become
    buffers. The module computes with lucid's ops, so it has gradients, and `lucid.export.to_onnx` proves its axes anew.

    Args:
        model: a path, the bytes of a file, or a protobuf.
        dynamic: axes to free that the file fixes, by input, each with a name, such as ``{"x": {1: "batch"}}``; the
            module then takes any size there. Shapes and initial states made of the old size follow the new one.
        verify: whether to check the digests of a file that lucid wrote.

    Raises:
        FileError: the file cannot be read, is no ONNX model, is damaged, or refers to files that are not its own.
        VerificationError: lucid wrote it, and it was altered since.
        ModelImportError: lucid has no op for some of its operators, which the message lists, each with a node, or
            cannot compute a node as it is written, or a constant may stand for the size of an axis in `dynamic`.
        ValueError: `dynamic` names an input or an axis that the file does not have.

    Source: https://onnx.ai/onnx/operators/.

    Example:
        >>> exported = lucid.export.to_onnx(nn.GRU(3, 4), lucid.ones(5, 2, 3))
        >>> model = lucid.from_onnx(exported.proto)
        >>> sorted(model.state_dict())
        ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
        >>> model(lucid.ones(5, 2, 3))[0].shape
        (5, 2, 4)
    """
    proto, name = _loaded(model, verify)
    try:
        proto = _at_least(OLDEST, _expanded(proto))
        opset = _opset(proto)
        reading = read_graph(proto, reserved=[*dir(OnnxModule), *_ATTRIBUTES])
        held = {tensor.name for tensor in proto.graph.initializer}
        inputs = [_port(value) for value in proto.graph.input if value.name not in held]
        module = OnnxModule(reading, inputs, [_port(value) for value in proto.graph.output], opset)
    except (LucidError, MemoryError):
        raise
    except Exception as error:  # invalid models fail in many ways
        raise FileError(f"{name} is damaged: {type(error).__name__}: {error}") from error
    if dynamic:
        module.free({(name, axis): label for name, axes in dynamic.items() for axis, label in axes.items()})
    return module


_ATTRIBUTES = ("input_names", "inputs", "operators", "opset", "output_names", "outputs")


def _loaded(model: Any, verify: bool) -> tuple[onnx.ModelProto, str]:
    """Returns a checked model with all its data, and its name in messages."""
    folder = None
    if isinstance(model, onnx.ModelProto):
        name = "the model"
        proto = parse(model.SerializeToString(), name)
    elif isinstance(model, (bytes, bytearray, memoryview)):
        name = "the model"
        proto = parse(bytes(model), name)
    elif isinstance(model, (str, os.PathLike)):
        name, folder = os.fspath(model), folder_of(model)
        proto = read(model)
    else:
        raise TypeError(
            f"from_onnx: expected a path, bytes or a ModelProto; got {type(model).__name__}"
            + ("; for a module of PyTorch's there is lucid.from_torch" if hasattr(model, "state_dict") else "")
        )
    try:
        check_wiring(proto)
        if verify:
            check_digests(proto, Contents(folder or Path()), name, "from_onnx(..., verify=False) reads")
        if folder is not None:
            onnx.external_data_helper.load_external_data_for_model(proto, os.fspath(folder))
        _check(proto)
    except LucidError as error:
        raise type(error)(f"{name} is damaged: {error}") if isinstance(error, FileError) else error from error
    except Exception as error:  # the checker and protobuf raise many types
        raise FileError(f"{name} is damaged: {error}") from error
    return proto, name


def _check(proto: onnx.ModelProto) -> None:
    """Lets onnx check a model; a value may have no shape, as onnxruntime allows."""
    values = [*proto.graph.input, *proto.graph.output]
    bare = [value.type.tensor_type for value in values if value.type.HasField("tensor_type")]
    bare = [kind for kind in bare if not kind.HasField("shape")]
    for kind in bare:
        kind.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    finally:
        for kind in bare:
            kind.ClearField("shape")


def _expanded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model without functions of its own."""
    return onnx.inliner.inline_local_functions(proto) if proto.functions else proto


def _opset(proto: onnx.ModelProto) -> int:
    return max([entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")], default=0)


def _at_least(oldest: int, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Converts a model of an older operator set."""
    opset = _opset(proto)
    if not opset or opset >= oldest:
        return proto
    if opset < 9 and any(node.op_type in ("Scan", "Loop", "If") for node in proto.graph.node):
        raise ModelImportError(
            f"from_onnx: the model has operator set {opset}, in which Scan has other axes; lucid reads graphs "
            "within nodes from operator set 9 on"
        )
    try:
        return onnx.version_converter.convert_version(proto, oldest)
    except Exception as error:
        raise ModelImportError(
            f"from_onnx: the model has operator set {opset}; lucid reads {oldest} and later, "
            "and onnx cannot convert it: " + str(error)
        ) from error


def _port(value: onnx.ValueInfoProto) -> Port:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ModelImportError(f"from_onnx: {value.name!r} is no tensor, but a {value.type.WhichOneof('value')}")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if dtype.name not in DTYPES:
        name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise ModelImportError(f"from_onnx: {value.name!r} is a tensor of {name}, which lucid does not have")
    shape = None
    if kind.HasField("shape"):
        shape = tuple(
            [axis.dim_value if axis.HasField("dim_value") else axis.dim_param or None for axis in kind.shape.dim]
        )
    return Port(value.name, shape, dtype)
