"""PyTorch's exporters of recurrent layers, each called as the documentation of `torch.onnx.export` says."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.export import Dim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..job import Job
from ..layer import PAIRS, H, I, Layer

__all__ = ["export", "export_older"]


class Packed(torch.nn.Module):  # type: ignore[misc] # PyTorch's types are not followed
    """A recurrent layer over sequences of different length."""

    def __init__(self, rnn: Any) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Any, lengths: Any) -> Any:
        output, state = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(output)[0], state


def export(layer: Layer, dims: str) -> Job:
    """Exports with the default exporter.

    Args:
        layer: the layer.
        dims: "named", for one `Dim` a name; "AUTO" or "DYNAMIC" for the mark of that name on each axis.
    """
    named = {"time": Dim("time"), "batch": Dim("batch")}
    shapes = {
        name: {axis: named[text] if dims == "named" else getattr(Dim, dims) for axis, text in axes.items()}
        for name, axes in layer.axes.items()
    }

    def write(model: Any, arguments: tuple[Any, ...]) -> bytes:
        program = torch.onnx.export(
            model,
            arguments,
            dynamo=True,
            verbose=False,
            input_names=list(shapes),
            dynamic_shapes=layer.arguments(shapes),
        )
        assert program is not None
        data: bytes = program.model_proto.SerializeToString()
        return data

    return _job(layer, write)


def export_older(layer: Layer) -> Job:
    """Exports with the older exporter, which traces."""
    states = 2 if layer.kind == "LSTM" else 1
    outputs = ["output", "h_n", "c_n"][: 1 + states]
    axes = layer.axes | {"output": layer.axes["x"]} | {name: {1: "batch"} for name in outputs[1:]}

    def write(model: Any, arguments: tuple[Any, ...]) -> bytes:
        file = io.BytesIO()
        torch.onnx.export(
            model,
            arguments,
            file,
            dynamo=False,
            input_names=list(layer.axes),
            output_names=outputs,
            dynamic_axes=axes,
        )
        return file.getvalue()

    return _job(layer, write)


def _job(layer: Layer, write: Callable[[Any, tuple[Any, ...]], bytes]) -> Job:
    torch.manual_seed(0)
    model = getattr(torch.nn, layer.kind)(I, H, **layer.options)
    model = (Packed(model) if layer.form == "packed lengths" else model).eval()
    file, seconds = b"", 0.0

    def given(steps: int, batch: int) -> tuple[Any, ...]:
        return layer.arguments({name: torch.from_numpy(a) for name, a in layer.inputs(steps, batch).items()})

    def run() -> None:
        nonlocal file, seconds
        logging.disable(logging.WARNING)
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = write(model, given(layer.time, layer.batch))
        seconds = time.process_time() - start

    def results() -> dict[str, Any]:
        found = {"file": np.frombuffer(file, np.uint8), "seconds": np.array(seconds)}
        for pair in PAIRS:
            with torch.no_grad():
                output, state = model(*given(*pair))
            tensors = (output, *state) if isinstance(state, tuple) else (output, state)
            found |= {f"{pair} {i}": tensor.numpy() for i, tensor in enumerate(tensors)}
        return found

    return Job(run, results)
