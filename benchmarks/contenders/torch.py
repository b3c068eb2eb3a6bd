"""PyTorch's jobs, each in the form that its documentation recommends."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

import numpy as np
import torch

from ..case import RATE, Case
from ..job import Job
from ..operation import ARRAY, Operation, repeated

__all__ = ["export", "exported", "infer", "operation", "stream", "train"]


def layer(case: Case) -> Any:
    """Returns the layer, with the weights of the case."""
    sizes = (case.features, case.hidden, case.layers)
    if case.kind in ("tanh", "relu"):
        model = torch.nn.RNN(*sizes, nonlinearity=case.kind)
    else:
        model = getattr(torch.nn, case.kind.upper())(*sizes)
    model.load_state_dict({name: torch.from_numpy(w) for name, w in case.weights().items()})
    return model


def train(case: Case, fused: bool = True) -> Job:
    """Runs forward, backward and one step of Adam, with all parameters in one kernel if `fused`."""
    model = layer(case)
    x, g = torch.from_numpy(case.input()), torch.from_numpy(case.gradient())
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=fused)

    def run() -> Any:
        optimizer.zero_grad()
        output, _ = model(x)
        output.backward(g)
        optimizer.step()
        return output

    def results() -> dict[str, Any]:
        found = {"output": run().detach().numpy().copy()}
        for (name, parameter), before in zip(model.named_parameters(), case.weights().values(), strict=True):
            found[f"gradient of {name}"] = parameter.grad.numpy().copy()
            found[f"step of {name}"] = (before - parameter.detach().numpy()) / RATE
        return found

    return Job(run, results)


def infer(case: Case) -> Job:
    """Runs the forward pass eagerly, without gradients."""
    model, x = layer(case).eval(), torch.from_numpy(case.input())

    def run() -> Any:
        with torch.inference_mode():
            return model(x)[0]

    return Job(run, lambda: {"output": run().numpy()})


def exported(case: Case) -> Job:
    """Runs PyTorch's own export in onnxruntime."""
    import onnxruntime

    model = onnxruntime.InferenceSession(onnx_bytes(case, dynamo=False), providers=["CPUExecutionProvider"])
    feed = {model.get_inputs()[0].name: case.input()}
    return Job(lambda: model.run(None, feed), lambda: {"output": model.run(None, feed)[0]})


def onnx_bytes(case: Case, dynamo: bool) -> bytes:
    """The layer as PyTorch exports it, the sizes of time and batch left free where that takes one argument."""
    return _export(layer(case).eval(), torch.from_numpy(case.input()), dynamo)


def _export(model: Any, x: Any, dynamo: bool) -> bytes:
    logging.disable(logging.WARNING)
    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), file, dynamo=dynamo)
    return file.getvalue()


def export(case: Case, dynamo: bool) -> Job:
    """Exports to bytes; PyTorch verifies only if told to, which is not done here."""
    model, x = layer(case).eval(), torch.from_numpy(case.input())
    return Job(lambda: _export(model, x, dynamo), dict)


def stream(case: Case) -> Job:
    """Runs one time step after another, eagerly, with the state passed by hand."""
    model, x = layer(case).eval(), torch.from_numpy(case.input())
    state: Any = None

    def step(row: Any) -> Any:
        nonlocal state
        with torch.inference_mode():
            output, state = model(row, state)
        return output

    first = x[:1]
    return Job(lambda: step(first), lambda: {"output": np.concatenate([step(row[None]).numpy() for row in x])})


def operation(case: Operation, recorded: bool) -> Job:
    """Runs an operation on small tensors, recorded for gradients or not."""
    inputs = [torch.from_numpy(ARRAY.copy()).requires_grad_(recorded) for _ in range(case.inputs)]
    job = repeated(case, getattr(torch, case.name), inputs, lambda t: t.detach().numpy())

    def run() -> None:
        with contextlib.nullcontext() if recorded else torch.no_grad():
            job.run()

    return Job(run, job.results)
