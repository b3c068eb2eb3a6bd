"""Loop: a program that calls small ops or a cell once a time step, the same for every contender.

Letters: T time, N batch, I input, H hidden.
"""

from __future__ import annotations

import zlib
from dataclasses import astuple, dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["LOOPS", "RATE", "Loop"]

Program = Literal["tutorial", "own cell", "RNNCell", "LSTMCell", "policy"]
Array = np.ndarray[Any, Any]

RATE = 1e-6
"""The learning rate of every step: low, so that thousands of them leave the weights in their working range."""


@dataclass(frozen=True)
class Loop:
    """A program and its sizes.

    Attributes:
        program: "tutorial" computes ``h = tanh(x[t] @ W + h @ U + b)`` in Python; "own cell" is a module with that
            formula, called once a step; "RNNCell" and "LSTMCell" are the libraries' cells. These four are trained:
            forward, backward of the sum of the squares of the last state, and a step of SGD. "policy" asks a GRUCell
            and a linear layer for probabilities, once a step and without gradients.
    """

    program: Program
    time: int
    batch: int
    features: int
    hidden: int

    def __str__(self) -> str:
        return f"{self.program} {self.time}, {self.batch}, {self.features}, {self.hidden}"

    @property
    def trained(self) -> bool:
        """Whether the program trains."""
        return self.program != "policy"

    def weights(self) -> dict[str, Array]:
        """Returns the parameters by the names of the program's own or of PyTorch, all from U(-1/√H, 1/√H)."""
        I, H = self.features, self.hidden  # noqa: E741 - the letters of the field
        if self.program in ("tutorial", "own cell"):
            shapes = {"W": (I, H), "U": (H, H), "b": (H,)}
        else:
            rows = {"RNNCell": 1, "LSTMCell": 4, "policy": 3}[self.program] * H
            shapes = {"cell.weight_ih": (rows, I), "cell.weight_hh": (rows, H)}
            shapes |= {"cell.bias_ih": (rows,), "cell.bias_hh": (rows,)}
        if self.program == "policy":
            shapes |= {"head.weight": (4, H), "head.bias": (4,)}
        random = np.random.default_rng(zlib.crc32(f"weights {astuple(self)}".encode()))
        return {name: random.uniform(-(H**-0.5), H**-0.5, shape).astype(np.float32) for name, shape in shapes.items()}

    def input(self) -> Array:
        """Returns x: (T, N, I)."""
        random = np.random.default_rng(zlib.crc32(f"input {astuple(self)}".encode()))
        return random.standard_normal((self.time, self.batch, self.features), dtype=np.float32)


LOOPS = (
    Loop("tutorial", 20, 1, 32, 64),
    Loop("tutorial", 20, 16, 32, 64),
    Loop("own cell", 20, 16, 32, 64),
    Loop("RNNCell", 20, 16, 32, 64),
    Loop("LSTMCell", 20, 16, 32, 64),
    Loop("policy", 20, 1, 32, 64),
)
