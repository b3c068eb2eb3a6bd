"""JAX's jobs: compiled as a whole, with the input projection of all time steps before a `lax.scan` loop."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..case import RATE, Case
from ..job import Job
from ..operation import ARRAY, Operation, repeated

__all__ = ["infer", "operation", "stream", "train"]


def cell(case: Case, k: int, weights: Any) -> Any:
    """Returns one step of layer `k`: (state, projected input) -> (state, output), gates in PyTorch's order."""
    r, H = weights[f"weight_hh_l{k}"].T, case.hidden

    def simple(h: Any, projected: Any) -> Any:
        f = jnp.tanh if case.kind == "tanh" else jax.nn.relu
        h = f(projected + h @ r)
        return h, h

    def lstm(state: Any, projected: Any) -> Any:
        h, c = state
        z = projected + h @ r
        i, f, g, o = z[:, :H], z[:, H : 2 * H], z[:, 2 * H : 3 * H], z[:, 3 * H :]
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(h: Any, projected: Any) -> Any:
        recurrent = h @ r + weights[f"bias_hh_l{k}"]
        both = jax.nn.sigmoid(projected[:, : 2 * H] + recurrent[:, : 2 * H])
        reset, update = both[:, :H], both[:, H:]
        new = jnp.tanh(projected[:, 2 * H :] + reset * recurrent[:, 2 * H :])
        h = new + update * (h - new)
        return h, h

    return {"lstm": lstm, "gru": gru}.get(case.kind, simple)


def forward(case: Case, weights: Any, x: Any, states: Any = None) -> Any:
    """Returns the output of the last layer, and the last states."""
    last = []
    for k in range(case.layers):
        bias = weights[f"bias_ih_l{k}"]
        if case.kind != "gru":  # whose reset gate acts on the recurrent bias too
            bias = bias + weights[f"bias_hh_l{k}"]
        h = jnp.zeros((x.shape[1], case.hidden), x.dtype)
        start = ((h, h) if case.kind == "lstm" else h) if states is None else states[k]
        state, x = jax.lax.scan(cell(case, k, weights), start, x @ weights[f"weight_ih_l{k}"].T + bias)
        last.append(state)
    return x, last


def train(case: Case) -> Job:
    """Runs forward, backward and one step of Adam in one compiled function that overwrites the parameters."""
    x, g = jnp.asarray(case.input()), jnp.asarray(case.gradient())
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def gradients(weights: Any, x: Any, g: Any) -> Any:
        return jax.grad(lambda w: jnp.vdot(forward(case, w, x)[0], g))(weights)

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: Any, g: Any) -> Any:
        weights, first, second, t = state
        found = gradients(weights, x, g)
        t = t + 1
        first = jax.tree.map(lambda m, d: beta1 * m + (1 - beta1) * d, first, found)
        second = jax.tree.map(lambda v, d: beta2 * v + (1 - beta2) * d * d, second, found)
        rate, scale = RATE / (1 - beta1**t), jnp.sqrt(1 - beta2**t)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) / scale + epsilon), weights, first, second)
        return weights, first, second, t

    start = {name: jnp.asarray(w) for name, w in case.weights().items()}
    zeros = jax.tree.map(jnp.zeros_like, start)
    state: Any = (start, zeros, jax.tree.map(jnp.zeros_like, start), jnp.float32(0))

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(step(state, x, g))

    def results() -> dict[str, Any]:
        weights = {name: jnp.asarray(w) for name, w in case.weights().items()}
        found = {"output": np.asarray(forward(case, weights, x)[0])}
        for name, gradient in jax.jit(gradients)(weights, x, g).items():
            found[f"gradient of {name}"] = np.asarray(gradient)
        run()
        for name, before in case.weights().items():
            found[f"step of {name}"] = (before - np.asarray(state[0][name])) / RATE
        return found

    return Job(run, results)


def infer(case: Case) -> Job:
    """Runs the forward pass, compiled."""
    weights = {name: jnp.asarray(w) for name, w in case.weights().items()}
    x = jnp.asarray(case.input())
    function = jax.jit(lambda w, x: forward(case, w, x)[0])

    def run() -> Any:
        return jax.block_until_ready(function(weights, x))

    return Job(run, lambda: {"output": np.asarray(run())})


def stream(case: Case) -> Job:
    """Runs one time step after another, compiled, with the state passed by hand."""
    weights = {name: jnp.asarray(w) for name, w in case.weights().items()}
    x = jnp.asarray(case.input())
    h = jnp.zeros((case.batch, case.hidden), jnp.float32)
    state: Any = [(h, h) if case.kind == "lstm" else h for _ in range(case.layers)]
    function = jax.jit(lambda w, x, s: forward(case, w, x, s))

    def step(row: Any) -> Any:
        nonlocal state
        output, state = jax.block_until_ready(function(weights, row, state))
        return output

    first = x[:1]
    return Job(lambda: step(first), lambda: {"output": np.concatenate([np.asarray(step(row[None])) for row in x])})


def operation(case: Operation) -> Job:
    """Runs an operation on small arrays, dispatched by itself."""
    functions: dict[str, Any] = {"add": jnp.add, "mul": jnp.multiply, "tanh": jnp.tanh, "matmul": jnp.matmul}
    return repeated(case, functions[case.name], [jnp.asarray(ARRAY) for _ in range(case.inputs)], np.asarray)
