"""The supported versions of the ONNX operator set."""

from __future__ import annotations

import functools

import onnx

__all__ = ["DEFAULT_OPSET", "OLDEST_OPSET", "check_opset", "newest_opset"]

OLDEST_OPSET = 13
"""The first version with axes as inputs of Squeeze and Unsqueeze."""

DEFAULT_OPSET = 18
"""Old enough for runtimes on phones and in browsers; newer versions bring recurrent models no benefit."""


@functools.cache
def newest_opset() -> int:
    """Returns the newest version that the installed onnx and onnxruntime both support."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    for version in range(onnx.defs.onnx_opset_version(), OLDEST_OPSET, -1):
        model = _identity(version)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime raises its own exception types
            continue
        return version
    return OLDEST_OPSET


def check_opset(opset: int) -> None:
    """Checks that a version is supported.

    Raises:
        ValueError: it is older than 13, or newer than the installed onnx and onnxruntime support.
    """
    if not isinstance(opset, int) or isinstance(opset, bool):
        raise TypeError(f"to_onnx: opset must be an int; got {type(opset).__name__}")
    # The newest version is determined only if the result depends on it: that creates a session or two.
    if opset < OLDEST_OPSET or (opset > DEFAULT_OPSET and opset > newest_opset()):
        raise ValueError(
            f"to_onnx: opset must be from {OLDEST_OPSET} to {newest_opset()}, the newest that the installed onnx "
            f"{onnx.__version__} and onnxruntime know; got {opset}"
        )


def _identity(version: int) -> onnx.ModelProto:
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "identity", info[:1], info[1:])
    imports = [onnx.helper.make_opsetid("", version)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=onnx.helper.find_min_ir_version_for(imports))
