"""PyTorch's loops of small ops, eager and by torch.compile."""

from __future__ import annotations

from typing import Any

import torch

from ..job import Job
from ..loop import RATE, Loop

__all__ = ["run"]


class Own(torch.nn.Module):  # type: ignore[misc] # PyTorch's types are not followed
    """A cell of the program's own."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.W, self.U, self.b = (torch.nn.Parameter(torch.from_numpy(array)) for array in loop.weights().values())

    def forward(self, x: Any, h: Any) -> Any:
        return torch.tanh(x @ self.W + h @ self.U + self.b)


class Tutorial(Own):
    """A loop as tutorials have it."""

    def forward(self, x: Any, h: Any) -> Any:
        for t in range(x.shape[0]):
            h = torch.tanh(x[t] @ self.W + h @ self.U + self.b)
        return (h * h).sum()


class OwnLoop(Own):
    """A loop over that cell."""

    def forward(self, x: Any, h: Any) -> Any:
        for t in range(x.shape[0]):
            h = super().forward(x[t], h)
        return (h * h).sum()


class CellLoop(torch.nn.Module):  # type: ignore[misc] # PyTorch's types are not followed
    """A loop over one of PyTorch's cells."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.cell = getattr(torch.nn, loop.program)(loop.features, loop.hidden)

    def forward(self, x: Any, h: Any) -> Any:
        state = (h, h) if isinstance(self.cell, torch.nn.LSTMCell) else h
        for t in range(x.shape[0]):
            state = self.cell(x[t], state)
        last = state[0] if isinstance(state, tuple) else state
        return (last * last).sum()


class Policy(torch.nn.Module):  # type: ignore[misc] # PyTorch's types are not followed
    """One step of a policy."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.cell, self.head = torch.nn.GRUCell(loop.features, loop.hidden), torch.nn.Linear(loop.hidden, 4)

    def forward(self, x: Any, h: Any) -> Any:
        h = self.cell(x, h)
        return torch.softmax(self.head(h), -1), h


def run(loop: Loop, compiled: bool = False) -> Job:
    """Runs a loop, eagerly or by torch.compile."""
    made = {"tutorial": Tutorial, "own cell": OwnLoop, "policy": Policy}
    model: Any = made.get(loop.program, CellLoop)(loop)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in loop.weights().items()})
    x, h = torch.from_numpy(loop.input()), torch.zeros(loop.batch, loop.hidden)
    called = torch.compile(model) if compiled else model
    if not loop.trained:
        return _policy(called, x, h)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def step() -> Any:
        optimizer.zero_grad()
        loss = called(x, h)
        loss.backward()
        optimizer.step()
        return loss

    def results() -> dict[str, Any]:
        found = {"loss": step().detach().numpy()}
        for name, parameter in model.named_parameters():
            found[f"gradient of {name}"] = parameter.grad.numpy().copy()
        return found

    return Job(step, results)


def _policy(model: Any, x: Any, start: Any) -> Job:
    def episode() -> Any:
        h = start
        with torch.no_grad():
            for t in range(x.shape[0]):
                p, h = model(x[t], h)
        return p

    return Job(episode, lambda: {"output": episode().numpy().copy()})
