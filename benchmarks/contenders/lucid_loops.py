"""lucid's loops of small ops."""

from __future__ import annotations

from typing import Any

import lucid
from lucid import nn

from ..job import Job
from ..loop import RATE, Loop

__all__ = ["run"]


class Own(nn.Module):
    """A cell of the program's own."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.W, self.U, self.b = (nn.Parameter(lucid.tensor(array)) for array in loop.weights().values())

    def forward(self, x: Any, h: Any) -> Any:
        return lucid.tanh(x @ self.W + h @ self.U + self.b)


class Tutorial(Own):
    """A loop as tutorials have it."""

    def forward(self, x: Any, h: Any) -> Any:
        for t in range(x.shape[0]):
            h = lucid.tanh(x[t] @ self.W + h @ self.U + self.b)
        return (h * h).sum()


class OwnLoop(Own):
    """A loop over that cell."""

    def forward(self, x: Any, h: Any) -> Any:
        for t in range(x.shape[0]):
            h = super().forward(x[t], h)
        return (h * h).sum()


class CellLoop(nn.Module):
    """A loop over one of lucid's cells."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.cell: nn.Module = getattr(nn, loop.program)(loop.features, loop.hidden)

    def forward(self, x: Any, h: Any) -> Any:
        state = (h, h) if isinstance(self.cell, nn.LSTMCell) else h
        for t in range(x.shape[0]):
            state = self.cell(x[t], state)
        last = state[0] if isinstance(state, tuple) else state
        return (last * last).sum()


class Policy(nn.Module):
    """One step of a policy."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(loop.features, loop.hidden), nn.Linear(loop.hidden, 4)

    def forward(self, x: Any, h: Any) -> Any:
        h = self.cell(x, h)
        return lucid.softmax(self.head(h), -1), h


def run(loop: Loop, compiled: bool = False) -> Job:
    """Runs a loop eagerly, or its forward and backward pass, or its step, in onnxruntime."""
    made = {"tutorial": Tutorial, "own cell": OwnLoop, "policy": Policy}
    model: nn.Module = made.get(loop.program, CellLoop)(loop)
    weights = {name: lucid.tensor(array) for name, array in loop.weights().items()}
    model.load_state_dict(weights)
    x, h = lucid.tensor(loop.input()), lucid.zeros(loop.batch, loop.hidden)
    if not loop.trained:
        return _policy(lucid.compile(model.eval()).tune(x[0], h) if compiled else model.eval(), x, h)
    optimizer = lucid.optim.SGD(model.parameters(), lr=RATE)
    backward = lucid.compile_backward(model).tune(x, h) if compiled else None

    def step() -> Any:
        optimizer.zero_grad()
        if backward is not None:
            loss = backward(x, h)
        else:
            loss = model(x, h)
            loss.backward()
        optimizer.step()
        return loss

    def results() -> dict[str, Any]:
        found = {"loss": step().detach().numpy()}
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            found[f"gradient of {name}"] = parameter.grad.numpy().copy()
        return found

    return Job(step, results)


def _policy(model: Any, x: Any, start: Any) -> Job:
    def episode() -> Any:
        h = start
        with lucid.no_grad():
            for t in range(x.shape[0]):
                p, h = model(x[t], h)
        return p

    return Job(episode, lambda: {"output": episode().numpy().copy()})
