"""PyTorch's jobs on a card, eager and by torch.compile; inputs come from the CPU's memory, results go back there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..case import RATE
from ..job import Job
from ..placed import Placed
from .torch import layer

__all__ = ["run"]


def run(placed: Placed, compiled: bool = False) -> Job:
    """Runs a case on its device."""
    case, device = placed.case, torch.device(placed.device)
    model = layer(case).to(device)
    called = torch.compile(model) if compiled else model
    x = torch.from_numpy(case.input())
    if placed.mode == "step":
        return _step(case, model, called, device)
    state: Any = None

    def call(part: Any, carried: bool) -> Any:
        nonlocal state
        with torch.inference_mode():
            output, after = called(part.to(device), state)
        state = after if carried else None
        return output.cpu()

    if placed.mode == "stream":
        return Job(
            lambda: call(x[:1], True),
            lambda: {"output": np.concatenate([call(row[None], True).numpy() for row in x])},
        )
    return Job(lambda: call(x, False), lambda: {"output": call(x, False).numpy()})


def _step(case: Any, model: Any, called: Any, device: Any) -> Job:
    x, g = torch.from_numpy(case.input()), torch.from_numpy(case.gradient())
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)

    def step() -> Any:
        optimizer.zero_grad()
        output, _ = called(x.to(device))
        loss = (output * g.to(device)).sum()
        loss.backward()
        optimizer.step()
        return loss.item(), output.detach().cpu()

    return Job(step, lambda: {"output": step()[1].numpy()})
