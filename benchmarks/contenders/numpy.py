"""Yardsticks in NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..case import Case
from ..job import Job
from ..operation import ARRAY, Operation, repeated

__all__ = ["operation", "products", "training_products"]


def products(case: Case) -> Job:
    """The matrix products of a layer's forward pass and nothing else: one for all inputs, then one a time step."""
    weights, x = case.weights(), case.input()
    rows = case.time * case.batch
    layers = []
    for k in range(case.layers):
        w, r = weights[f"weight_ih_l{k}"].T, np.ascontiguousarray(weights[f"weight_hh_l{k}"].T)
        given = x.reshape(rows, -1) if k == 0 else case.gradient().reshape(rows, -1)
        layers.append((given, w, np.empty((rows, w.shape[1]), np.float32), r))
    h = case.gradient()[0]
    state = np.empty((case.batch, case.gates * case.hidden), np.float32)

    def run() -> None:
        for given, w, projected, r in layers:
            np.matmul(given, w, out=projected)
            for _ in range(case.time):
                np.matmul(h, r, out=state)

    return Job(run, dict)


def training_products(case: Case) -> Job:
    """The matrix products of a training step of one layer: those of the forward pass, then one a time step for the
    gradients of the states, and one each for those of the weights.
    """
    forward = products(case).run
    recurrent = case.weights()["weight_hh_l0"]
    rows = case.time * case.batch
    x, states = case.input().reshape(rows, -1), case.gradient().reshape(rows, -1)
    dz = np.concatenate([states] * case.gates, axis=1)
    step, state = dz[: case.batch], np.empty((case.batch, case.hidden), np.float32)

    def run() -> None:
        forward()
        for _ in range(case.time):
            np.matmul(step, recurrent, out=state)
        dz.T @ x
        dz.T @ states

    return Job(run, dict)


def operation(case: Operation) -> Job:
    """An operation on small arrays."""
    functions: dict[str, Callable[..., Any]] = {"add": np.add, "mul": np.multiply, "tanh": np.tanh, "matmul": np.matmul}
    return repeated(case, functions[case.name], [ARRAY.copy() for _ in range(case.inputs)], np.asarray)
