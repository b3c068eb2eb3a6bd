"""JAX's loops of small ops: a whole training step, or one step of a policy, compiled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..job import Job
from ..loop import RATE, Loop

__all__ = ["run"]


def cell(loop: Loop, w: Any, x: Any, state: Any) -> Any:
    """Returns the next state of the program's cell, gates in PyTorch's order."""
    if loop.program in ("tutorial", "own cell"):
        return jnp.tanh(x @ w["W"] + state @ w["U"] + w["b"])
    h = state[0] if loop.program == "LSTMCell" else state
    given = x @ w["cell.weight_ih"].T + w["cell.bias_ih"]
    recurrent = h @ w["cell.weight_hh"].T + w["cell.bias_hh"]
    if loop.program == "RNNCell":
        return jnp.tanh(given + recurrent)
    if loop.program == "LSTMCell":
        i, f, g, o = jnp.split(given + recurrent, 4, -1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c
    (ri, zi, ni), (rh, zh, nh) = jnp.split(given, 3, -1), jnp.split(recurrent, 3, -1)
    new = jnp.tanh(ni + jax.nn.sigmoid(ri + rh) * nh)
    return new + jax.nn.sigmoid(zi + zh) * (h - new)


def run(loop: Loop) -> Job:
    """Runs a loop, compiled by jit."""
    weights = {name: jnp.asarray(array) for name, array in loop.weights().items()}
    x, zeros = jnp.asarray(loop.input()), jnp.zeros((loop.batch, loop.hidden), jnp.float32)
    if not loop.trained:
        return _policy(loop, weights, x, zeros)

    def loss(w: Any) -> Any:
        state: Any = (zeros, zeros) if loop.program == "LSTMCell" else zeros
        for t in range(loop.time):
            state = cell(loop, w, x[t], state)
        last = state[0] if isinstance(state, tuple) else state
        return (last * last).sum()

    def trained(w: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(w)
        return value, gradients, jax.tree.map(lambda p, g: p - RATE * g, w, gradients)

    step, state = jax.jit(trained), weights

    def once() -> Any:
        nonlocal state
        value, gradients, state = jax.block_until_ready(step(state))
        return value, gradients

    def results() -> dict[str, Any]:
        value, gradients = once()
        found = {f"gradient of {name}": np.asarray(gradient) for name, gradient in gradients.items()}
        return {"loss": np.asarray(value), **found}

    return Job(once, results)


def _policy(loop: Loop, weights: Any, x: Any, start: Any) -> Job:
    def asked(w: Any, x: Any, h: Any) -> Any:
        h = cell(loop, w, x, h)
        return jax.nn.softmax(h @ w["head.weight"].T + w["head.bias"], -1), h

    step, rows = jax.jit(asked), list(x)

    def episode() -> Any:
        h = start
        for row in rows:
            p, h = step(weights, row, h)
        return jax.block_until_ready(p)

    return Job(episode, lambda: {"output": np.asarray(episode())})
