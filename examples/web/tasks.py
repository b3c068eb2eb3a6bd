"""Tasks: the models that the page trains, with a loss, an optimizer and a batch to export them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lucid
from lucid import nn
from lucid.export import TrainingStep, training_step
from lucid.nn.functional import cross_entropy
from lucid.nn.utils.rnn import pack_padded_sequence
from models import vowels

__all__ = ["TASKS", "Task", "gestures_task", "vowels_task"]

GESTURES, COORDINATES = 3, 4
MOST = 1.0  # the norm of the gradient, at most

Metrics = dict[str, lucid.Tensor]


class Task(NamedTuple):
    """A model to be trained elsewhere.

    Attributes:
        model: the model.
        loss: a function of the model and a batch, which gives the loss, or the loss and a dict of metrics.
        optimizer: the optimizer.
        batch: tensors to export the step with; others may have other sizes.
    """

    model: nn.Module
    loss: Callable[..., Any]
    optimizer: lucid.optim.Optimizer
    batch: tuple[lucid.Tensor, ...]

    def export(self, path: Path) -> TrainingStep:
        """Writes the files of the training step, which is compared with eager training before."""
        return training_step(self.model, self.loss, self.optimizer, *self.batch, path=path, clip_grad_norm=MOST)

    def train(self, *batch: lucid.Tensor) -> float:
        """Takes the same step eagerly; returns the loss."""
        self.optimizer.zero_grad()
        result = self.loss(self.model, *batch)
        loss: lucid.Tensor = result[0] if isinstance(result, tuple) else result
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), MOST)
        self.optimizer.step()
        return float(loss.item())


def _scored(scores: lucid.Tensor, labels: lucid.Tensor) -> tuple[lucid.Tensor, Metrics]:
    return cross_entropy(scores, labels), {"accuracy": (scores.argmax(-1) == labels).float().mean()}


def vowels_task() -> Task:
    """The model of `models.vowels` without noise, and the first utterances to train on."""
    train, _ = vowels.load()
    lucid.manual_seed(0)
    model = vowels.SpeakerClassifier(hidden=64, noise=0.0)
    model.standardize_like(train)
    model.eval()  # it would draw noise

    def loss(model: Any, frames: Any, lengths: Any, speakers: Any) -> tuple[lucid.Tensor, Metrics]:
        return _scored(model(frames, lengths), speakers)

    batch = tuple(lucid.tensor(array[:32]) for array in train)
    return Task(model, loss, lucid.optim.Adam(model.parameters(), lr=5e-3), batch)


class GestureClassifier(nn.Module):
    """Reads the points of strokes with a GRU, and maps its last state to a score for each gesture.

    Shape:
        points: (N, T, 4), place and direction, padded at the end with anything; lengths: (N,). The result: (N, 3).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(COORDINATES, hidden, batch_first=True)
        self.head = nn.Linear(hidden, GESTURES)

    def forward(self, points: lucid.Tensor, lengths: lucid.Tensor) -> lucid.Tensor:
        packed = pack_padded_sequence(points, lengths, batch_first=True, enforce_sorted=False)
        _, h_n = self.gru(packed)
        scores: lucid.Tensor = self.head(h_n[-1])
        return scores


def gestures_task() -> Task:
    """A classifier of strokes; those to train on are drawn in the page."""
    lucid.manual_seed(0)
    model = GestureClassifier(hidden=24)

    def loss(model: Any, points: Any, lengths: Any, gestures: Any) -> tuple[lucid.Tensor, Metrics]:
        return _scored(model(points, lengths), gestures)

    batch = (lucid.randn(6, 20, COORDINATES), lucid.tensor([20, 7, 12, 9, 15, 11]), lucid.tensor([0, 1, 2, 0, 1, 2]))
    return Task(model, loss, lucid.optim.Adam(model.parameters(), lr=1e-2), batch)


TASKS: dict[str, Callable[[], Task]] = {"vowels": vowels_task, "gestures": gestures_task}
"""The tasks of the page, by the names of their files."""
