"""A program for several processes: trains a model on real data, and prints what came of it as JSON.

``mpiexec -n 2 python -m mpi4py tests/distributed/train.py '{"task": "vowels"}'``
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import lucid
import lucid.distributed as dist
from lucid import nn
from lucid.data import DataLoader, RandomSampler, TensorDataset
from models import vowels

F = nn.functional
BATCH = 25  # no multiple of the number of processes


class Speakers(nn.Module):
    """Class-weighted losses of utterances, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(12, 16, batch_first=True), nn.Linear(16, 9)
        self.register_buffer("weight", lucid.linspace(0.1, 5, 9))

    def forward(self, x: Any, lengths: Any, y: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        h = F.dropout(self.rnn(packed)[1][-1], 0.2, self.training)
        return F.cross_entropy(self.head(h), y, weight=self.weight)


class Tagger(nn.Module):
    """Class-weighted losses of steps, of which many are ignored, and a penalty on the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(12, 16, batch_first=True), nn.Linear(16, 9)
        self.register_buffer("weight", lucid.linspace(0.1, 5, 9))

    def forward(self, x: Any, lengths: Any, y: Any) -> Any:
        scores = self.head(self.rnn(x)[0])
        steps = lucid.arange(x.shape[1])
        tags = lucid.where((steps < lengths[:, None]) & (y[:, None] > 1), y[:, None], -100)
        penalty = sum((p * p).sum() for p in self.parameters())
        return F.cross_entropy(scores.transpose(1, 2), tags, weight=self.weight) + 1e-3 * penalty


class Language(nn.Module):
    """Losses of the next of nine classes of frames, and of the frames themselves: two means."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(9, 8), nn.LSTM(8, 16, batch_first=True)
        self.head, self.other = nn.Linear(16, 9), nn.Linear(16, 12)

    def forward(self, x: Any, lengths: Any, y: Any) -> Any:
        ids = x.argmax(-1) % 9
        out = self.rnn(self.embedding(ids[:, :-1]))[0]
        classes = F.cross_entropy(self.head(out).flatten(0, 1), ids[:, 1:].flatten())
        return classes + 0.5 * F.mse_loss(self.other(out), x[:, 1:])


TASKS = {"vowels": Speakers, "tagger": Tagger, "language": Language}


def data(dtype: str) -> TensorDataset:
    train, _ = vowels.load()
    return TensorDataset(train.frames.astype(dtype), train.lengths, train.speakers)


def made(task: str, dtype: str) -> tuple[Any, Any]:
    lucid.manual_seed(0, generator="counter")
    loss = TASKS[task]().to(dtype)
    return loss, lucid.optim.Adam(loss.parameters(), lr=0.01)


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Trains; returns the losses, and a digest of the parameters of each replica."""
    dtype, path = options.get("dtype", "float32"), options.get("checkpoint")
    samples = data(dtype)
    loss, optimizer = made(options["task"], dtype)
    compiled = {"compile": True, "threads": 1} if options.get("compile") else {}
    model = dist.DistributedDataParallel(loss, **compiled)
    sampler = dist.DistributedBatchSampler(RandomSampler(samples, seed=0), options.get("batch", BATCH))
    loader = DataLoader(samples, batch_sampler=sampler)
    losses: list[float] = []
    if path and os.path.exists(path):
        state = lucid.load(path)
        loss.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        loader.load_state_dict(state["loader"])
        lucid.set_rng_state(state["random"])
        losses = state["losses"]
    while len(losses) < options.get("steps", 50):
        for batch in loader:
            if options.get("kill") == [dist.get_rank(), len(losses)]:
                os.kill(os.getpid(), signal.SIGKILL)
            if options.get("raise") == [dist.get_rank(), len(losses)]:
                raise RuntimeError("on one rank alone")
            optimizer.zero_grad()
            value = model(*batch)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(value.item())
            if path and dist.get_rank() == 0 and len(losses) % 5 == 0:
                state = {"model": loss.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses}
                lucid.save({**state, "loader": loader.state_dict(), "random": lucid.get_rng_state()}, path)
            if len(losses) == options.get("steps", 50):
                break
    bits = b"".join(p.detach().numpy().tobytes() for p in loss.parameters())
    digests = dist.all_gather(np.frombuffer(hashlib.sha256(bits).digest(), np.uint8))
    return {"losses": losses, "digests": [digest.tobytes().hex() for digest in digests]}


if __name__ == "__main__":
    dist.init_process_group()
    found = run(json.loads(sys.argv[1]))
    if dist.get_rank() == 0:
        print(json.dumps(found))
