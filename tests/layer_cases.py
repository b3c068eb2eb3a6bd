"""One row for each layer: how it is made, what it is called with, and what PyTorch calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lucid import nn

rng = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


@dataclass(frozen=True)
class LayerCase:
    """A layer and a call of it.

    Attributes:
        layer: the class; PyTorch's has the same name unless `torch` says otherwise.
        args: what it is made with.
        options: what it is made with by keyword.
        inputs: the arrays of the call, nested in tuples as the layer takes them; floats become tensors of the dtype
            under test.
        torch: makes PyTorch's module; None if it has none.
        deterministic: whether training mode gives what evaluation mode gives.
        axes: the axes of the first exported input that must turn out free.
        note: tells several rows of one layer apart.
    """

    layer: type[nn.Module]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    torch: Callable[[Any], Any] | None = None
    deterministic: bool = True
    axes: tuple[int, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return self.layer.__name__ + (f" {self.note}" if self.note else "")

    def make(self, dtype: str) -> nn.Module:
        return self.layer(*self.args, **self.options).to(dtype)

    def make_torch(self, torch: Any) -> Any:
        return (
            self.torch(torch.nn) if self.torch else getattr(torch.nn, self.layer.__name__)(*self.args, **self.options)
        )


X = floats(3, 3, 2)
STATE = floats(2, 3, 3)

CASES = [
    LayerCase(nn.Linear, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.Linear, (2, 3), {"bias": False}, (floats(2),), note="of a vector without bias"),
    LayerCase(nn.Linear, (1, 1), {}, (floats(1, 1),), note="of size one"),
    LayerCase(nn.RNN, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.RNN, (2, 3, 2), {"nonlinearity": "relu"}, (X, STATE), axes=(1,), note="relu with a state"),
    LayerCase(nn.RNN, (2, 3, 2), {"batch_first": True, "bias": False}, (X,), axes=(0, 1), note="batch first"),
    LayerCase(nn.RNN, (2, 3), {}, (floats(4, 2), floats(1, 3)), axes=(0,), note="unbatched"),
    LayerCase(nn.RNN, (2, 3, 2), {"dropout": 0.5}, (X,), deterministic=False, axes=(0, 1), note="with dropout"),
    LayerCase(nn.LSTM, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.LSTM, (2, 2, 2), {}, (X, (floats(2, 3, 2), floats(2, 3, 2))), axes=(0, 1), note="with states"),
    LayerCase(nn.LSTM, (2, 3), {"batch_first": True, "bias": False}, (X,), axes=(0, 1), note="batch first"),
    LayerCase(nn.GRU, (2, 3), {}, (X,), axes=(0, 1)),
    LayerCase(nn.GRU, (2, 3, 2), {}, (X, STATE), axes=(0, 1), note="with a state"),
    LayerCase(nn.GRU, (2, 3), {"batch_first": True, "bias": False}, (X,), axes=(0, 1), note="batch first"),
    LayerCase(nn.RNNCell, (2, 3), {}, (floats(3, 2), floats(3, 3)), axes=(0,)),
    LayerCase(nn.RNNCell, (2, 3, False, "relu"), {}, (floats(2),), note="relu, of a vector"),
    LayerCase(nn.LSTMCell, (2, 3), {}, (floats(3, 2), (floats(3, 3), floats(3, 3))), axes=(0,)),
    LayerCase(nn.LSTMCell, (2, 3, False), {}, (floats(3, 2),), axes=(0,), note="without a state"),
    LayerCase(nn.GRUCell, (2, 3), {}, (floats(3, 2), floats(3, 3)), axes=(0,)),
    LayerCase(nn.GRUCell, (2, 3, False), {}, (floats(2), floats(3)), note="of a vector"),
    LayerCase(nn.Dropout, (0.5,), {}, (X,), deterministic=False, axes=(0, 1, 2)),
    LayerCase(nn.Dropout, (0.0,), {}, (X,), note="of nothing"),
    LayerCase(nn.MSELoss, (), {}, (floats(3, 2), floats(3, 2)), axes=(0, 1)),
    LayerCase(
        nn.MSELoss, ("none",), {}, (floats(3), floats(3)), torch=lambda t: t.MSELoss(reduction="none"), note="none"
    ),
    LayerCase(nn.CrossEntropyLoss, (), {}, (floats(3, 4), np.array([1, 0, 3])), axes=(0,)),
    LayerCase(
        nn.CrossEntropyLoss,
        (),
        {"label_smoothing": 0.1, "ignore_index": 0, "reduction": "sum"},
        (floats(3, 4, 2), np.array([[1, 0], [3, 2], [0, 1]])),
        note="smoothed",
    ),
    LayerCase(
        nn.Sequential,
        (),
        {},
        (X,),
        torch=lambda t: t.Sequential(),
        note="of nothing",
    ),
]

# What has no row: the bases that the others are made of.
BASES = (nn.Module, nn.RNNBase, nn.RNNCellBase)
