"""lucid's own jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime

import lucid
from lucid import nn
from lucid.export import to_onnx, training_step

from ..case import RATE, Case
from ..job import Job
from ..operation import ARRAY, Operation, repeated

__all__ = [
    "compiled",
    "export",
    "infer",
    "lowered",
    "operation",
    "session",
    "stream",
    "streamable",
    "train",
    "train_compiled",
    "train_file",
    "train_step",
]


def layer(case: Case) -> nn.Module:
    """Returns the layer, with the weights of the case."""
    kind: Any = case.kind
    sizes = (case.features, case.hidden, case.layers)
    if kind in ("tanh", "relu"):
        model: nn.Module = nn.RNN(*sizes, nonlinearity=kind)
    else:
        model = getattr(nn, case.kind.upper())(*sizes)
    model.load_state_dict({name: lucid.tensor(w) for name, w in case.weights().items()})
    return model


def train(case: Case) -> Job:
    """Runs forward, backward and one step of Adam."""
    model = layer(case)

    def backward(x: lucid.Tensor, gradient: lucid.Tensor) -> lucid.Tensor:
        output, _ = model(x)
        output.backward(gradient)
        return output

    return _training(case, model, backward)


def train_compiled(case: Case) -> Job:
    """Runs the same, with forward and backward as one graph in onnxruntime."""
    model = layer(case)
    compiled = lucid.compile_backward(model)
    compiled.tune(lucid.tensor(case.input()), gradient=lucid.tensor(case.gradient()))

    def backward(x: lucid.Tensor, gradient: lucid.Tensor) -> lucid.Tensor:
        output, _ = compiled(x, gradient=gradient)
        return output

    return _training(case, model, backward)


def _training(case: Case, model: nn.Module, backward: Callable[[lucid.Tensor, lucid.Tensor], lucid.Tensor]) -> Job:
    x, g = lucid.tensor(case.input()), lucid.tensor(case.gradient())
    optimizer = lucid.optim.Adam(model.parameters(), lr=RATE)

    def run() -> lucid.Tensor:
        optimizer.zero_grad()
        output = backward(x, g)
        optimizer.step()
        return output

    def results() -> dict[str, Any]:
        found = {"output": run().detach().numpy().copy()}
        for (name, parameter), before in zip(model.named_parameters(), case.weights().values(), strict=True):
            assert parameter.grad is not None
            found[f"gradient of {name}"] = parameter.grad.numpy().copy()
            found[f"step of {name}"] = (before - parameter.detach().numpy()) / RATE
        return found

    return Job(run, results)


def weighted(model: nn.Module, x: lucid.Tensor, g: lucid.Tensor) -> tuple[lucid.Tensor, dict[str, lucid.Tensor]]:
    """Returns a loss of which the output has the gradient g, and the output."""
    output, _ = model(x)
    return (output * g).sum(), {"output": output}


def train_step(case: Case) -> Job:
    """Runs the same by a compiled step, whose loss is `weighted`."""
    model = layer(case)
    x, g = lucid.tensor(case.input()), lucid.tensor(case.gradient())
    optimizer = lucid.optim.Adam(model.parameters(), lr=RATE)
    step = lucid.compile(model, loss=weighted, optimizer=optimizer).tune(x, g)

    def results() -> dict[str, Any]:
        output = step(x, g)[1]["output"].numpy()
        return {
            "output": output,
            **_first_step(
                case,
                {name: p.detach().numpy() for name, p in model.named_parameters()},
                {name: optimizer.state[p]["exp_avg"].numpy() for name, p in model.named_parameters()},
            ),
        }

    return Job(lambda: step(x, g), results)


def train_file(case: Case) -> Job:
    """Runs the same by the file of a step, in onnxruntime alone, with the loop of a driver."""
    model = layer(case)
    batch = {"x": case.input(), "g": case.gradient()}
    tensors = [lucid.tensor(array) for array in batch.values()]
    optimizer = lucid.optim.Adam(model.parameters(), lr=RATE)
    step = training_step(model, weighted, optimizer, *tensors, verify=False)
    session = onnxruntime.InferenceSession(step.exported.serialize(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    state: dict[str, Any] = step.start

    def run() -> Any:
        nonlocal state
        found = dict(zip(names, session.run(names, {**state, **batch}), strict=True))
        state = {name: found[f"next.{name}"] for name in state}
        return found["output"]

    def results() -> dict[str, Any]:
        output = run()
        averages = {name: state[f"exp_avg.{name}"] for name in case.weights()}
        return {"output": output, **_first_step(case, state, averages)}

    return Job(run, results)


def _first_step(case: Case, weights: Mapping[str, Any], averages: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the first step of each weight, and the gradient that Adam's average tells: it is a tenth of it."""
    found = {}
    for name, before in case.weights().items():
        found[f"gradient of {name}"] = 10 * averages[name]
        found[f"step of {name}"] = (before - weights[name]) / RATE
    return found


def infer(case: Case) -> Job:
    """Runs the forward pass eagerly, without gradients."""
    model, x = layer(case), lucid.tensor(case.input())

    def run() -> Any:
        with lucid.no_grad():
            return model(x)[0]

    return Job(run, lambda: {"output": run().numpy()})


def session(case: Case, lowering: Any = "auto", state: bool = False) -> Any:
    """Returns the exported layer in onnxruntime; with its states as inputs if `state`."""
    example: tuple[Any, ...] = (lucid.tensor(case.input()),)
    if state:
        h = lucid.zeros(case.layers, case.batch, case.hidden)
        example += ((h, h * 1.0),) if case.kind == "lstm" else (h,)
    return lucid.runtime.Session(to_onnx(layer(case), *example, lowering=lowering, verify=False))


def streamable(case: Case) -> str:
    """Returns the lowering with a dynamic time axis, which takes pieces of any length; "auto" unrolls relu."""
    return "scan" if case.kind == "relu" else "auto"


def lowered(case: Case, lowering: str) -> Job:
    """Runs the exported layer in onnxruntime, by one of the lowerings."""
    run, x = session(case, lowering), case.input()
    return Job(lambda: run(x), lambda: {"output": np.asarray(run(x)["output"])})


def compiled(case: Case) -> Job:
    """Runs the layer with `lucid.compile`; results record no gradients, so `no_grad` is not needed."""
    x = lucid.tensor(case.input())
    model = lucid.compile(layer(case).eval()).tune(x)
    return Job(lambda: model(x)[0], lambda: {"output": np.asarray(model(x)[0].numpy())})


def export(case: Case) -> Job:
    """Exports to bytes, and verifies."""
    model, x = layer(case), lucid.tensor(case.input())
    return Job(lambda: to_onnx(model, x).serialize(), dict)


def stream(case: Case) -> Job:
    """Runs one time step after another in onnxruntime, with the state passed by the library."""
    step, x = session(case, streamable(case), state=True).stream(batch=case.batch), case.input()
    first = x[:1]

    def results() -> dict[str, Any]:
        return {"output": np.concatenate([np.asarray(step(row[None])["output"]) for row in x])}

    return Job(lambda: step(first), results)


def operation(case: Operation, recorded: bool) -> Job:
    """Runs an operation on small tensors, recorded for gradients or not."""
    inputs = [lucid.tensor(ARRAY, requires_grad=recorded) for _ in range(case.inputs)]
    job = repeated(case, getattr(lucid, case.name), inputs, lambda t: t.detach().numpy())

    def run() -> None:
        with contextlib.nullcontext() if recorded else lucid.no_grad():
            job.run()

    return Job(run, job.results)
