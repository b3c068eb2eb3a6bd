"""For test_checkpoint: a short training run that writes checkpoints and resumes from the last one."""

from __future__ import annotations

import os
import sys

import lucid
from lucid import nn, optim
from lucid.checkpoint import load_checkpoint, save_checkpoint
from lucid.data import DataLoader, TensorDataset

EPOCHS = 6


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 8, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        output, _ = self.rnn(x)
        return self.head(output[:, -1])


def train(path: str, every: int = 1) -> float:
    lucid.manual_seed(0)
    x = lucid.randn(50, 5, 2)
    data = TensorDataset(x, x.sum((1, 2)).unsqueeze(1).tanh())
    model = Model()
    optimizer = optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.05, epochs=EPOCHS, steps_per_epoch=13)
    loader = DataLoader(data, batch_size=4, shuffle=True)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    total, done = 0.0, 0
    if os.path.exists(path):
        values = load_checkpoint(path, **parts)
        total, done = values["total"], values["done"]
    while loader.epoch < EPOCHS:
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = ((model(inputs) - targets) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            total += loss.item()
            done += 1
            if done % every == 0:
                save_checkpoint(path, **parts, total=total, done=done)
    save_checkpoint(path, **parts, total=total, done=done)
    return total


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]))
