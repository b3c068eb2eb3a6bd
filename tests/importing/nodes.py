"""ONNX's own tests of its operators, which the onnx package ships: models of one node with inputs and outputs."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import sys
import warnings
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case import node as suite

from lucid.importing.registry import IMPORTS
from lucid.importing.values import DTYPES

__all__ = ["BY_ONNXRUNTIME", "MODULES", "REFUSED", "array_of", "cases_of", "operator_of", "reason"]

MODULES = sorted(found.name for found in pkgutil.iter_modules(suite.__path__) if not found.name.startswith("_"))
"""The files of the tests: about one an operator."""

REFUSED = {
    r"^test_training_dropout": "training mode, which is random",
    r"^test_batchnorm_.*training_mode": "training mode",
    r"^test_scatter(nd|_elements).*_(max|min)": "reductions max and min",
    r"^test_resize_tf_crop_and_resize": "cropping",
    r"^test_resize_.*antialias": "antialiasing",
    r"^test_loop11": "a loop in which the size of a tensor depends on the trip",
    r"^test_scan_sum": "graphs within nodes before operator set 9",
}
"""The forms of imported operators that are refused, by the names of their tests, each with what lucid lacks."""

BY_ONNXRUNTIME = (r"^test_resize_downsample_scales_(linear|cubic)_align_corners",)
"""Tests whose outputs are not onnxruntime's: they align the corner of a length with a fraction."""


_REPLACED = ("Upsample",)
"""Operators of old operator sets, of which the conversion to a newer one makes others."""


@functools.cache
def cases_of(module: str) -> list[Any]:
    """Returns the tests of a file, which its import makes; another test may have imported it before."""
    before, name = len(suite._NodeTestCases), f"{suite.__name__}.{module}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in sys.modules:
            suite._existing_names.clear()  # it refuses a test of the same name
            importlib.reload(sys.modules[name])
        else:
            importlib.import_module(name)
    return suite._NodeTestCases[before:]


def reason(case: Any) -> str:
    """Returns why lucid refuses the model of a test; "" if it imports it."""
    graph = case.model.graph
    for value in (*graph.input, *graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return kind.removesuffix("_type") + "s"
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        if dtype.name not in DTYPES:
            return "texts" if dtype.kind == "O" else re.sub(r"(float[48]).*", r"\1", dtype.name)
    unknown = sorted(_operators(graph) - {*IMPORTS, *_REPLACED})
    if unknown:
        return "no " + ", ".join(unknown)
    return next((text for pattern, text in REFUSED.items() if re.search(pattern, case.name)), "")


def _operators(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type)
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                found |= _operators(attribute.g)
    return found


def operator_of(case: Any) -> str:
    """Returns the operator that a test is about; "" for one whose function is written out as other operators."""
    nodes = case.model.graph.node
    return "" if "_expanded" in case.name or nodes[-1].domain not in ("", "ai.onnx") else nodes[-1].op_type


def array_of(value: Any) -> Any:
    """Returns an input or output of a test as an array."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
