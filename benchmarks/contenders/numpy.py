"""Yardsticks in pure NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..case import Case
from ..job import Job
from ..operation import ARRAY, Operation, repeated

__all__ = ["inference_floor", "operation", "products", "training_floor", "training_products"]


def products(case: Case) -> Job:
    """Computes only the matrix products of a layer's forward pass: one for all inputs, then one per time step."""
    weights, x = case.weights(), case.input()
    rows = case.time * case.batch
    layers = []
    for k in range(case.layers):
        w, r = weights[f"weight_ih_l{k}"].T, np.ascontiguousarray(weights[f"weight_hh_l{k}"].T)
        given = x.reshape(rows, -1) if k == 0 else case.gradient().reshape(rows, -1)
        layers.append((given, w, np.empty((rows, w.shape[1]), np.float32), r))
    h = case.gradient()[0]
    state = np.empty((case.batch, case.gates * case.hidden), np.float32)
    multiply = step_product(case)

    def run() -> None:
        for given, w, projected, r in layers:
            np.matmul(given, w, out=projected)
            for _ in range(case.time):
                multiply(h, r, out=state)

    return Job(run, dict)


def step_product(case: Case) -> Callable[..., Any]:
    """Returns the fastest matrix product for one time step: for a single row, a call of `dot` takes less."""
    return np.dot if case.batch == 1 else np.matmul


def training_products(case: Case) -> Job:
    """Computes only the matrix products of a training step.

    They are those of the forward pass, then one per time step for the gradients of the states, and one each for the
    gradients of the weights and of the layer's input.
    """
    forward, weights = products(case).run, case.weights()
    rows = case.time * case.batch
    x, states = case.input().reshape(rows, -1), case.gradient().reshape(rows, -1)
    dz = np.concatenate([states] * case.gates, axis=1)
    step, state = dz[: case.batch], np.empty((case.batch, case.hidden), np.float32)
    multiply = step_product(case)

    def run() -> None:
        forward()
        for k in range(case.layers):
            recurrent = weights[f"weight_hh_l{k}"]
            for _ in range(case.time):
                multiply(step, recurrent, out=state)
            dz.T @ states
            if k:
                dz @ weights[f"weight_ih_l{k}"]
            dz.T @ (states if k else x)

    return Job(run, dict)


def inference_floor(case: Case) -> Job:
    """Estimates what a layer's forward pass in NumPy needs: its matrix products and elementwise calls.

    The elementwise calls of each time step act on arrays of one step that never leave the cache. There is no memory for
    all steps, and no overhead.
    """
    multiply_matrices, (forward, _) = products(case).run, elementwise(case)

    def run() -> None:
        multiply_matrices()
        for _ in range(case.layers):
            forward()

    return Job(run, dict)


def training_floor(case: Case) -> Job:
    """Estimates the same of a training step, without an optimizer.

    It adds the calls of the backward pass, and the factors of the backward loop, for as many steps at once as stay in
    the cache.
    """
    multiply_matrices, (forward, backward) = training_products(case).run, elementwise(case)
    size = case.batch * case.hidden
    steps = max(1, min(case.time, 65536 // (5 * size)))
    random = np.random.default_rng(0)
    shape = steps, case.batch, case.hidden
    first, second, result = (random.uniform(0.1, 0.9, shape).astype(np.float32) for _ in range(3))
    # 1 - h² of tanh, or whether h > 0; four factors of an LSTM's gates and one of its cell; three of a GRU's gates.
    passes = {"tanh": 2, "relu": 1, "lstm": 12, "gru": 12}[case.kind]

    def factors() -> None:
        for _ in range(0, case.time, steps):
            for _ in range(passes):
                np.multiply(first, second, result)
            if case.kind == "lstm":
                np.tanh(first, result)

    def run() -> None:
        multiply_matrices()
        for _ in range(case.layers):
            forward()
            backward()
            factors()

    return Job(run, dict)


def elementwise(case: Case) -> tuple[Callable[[], None], Callable[[], None]]:
    """Returns the elementwise calls of all time steps, for the forward and the backward pass."""
    shape = case.batch, case.hidden
    random = np.random.default_rng(0)
    gates, kept = (random.uniform(0.1, 0.9, (case.gates, *shape)).astype(np.float32) for _ in range(2))
    a, b, c = (random.uniform(0.1, 0.9, shape).astype(np.float32) for _ in range(3))
    one = np.ones((), np.float32)
    sigmoids = gates[: case.gates - 1]
    add, divide, exp, multiply, tanh = np.add, np.divide, np.exp, np.multiply, np.tanh

    def simple_forward() -> None:
        for _ in range(case.time):
            add(a, b, c)
            if case.kind == "tanh":
                tanh(a, c)
            else:
                np.maximum(a, b, out=c)

    def simple_backward() -> None:
        for _ in range(case.time):
            add(a, b, c)
            multiply(a, b, c)

    def gated_forward() -> None:
        for _ in range(case.time):
            add(kept, kept, gates)
            exp(kept[:-1], sigmoids)
            add(kept[:-1], one, sigmoids)
            divide(one, kept[:-1], sigmoids)
            # The state from the gates: tanh twice and 4 cheaper calls in an LSTM, once and 6 in a GRU.
            for _ in range(2 if case.kind == "lstm" else 1):
                tanh(a, c)
            for _ in range(4 if case.kind == "lstm" else 6):
                multiply(a, b, c)

    def gated_backward() -> None:
        for _ in range(case.time):
            # The gradients of the gates, and the sums that go backward: 5 calls in an LSTM, 3 in a GRU.
            multiply(kept, a, gates)
            for _ in range(5 if case.kind == "lstm" else 3):
                multiply(a, b, c)

    return (simple_forward, simple_backward) if case.gates == 1 else (gated_forward, gated_backward)


def operation(case: Operation) -> Job:
    """Runs an operation on small arrays."""
    functions: dict[str, Callable[..., Any]] = {"add": np.add, "mul": np.multiply, "tanh": np.tanh, "matmul": np.matmul}
    return repeated(case, functions[case.name], [ARRAY.copy() for _ in range(case.inputs)], np.asarray)
