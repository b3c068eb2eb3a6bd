"""Trains a model on a device that has onnxruntime and NumPy, and nothing else: this file knows no model.

    python drive.py vowels.train.onnx batch0.npz batch1.npz … [--epochs 10] [--state vowels.state.npz]

Each .npz file holds the tensors of one batch, by the names of inputs. An output `next.X` feeds the input `X`; the first
values are those of `vowels.init.onnx`. With --state the run goes on where that file is, and writes it after each epoch.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnxruntime

State = dict[str, Any]


def start(path: str) -> State:
    """Returns the state at the start."""
    init = onnxruntime.InferenceSession(path.replace(".train.onnx", ".init.onnx"))
    return dict(zip([output.name for output in init.get_outputs()], init.run(None, {}), strict=True))


def train(session: Any, state: State, batches: Iterable[Mapping[str, Any]]) -> tuple[State, list[float]]:
    """Takes one step for each batch; returns the last state, and the losses."""
    names, losses = [output.name for output in session.get_outputs()], []
    for batch in batches:
        results = dict(zip(names, session.run(names, {**state, **batch}), strict=True))
        state = {name: results["next." + name] for name in state}
        losses.append(float(results["loss"]))
    return state, losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("step")
    parser.add_argument("batches", nargs="+")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--state")
    given = parser.parse_args()
    session = onnxruntime.InferenceSession(given.step)
    state: State = dict(np.load(given.state)) if given.state and os.path.exists(given.state) else start(given.step)
    batches = [dict(np.load(path)) for path in given.batches]
    for epoch in range(given.epochs):
        begun = time.perf_counter()
        state, losses = train(session, state, batches)
        took = 1e3 * (time.perf_counter() - begun) / len(losses)
        print(f"epoch {epoch}  loss {np.mean(losses):.6f}  {took:.2f} ms a step", flush=True)
        if given.state:
            np.savez(given.state, **state)


if __name__ == "__main__":
    main()
