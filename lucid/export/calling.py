"""Calling: recognizes the arguments of torch.onnx.export, and says what to write for them in to_onnx."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["explained"]

F = TypeVar("F", bound=Callable[..., Any])

_HERE = {
    "args": "the inputs follow the model: to_onnx(model, x, y)",
    "f": "the file is path=: to_onnx(model, x, path='model.onnx')",
    "kwargs": "the inputs follow the model: to_onnx(model, x, y)",
    "dynamic_axes": "all axes that can vary are free; dynamic={'x': {0: 'batch'}} asks for some and names them",
    "dynamic_shapes": "all axes that can vary are free; dynamic={'x': {0: 'batch'}} asks for some and names them",
    "opset_version": "it is opset=",
    "export_params": "the weights are always in the file; trainable=True makes inputs of them",
    "training": "the model runs in evaluation mode; trainable=True keeps its modes",
    "do_constant_folding": "there is no such option; leave it out",
    "verbose": "the result has a report, operators and axes; print(exported)",
    "dynamo": "there is one exporter; leave it out",
    "keep_initializers_as_inputs": "trainable=True makes inputs of the weights",
    "external_data_format": "it is external_data=",
}


def explained(function: F) -> F:
    """Has `to_onnx` say what to write in place of an argument of torch.onnx.export."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, hint in _HERE.items():
            if name in kwargs:
                raise TypeError(f"to_onnx: there is no {name!r}, as torch.onnx.export has it: {hint}")
        if any(isinstance(x, os.PathLike) or (isinstance(x, str) and x.endswith(".onnx")) for x in args[1:]):
            raise TypeError(
                "to_onnx: a path is given by name, and inputs one by one, not in a tuple: to_onnx(model, x, y, "
                "path='model.onnx')"
            )
        return function(*args, **kwargs)

    return cast("F", call)
