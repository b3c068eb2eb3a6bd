"""Steps: training steps of small models, which each runtime takes with batches of two sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from examples.train_anywhere.batches import write_binary, write_json, write_npz
from examples.web.tasks import Task, gestures_task, vowels_task
from lucid import nn
from lucid.nn.functional import cross_entropy

__all__ = ["EPOCHS", "STEPS", "write_step"]

EPOCHS = 2
ROWS = 6  # of the first batch; the second one has half as many


class Classifier(nn.Module):
    """Reads a sequence (N, T, 3) with a layer, and maps its last output to two scores."""

    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(size, 2)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        out = self.layer(x)
        out = out[0] if isinstance(out, tuple) else out
        scores: lucid.Tensor = self.head(out[:, -1])
        return scores


class Convolution(nn.Module):
    """A convolution over time and batch normalization: (N, T, 3) to (N, T, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        return self.norm(self.conv(x.transpose(1, 2))).relu().transpose(1, 2)


class Attention(nn.Module):
    """An encoder layer of a transformer: (N, T, 3) to (N, T, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        encoded: lucid.Tensor = self.encoder(self.embed(x))
        return encoded


def task(layer: Callable[[], nn.Module]) -> Callable[[], Task]:
    """Returns a function that makes a classifier with a layer, and its batch."""

    def make() -> Task:
        lucid.manual_seed(0)
        model = Classifier(layer(), 8)

        def loss(model: Any, x: Any, y: Any) -> lucid.Tensor:
            return cross_entropy(model(x), y)

        batch = lucid.randn(ROWS, 5, 3), lucid.tensor([0, 1, 0, 1, 1, 0])
        return Task(model, loss, lucid.optim.Adam(model.parameters(), lr=0.01), batch)

    return make


STEPS: dict[str, Callable[[], Task]] = {
    "training step: RNN": task(lambda: nn.RNN(3, 8, batch_first=True)),
    "training step: LSTM": task(lambda: nn.LSTM(3, 8, batch_first=True)),
    "training step: GRU": task(lambda: nn.GRU(3, 8, batch_first=True)),
    "training step: Conv1d": task(Convolution),
    "training step: attention": task(Attention),
    "training step: vowels": vowels_task,
    "training step: gestures": gestures_task,
}
"""Makes each task, by the title of its row."""


def write_step(folder: Path, name: str, title: str) -> list[float]:
    """Writes the files of a step, and batches for all drivers; returns the losses of eager training."""
    task = STEPS[title]()
    step = task.export(folder / f"{name}.train.onnx")
    batches = [tuple(x[:rows] for x in task.batch) for rows in (ROWS, ROWS // 2)]
    arrays = [dict(zip(step.contract["batch"], (x.numpy() for x in batch), strict=True)) for batch in batches]
    write_npz(folder / f"{name}.npz", arrays)
    write_json(folder / f"{name}.json", arrays)
    write_binary(folder / f"{name}.bin", arrays)
    return [float(np.mean([task.train(*batch) for batch in batches])) for _ in range(EPOCHS)]
