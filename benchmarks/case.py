"""Case: a recurrent layer of certain sizes, with the same weights and inputs for every contender.

Letters: T time, N batch, I input, H hidden, L layers.
"""

from __future__ import annotations

import zlib
from dataclasses import astuple, dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["GATES", "KINDS", "RATE", "SIZES", "Case", "cases"]

Kind = Literal["tanh", "relu", "lstm", "gru"]
Array = np.ndarray[Any, Any]

KINDS: tuple[Kind, ...] = ("tanh", "relu", "lstm", "gru")
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
SIZES = (
    (100, 1, 16, 32),
    (50, 32, 28, 64),
    (100, 32, 64, 128),
    (100, 64, 128, 256),
    (200, 64, 256, 512),
    (1000, 8, 32, 64),
)
"""T, N, I, H, from a single short sequence to a batch that fills the processor's caches."""

RATE = 1e-6
"""The learning rate of every training step: low, so that thousands of them leave the layer in its working range."""


@dataclass(frozen=True)
class Case:
    """A recurrent layer, or a stack of them, and its input batch."""

    kind: Kind
    time: int
    batch: int
    features: int
    hidden: int
    layers: int = 1

    def __str__(self) -> str:
        sizes = f"{self.kind} {self.time}, {self.batch}, {self.features}, {self.hidden}"
        return sizes if self.layers == 1 else f"{sizes}, {self.layers} layers"

    @property
    def gates(self) -> int:
        """The number of blocks of H rows in the weights."""
        return GATES[self.kind]

    def weights(self) -> dict[str, Array]:
        """Returns the parameters by PyTorch's names, all from U(-1/√H, 1/√H)."""
        random = self._random("weights")
        rows, bound = self.gates * self.hidden, self.hidden**-0.5
        made = {}
        for k in range(self.layers):
            columns = self.features if k == 0 else self.hidden
            shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, self.hidden), "bias_ih": (rows,)}
            for name, shape in (*shapes.items(), ("bias_hh", (rows,))):
                made[f"{name}_l{k}"] = random.uniform(-bound, bound, shape).astype(np.float32)
        return made

    def input(self) -> Array:
        """Returns x: (T, N, I)."""
        return self._normal("input", self.features)

    def gradient(self) -> Array:
        """Returns the incoming gradient of the output: (T, N, H)."""
        return self._normal("gradient", self.hidden)

    def _normal(self, label: str, width: int) -> Array:
        shape = (self.time, self.batch, width)
        return self._random(label).standard_normal(shape, dtype=np.float32)

    def _random(self, label: str) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{label} {astuple(self)}".encode()))


def cases(quick: bool = False, kinds: tuple[Kind, ...] = KINDS, stacked: bool = True) -> list[Case]:
    """Returns all kinds at all sizes, and two layers at one of them; with `quick`, only the small sizes."""
    sizes = SIZES[:3] if quick else SIZES
    found = []
    for kind in kinds:
        found += [Case(kind, *size) for size in sizes]
        if stacked and not quick:
            found.append(Case(kind, *SIZES[2], layers=2))
    return found
