"""A program for several processes: compares losses and gradients of a batch cut in unequal parts with the whole's.

It prints, as JSON, for each loss the greatest difference of losses, of gradients, and whether the replicas are equal;
or the error.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import lucid
import lucid.distributed as dist
from lucid import nn
from lucid.errors import LucidError

F = nn.functional
N = 12
CUTS = {1: [0, 12], 2: [0, 3, 12], 3: [0, 3, 3, 12], 4: [0, 0, 2, 12, 12]}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.classes, self.numbers = nn.GRU(3, 8), nn.Linear(8, 4), nn.Linear(8, 2)
        self.register_buffer("weight", lucid.linspace(0.1, 5, 4))

    def scores(self, x: Any) -> Any:
        return self.classes(self.rnn(x)[1][-1])

    def values(self, x: Any) -> Any:
        return self.numbers(self.rnn(x)[1][-1])

    def cross_entropy(self, x: Any, y: Any) -> Any:
        return F.cross_entropy(self.scores(x), y, weight=self.weight)  # the first targets are ignored

    def squares(self) -> Any:
        return sum((p * p).sum() for p in self.parameters())


def focal(net: Any, x: Any, y: Any, z: Any) -> Any:
    logs = F.log_softmax(net.scores(x), -1).gather(1, y.clamp(min=0)[:, None])[:, 0]
    kept = (y >= 0).float()
    return -(((1 - logs.exp()) ** 2) * logs * kept).sum() / kept.sum()


def masked(net: Any, x: Any, y: Any, z: Any) -> Any:
    mask = (z > 0).float()
    return ((net.values(x) - z) ** 2 * mask).sum() / mask.sum()


def contrast(net: Any, x: Any, y: Any, z: Any) -> Any:
    values = net.values(x)
    return (values @ values.T).mean()


LOSSES: dict[str, Any] = {
    "weighted and ignored": lambda net, x, y, z: net.cross_entropy(x, y),
    "two means": lambda net, x, y, z: net.cross_entropy(x, y) + 0.5 * F.mse_loss(net.values(x), z),
    "penalty": lambda net, x, y, z: net.cross_entropy(x, y) + 0.01 * net.squares(),
    "penalty, sum": lambda net, x, y, z: F.mse_loss(net.values(x), z, reduction="sum") + net.squares(),
    "root of a mean": lambda net, x, y, z: F.mse_loss(net.values(x), z).sqrt(),
    "product of means": lambda net, x, y, z: F.mse_loss(net.values(x), z) * net.cross_entropy(x, y),
    "sum by size": lambda net, x, y, z: (net.values(x) - z).abs().sum() / x.shape[1],
    "sum by count": masked,
    "focal": focal,
    "dropout": lambda net, x, y, z: F.mse_loss(F.dropout(net.values(x), 0.5), z),
    "noise": lambda net, x, y, z: F.mse_loss(net.values(x + 0.1 * lucid.randn_like(x)), z + lucid.rand(*z.shape)),
    "smooth": lambda net, x, y, z: F.cross_entropy(net.scores(x), y.clamp(min=0), label_smoothing=0.1),
    "standard deviation": lambda net, x, y, z: net.values(x).std(),
    "contrast": contrast,
    "normalized": lambda net, x, y, z: F.mse_loss(net.values(x) / net.values(x).mean(), z),
    "greatest": lambda net, x, y, z: net.values(x).max(),
    "no scalar": lambda net, x, y, z: net.values(x),
    "half of the batch": lambda net, x, y, z: net.values(x)[: x.shape[1] // 2].sum(),
}


class Loss(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.net = Net()

    def forward(self, x: Any, y: Any, z: Any) -> Any:
        return LOSSES[self.name](self.net, x, y, z)


def batch(dtype: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, N)
    y[:3] = -100
    return rng.standard_normal((5, N, 3)).astype(dtype), y, rng.standard_normal((N, 2)).astype(dtype)


def trained(
    name: str, dtype: str, begin: int | None, end: int | None, accumulate: bool, compile: bool = False
) -> tuple[Any, list[Any]]:
    """Returns the losses and the last gradients of a part of the batch, or of the whole without any exchange."""
    generator = lucid.manual_seed(3, generator="counter")
    model: Any = Loss(name).to(dtype)
    if begin is not None:
        lucid.manual_seed(3, generator="counter")
        model = dist.DistributedDataParallel(model, compile=compile, threads=1)
    generator.manual_seed(4, "counter")
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.02)
    x, y, z = batch(dtype)
    given = [lucid.tensor(a) for a in (x[:, begin:end], y[begin:end], z[begin:end])]
    losses = []
    for _ in range(4):
        if begin is None:
            generator.begin_step()
        optimizer.zero_grad()
        loss = model(*given)
        if accumulate and begin is not None:
            with model.no_sync():
                loss.backward()
            loss = model(*given)
        elif accumulate:
            loss.backward()
            generator.begin_step()
            loss = model(*given)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), [p.grad for p in model.parameters()] + [p.detach() for p in model.parameters()]


def compared(name: str, dtype: str, accumulate: bool, compile: bool) -> Any:
    rank = dist.get_rank()
    begin, end = CUTS[dist.get_world_size()][rank : rank + 2]
    try:
        losses, tensors = trained(name, dtype, begin, end, accumulate, compile)
    except LucidError as error:
        return f"{type(error).__name__}: {error}"
    expected, references = trained(name, dtype, None, None, accumulate)
    off = 0.0
    for tensor, reference in zip(tensors, references, strict=True):
        assert (tensor is None) == (reference is None)
        if tensor is not None:
            off = max(off, float(np.abs(tensor.numpy() - reference.numpy()).max()))
    flat = np.concatenate([t.numpy().ravel() for t in tensors if t is not None])
    equal = all(np.array_equal(flat, other) for other in dist.all_gather(flat))
    return [float(np.max(np.abs(losses - expected) / np.abs(expected))), off, equal]


if __name__ == "__main__":
    dist.init_process_group()
    options = json.loads(sys.argv[1])
    names = options.get("names") or list(LOSSES)
    given = options.get("dtype", "float64"), options.get("accumulate", False), options.get("compile", False)
    found = {name: compared(name, *given) for name in names}
    if dist.get_rank() == 0:
        print(json.dumps(found))
