"""Layer: a recurrent layer to be exported, with its example, and with inputs of other sizes.

Letters: T time, N batch, I input, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np

__all__ = ["EXAMPLES", "LAYERS", "PAIRS", "Layer"]

Kind = Literal["RNN", "LSTM", "GRU"]
Form = Literal["time first", "batch first", "initial state", "packed lengths", "bidirectional", "two layers"]
Array = np.ndarray[Any, Any]

I, H = 3, 4  # noqa: E741 - the letters of the field

EXAMPLES = ((5, 3), (1, 3))
"""T and N of the examples: some steps, and one step, as of a model that is to run step by step."""

PAIRS = ((1, 1), (3, 3), (5, 1), (5, 4), (12, 3), (40, 2))
"""T and N that the files run at: one, shorter, longer, and as in the example but for the batch."""


@dataclass(frozen=True)
class Layer:
    """A recurrent layer and the sizes of its example.

    Attributes:
        kind: the class.
        form: what it is given, or an option: one thing at a time.
        time: T of the example.
        batch: N of the example.
    """

    kind: Kind
    form: Form
    time: int
    batch: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.form}, example {self.time}, {self.batch}"

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of the class, which are the same in PyTorch and lucid."""
        options: dict[Form, dict[str, Any]] = {
            "batch first": {"batch_first": True},
            "bidirectional": {"bidirectional": True},
            "two layers": {"num_layers": 2},
        }
        return options.get(self.form, {})

    @property
    def axes(self) -> dict[str, dict[int, str]]:
        """The axes of each input that are to vary, with their names."""
        axes = {"x": {0: "batch", 1: "time"} if self.form == "batch first" else {0: "time", 1: "batch"}}
        if self.form == "initial state":
            axes |= {name: {1: "batch"} for name in self.states}
        if self.form == "packed lengths":
            axes["lengths"] = {0: "batch"}
        return axes

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the initial states."""
        return ("h0", "c0") if self.kind == "LSTM" else ("h0",)

    def inputs(self, time: int, batch: int) -> dict[str, Array]:
        """Returns x: (T, N, I), or (N, T, I) if the batch comes first; states: (1, N, H); lengths: (N,)."""
        random = np.random.default_rng((time, batch))
        x = random.standard_normal((time, batch, I), np.float32)
        inputs = {"x": x.swapaxes(0, 1).copy() if self.form == "batch first" else x}
        if self.form == "initial state":
            inputs |= {name: random.standard_normal((1, batch, H), np.float32) for name in self.states}
        if self.form == "packed lengths":
            # One sequence is as long as the padded tensor: otherwise PyTorch's pad_packed_sequence shortens it.
            inputs["lengths"] = random.permutation(np.append(random.integers(1, time + 1, batch - 1), time))
        return inputs

    def arguments(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """Nests values of the inputs, by name, as the layer takes them: an LSTM's states are a pair."""
        if len(values) == 3:
            return values["x"], (values["h0"], values["c0"])
        return tuple(values.values())


STEPPED: tuple[Form, ...] = ("time first", "batch first")
"""What is exported from the second example, too."""

LAYERS = tuple(
    Layer(kind, form, *example)
    for kind, example, form in product(get_args(Kind), EXAMPLES, get_args(Form))
    if example == EXAMPLES[0] or form in STEPPED
)
