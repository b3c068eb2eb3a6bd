"""lucid's jobs on a device."""

from __future__ import annotations

from typing import Any

import numpy as np

import lucid
from lucid.export import to_onnx

from ..case import RATE
from ..job import Job
from ..placed import Placed
from .lucid import layer, weighted

__all__ = ["run"]


def run(placed: Placed, device: str = "") -> Job:
    """Runs a case on its device, or on another one."""
    jobs = {"session": _session, "compile": _compile, "step": _step, "stream": _stream}
    return jobs[placed.mode](placed, device or placed.device)


def _lowering(placed: Placed) -> Any:
    """Returns the lowering that runs on the device as a whole: CUDA has recurrent operators, WebGPU has none."""
    return "auto" if placed.device == "cuda" else "unrolled"


def _session(placed: Placed, device: str) -> Job:
    x = placed.case.input()
    exported = to_onnx(layer(placed.case), lucid.tensor(x), lowering=_lowering(placed), verify=False)
    session = lucid.runtime.Session(exported, device)
    return Job(lambda: session(x), lambda: {"output": np.asarray(session(x)["output"])})


def _compile(placed: Placed, device: str) -> Job:
    x = lucid.tensor(placed.case.input())
    model = lucid.compile(layer(placed.case).eval(), device).tune(x)
    return Job(lambda: model(x)[0], lambda: {"output": np.asarray(model(x)[0].numpy())})


def _step(placed: Placed, device: str) -> Job:
    case = placed.case
    model = layer(case)
    x, g = lucid.tensor(case.input()), lucid.tensor(case.gradient())
    optimizer = lucid.optim.Adam(model.parameters(), lr=RATE)
    step = lucid.compile(model, device, loss=weighted, optimizer=optimizer).tune(x, g)
    return Job(lambda: step(x, g), lambda: {"output": step(x, g)[1]["output"].numpy()})


def _stream(placed: Placed, device: str) -> Job:
    case = placed.case
    h = lucid.zeros(case.layers, case.batch, case.hidden)
    state = ((h, h * 1.0),) if case.kind == "lstm" else (h,)
    x = case.input()
    # Unrolled, the piece is of one step.
    lowering = _lowering(placed)
    example = x[:1] if lowering == "unrolled" else x
    exported = to_onnx(layer(case), lucid.tensor(example), *state, lowering=lowering)
    stream = lucid.runtime.Session(exported, device).stream(batch=case.batch)

    def results() -> dict[str, Any]:
        return {"output": np.concatenate([np.asarray(stream(row[None])["output"]) for row in x])}

    return Job(lambda: stream(x[:1]), results)
