"""Models in PyTorch, whose files `test_foreign.py` imports. Letters: T time, N batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .files import Array

__all__ = ["NAMES", "Case", "cases", "scripted"]

NAMES = ("rnn", "gru", "lstm", "bidirectional", "double", "frozen", "packed", "unrolled", "attention", "convolutional")
NAMES += ("tied", "residual", "streaming", "translation", "pooled", "gated")
"""The names of the models."""

Inputs = Callable[[int, int], list[Array]]


class Case(NamedTuple):
    """A model.

    Attributes:
        make: returns the module.
        inputs: returns inputs with a number of sequences and of steps.
        names: the names of the inputs.
        axes: the axes that are dynamic: for each input, "N" or "T" by axis.
    """

    make: Callable[[], Any]
    inputs: Inputs
    names: tuple[str, ...]
    axes: tuple[dict[int, str], ...]


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def tokens(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).integers(0, 11, shape)


def cases(torch: Any) -> dict[str, Case]:
    """Returns the models by name."""
    nn = torch.nn
    F = nn.functional

    class Stack(nn.Module):  # type: ignore[misc,name-defined]
        """A recurrent stack and a linear layer."""

        def __init__(self, kind: str, dtype: Any = None, **options: Any) -> None:
            super().__init__()
            self.rnn = getattr(nn, kind)(3, 8, batch_first=True, dtype=dtype, **options)
            self.head = nn.Linear(8 * (1 + self.rnn.bidirectional), 2, dtype=dtype)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0])

    class Packed(nn.Module):  # type: ignore[misc,name-defined]
        """Sequences with lengths: the mean over the steps that are there."""

        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 6, batch_first=True)
            self.head = nn.Linear(6, 2)

        def forward(self, x: Any, lengths: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)
            return self.head(y.sum(1) / lengths.unsqueeze(1))

    class Unrolled(nn.Module):  # type: ignore[misc,name-defined]
        """Cells in a Python loop over a fixed number of steps."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LSTMCell(3, 5), nn.GRUCell(5, 5)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            h = c = g = x.new_zeros(x.shape[0], 5)
            outputs = []
            for t in range(4):
                h, c = self.first(x[:, t], (h, c))
                g = self.second(h, g)
                outputs.append(self.head(g))
            return torch.stack(outputs, 1)

    class Attention(nn.Module):  # type: ignore[misc,name-defined]
        """A recurrent layer whose steps are weighed by attention, with a mask of padding."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 6, padding_idx=0)
            self.lstm = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
            self.score = nn.Linear(8, 1)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            y, _ = self.lstm(self.table(x))
            scores = self.score(torch.tanh(y)).squeeze(-1).masked_fill(x == 0, -1e4)
            return self.head((scores.softmax(1).unsqueeze(-1) * y).sum(1))

    class Convolutional(nn.Module):  # type: ignore[misc,name-defined]
        """A front of convolutions, one with a stride, before a GRU."""

        def __init__(self) -> None:
            super().__init__()
            self.front = nn.Sequential(
                nn.Conv1d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv1d(6, 6, 3, stride=2, padding=1), nn.BatchNorm1d(6)
            )
            self.gru = nn.GRU(6, 5, batch_first=True)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.gru(self.front(x.transpose(1, 2)).transpose(1, 2))[0])

    class Tied(nn.Module):  # type: ignore[misc,name-defined]
        """A language model whose table is also its output layer."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 6)
            self.lstm = nn.LSTM(6, 6, batch_first=True)
            self.bias = nn.Parameter(torch.randn(11))

        def forward(self, x: Any) -> Any:
            return F.linear(self.lstm(self.table(x))[0], self.table.weight, self.bias)

    class Residual(nn.Module):  # type: ignore[misc,name-defined]
        """Recurrent layers with layer norm and residual connections."""

        def __init__(self) -> None:
            super().__init__()
            self.lift = nn.Linear(3, 6)
            self.layers = nn.ModuleList([nn.GRU(6, 6, batch_first=True) for _ in range(2)])
            self.norms = nn.ModuleList([nn.LayerNorm(6) for _ in range(2)])
            for parameter in self.norms.parameters():  # PyTorch's newer exporter stores equal tensors once
                nn.init.normal_(parameter)
            self.head = nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            x = self.lift(x)
            for layer, norm in zip(self.layers, self.norms, strict=True):
                x = x + F.gelu(layer(norm(x))[0])
            return self.head(x)

    class Streaming(nn.Module):  # type: ignore[misc,name-defined]
        """A stack with its state as inputs and outputs."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 5, 2, batch_first=True)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Any, h: Any, c: Any) -> Any:
            y, (h, c) = self.lstm(x, (h, c))
            return self.head(y), h, c

    class Translation(nn.Module):  # type: ignore[misc,name-defined]
        """An encoder, and a decoder that begins in its state and attends to its steps."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 6)
            self.encoder = nn.GRU(6, 6, batch_first=True)
            self.decoder = nn.GRU(6, 6, batch_first=True)
            self.head = nn.Linear(12, 11)

        def forward(self, source: Any, target: Any) -> Any:
            kept, h = self.encoder(self.table(source))
            y, _ = self.decoder(self.table(target), h)
            weights = (y @ kept.transpose(1, 2) / 6**0.5).softmax(-1)
            return self.head(torch.cat([y, weights @ kept], -1))

    class Pooled(nn.Module):  # type: ignore[misc,name-defined]
        """Statistics over time: the last step, the mean and the greatest."""

        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(3, 6, 2, nonlinearity="relu", batch_first=True)
            self.head = nn.Sequential(nn.Linear(18, 8), nn.Dropout(0.1), nn.SiLU(), nn.Linear(8, 2))

        def forward(self, x: Any) -> Any:
            y, h = self.rnn(x)
            return self.head(torch.cat([h[-1], y.mean(1), y.amax(1)], -1))

    class Gated(nn.Module):  # type: ignore[misc,name-defined]
        """Causal convolutions with gates, without a recurrent layer."""

        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList([nn.Conv1d(3 if k == 0 else 4, 8, 2, dilation=2**k) for k in range(3)])
            self.head = nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            x = x.transpose(1, 2)
            for k, conv in enumerate(self.convs):
                x = F.glu(conv(F.pad(x, (2**k, 0))), 1)
            return self.head(x.transpose(1, 2))

    def sequences(n: int, t: int) -> list[Array]:
        return [normal(n, t, 3)]

    def lengths(n: int, t: int) -> list[Array]:
        return [normal(n, t, 3), np.array([t, *np.arange(1, n) % t + 1], np.int64)]

    def states(n: int, t: int) -> list[Array]:
        return [normal(n, t, 3), normal(2, n, 5, seed=1), normal(2, n, 5, seed=2)]

    one: tuple[tuple[str, ...], tuple[dict[int, str], ...]] = ("x",), ({0: "N", 1: "T"},)
    return {
        "rnn": Case(lambda: Stack("RNN", num_layers=2), sequences, *one),
        "gru": Case(lambda: Stack("GRU", num_layers=2, bias=False), sequences, *one),
        "lstm": Case(lambda: Stack("LSTM", num_layers=2), sequences, *one),
        "bidirectional": Case(lambda: Stack("LSTM", num_layers=2, bidirectional=True), sequences, *one),
        "double": Case(
            lambda: Stack("GRU", dtype=torch.float64), lambda n, t: [normal(n, t, 3, dtype="float64")], *one
        ),
        "frozen": Case(lambda: Stack("GRU"), lambda n, t: [normal(2, 5, 3, seed=n + t)], ("x",), ({},)),
        "packed": Case(Packed, lengths, ("x", "lengths"), ({0: "N", 1: "T"}, {0: "N"})),
        "unrolled": Case(Unrolled, lambda n, t: [normal(n, 4, 3, seed=t)], ("x",), ({0: "N"},)),
        "attention": Case(Attention, lambda n, t: [tokens(n, t)], *one),
        "convolutional": Case(Convolutional, sequences, *one),
        "tied": Case(Tied, lambda n, t: [tokens(n, t)], *one),
        "residual": Case(Residual, sequences, *one),
        "streaming": Case(Streaming, states, ("x", "h", "c"), ({0: "N", 1: "T"}, {1: "N"}, {1: "N"})),
        "translation": Case(
            Translation,
            lambda n, t: [tokens(n, t), tokens(n, t + 1, seed=1)],
            ("source", "target"),
            ({0: "N", 1: "T"}, {0: "N", 1: "U"}),
        ),
        "pooled": Case(Pooled, sequences, *one),
        "gated": Case(Gated, sequences, *one),
    }


def scripted(torch: Any) -> dict[str, Callable[[], Any]]:
    """Returns modules with loops that torch.jit.script keeps, by name; each takes x (T, N, 3) and a state (N, 5)."""
    nn = torch.nn

    class Base(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(8, 5)

    class Stacked(Base):
        def forward(self, x, h):  # type: ignore[no-untyped-def]
            outputs = []
            for t in range(x.size(0)):
                h = torch.tanh(self.cell(torch.cat([x[t], h], 1)))
                outputs.append(h * 2)
            return torch.stack(outputs, 1), h

    class Joined(Base):
        def forward(self, x, h):  # type: ignore[no-untyped-def]
            outputs = []
            for t in range(x.size(0)):
                h = torch.tanh(self.cell(torch.cat([x[t], h], 1)))
                outputs.append(h)
            return torch.cat(outputs, 1)

    class EverySecond(Base):
        def forward(self, x, h):  # type: ignore[no-untyped-def]
            t = 0
            while t < x.size(0):
                h = torch.tanh(self.cell(torch.cat([x[t], h], 1)))
                t = t + 2
            return h

    return {"stacked": Stacked, "joined": Joined, "every second": EverySecond}
