"""Features: small models, each with what a runtime needs for a feature, and calls at sizes other than the example's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import lucid
from examples.train_anywhere.batches import write_binary, write_json
from lucid import nn
from lucid.export import Exported, to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence

from .engine import Named

__all__ = ["FEATURES", "LengthsClassifier", "Made", "padded_calls", "streamed"]


class Made(NamedTuple):
    """An exported model, calls, and what eager lucid gives.

    Attributes:
        exported: the model.
        calls: the inputs of each call.
        expected: the outputs of each call.
        states: for each input that is a state, the output that continues it.
        tolerance: the greatest difference, relative to one for small numbers.
    """

    exported: Exported
    calls: list[Named]
    expected: list[Named]
    states: Mapping[str, str] = {}
    tolerance: float = 1e-4

    def write(self, folder: Path, name: str) -> None:
        """Writes the model, and the calls for all programs."""
        self.exported.save(folder / f"{name}.onnx")
        write_json(folder / f"{name}.json", self.calls)
        write_binary(folder / f"{name}.bin", self.calls)


Arguments = tuple[lucid.Tensor, ...]


def flat(results: Any) -> list[Any]:
    return [x for part in results for x in flat(part)] if isinstance(results, tuple) else [results]


def made(
    model: Callable[..., Any], example: Arguments, calls: Sequence[Arguments], tolerance: float = 1e-4, **options: Any
) -> Made:
    """Exports a model with an example; the other arguments are those of the calls."""
    exported = to_onnx(model, *example, **options)
    given = [{n: x.numpy() for n, x in zip(exported.input_names, call, strict=True)} for call in calls]
    with lucid.no_grad():
        outputs = [flat(model(*call)) for call in calls]
    expected = [{n: y.numpy() for n, y in zip(exported.output_names, each, strict=True)} for each in outputs]
    return Made(exported, given, expected, tolerance=tolerance)


def of_sequences(model: Callable[..., Any], size: int = 3, **options: Any) -> Made:
    """Exports a model of sequences (T, N, size) at 5 steps and 2 sequences; runs it at others."""
    calls = [(lucid.randn(steps, rows, size),) for steps, rows in ((7, 4), (1, 1), (12, 3))]
    return made(model, (lucid.randn(5, 2, size),), calls, **options)


class LengthsClassifier(nn.Module):
    """Reads padded sequences with an LSTM; maps the last state of each to three scores.

    Shape:
        x: (T, N, 3), padded at the end with anything; lengths: (N,). The result: (N, 3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 8), nn.Linear(8, 3)

    def forward(self, x: lucid.Tensor, lengths: lucid.Tensor) -> lucid.Tensor:
        _, (h_n, _) = self.lstm(pack_padded_sequence(x, lengths, enforce_sorted=False))
        scores: lucid.Tensor = self.head(h_n[-1])
        return scores


def padded_calls() -> Made:
    """A classifier of sequences of different length, whose padding is large numbers."""
    calls = []
    for steps, lengths in ((9, [3, 9, 1, 4]), (2, [2]), (4, [4, 4])):
        x = lucid.randn(steps, len(lengths), 3)
        x[lucid.arange(steps).unsqueeze(1) >= lucid.tensor(lengths)] = 1e6
        calls.append((x, lucid.tensor(lengths)))
    return made(LengthsClassifier(), (lucid.randn(5, 2, 3), lucid.tensor([5, 3])), calls)


def streamed() -> Made:
    """A sequence in pieces: the outputs are those of the whole."""
    rnn, x = nn.RNN(3, 8), lucid.randn(11, 3, 3)
    exported = to_onnx(rnn, lucid.randn(5, 2, 3), lucid.zeros(1, 2, 8))
    cuts = ((0, 4), (4, 5), (5, 11))
    calls: list[Named] = [{"x": x[start:end].numpy()} for start, end in cuts]
    calls[0]["h0"] = np.zeros((1, 3, 8), np.float32)
    with lucid.no_grad():
        whole = rnn(x)[0].numpy()
        states = [rnn(x[:end])[1].numpy() for _, end in cuts]
    expected = [{"output": whole[start:end], "h_n": state} for (start, end), state in zip(cuts, states, strict=True)]
    return Made(exported, calls, expected, {"h0": "h_n"})


class FirstOutput(nn.Module):
    """The outputs of a recurrent layer, without its last state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        out: lucid.Tensor = self.layer(x)[0]
        return out


class Conv(nn.Module):
    """A convolution over time: (N, 3, T) to (N, 8, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8)

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        return self.norm(self.conv(x)).relu()


def pooled(x: lucid.Tensor) -> lucid.Tensor:
    """Pads the steps to a multiple of four, and takes the mean of each four: (T, N, 3) to (⌈T/4⌉, N, 3)."""
    x = nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[0] % 4))
    return x.reshape(x.shape[0] // 4, 4, -1, 3).mean(1)


def weighted(x: lucid.Tensor) -> lucid.Tensor:
    """Divides the sum of the steps by 1 + 2 + … + T, a true division of sizes: (T, N, 3) to (N, 3)."""
    steps = x.shape[0]
    return x.sum(0) / (steps * (steps + 1) / 2)


def half(x: lucid.Tensor) -> lucid.Tensor:
    """Adds the first half of the steps, which is none of a single one: (T, N, 3) to (N, 3)."""
    return x[: x.shape[0] // 2].sum(0)


def leaky(x: lucid.Tensor) -> Any:
    """A step of its own, scanned: a leaky sum of (T, N, 3)."""
    return nn.scan(lambda v, step: (0.9 * v + step, v * step), lucid.zeros(x.shape[1], 3), x)


def tokens() -> Made:
    """Integers in, integers and truth values out."""
    embedding, layer = nn.Embedding(20, 8), nn.GRU(8, 8)

    def model(t: lucid.Tensor) -> Any:
        out = layer(embedding(t))[0]
        return out, out.argmax(-1), out.sum(-1) > 0

    calls = [(lucid.randint(0, 20, (steps, rows)),) for steps, rows in ((7, 4), (1, 1))]
    return made(model, (lucid.randint(0, 20, (5, 2)),), calls)


def drawn() -> Made:
    """Dropout, whose random numbers follow from an input, `seed`."""
    generator = lucid.manual_seed(0, generator="counter")
    head = nn.Linear(3, 4)

    def model(x: lucid.Tensor) -> lucid.Tensor:
        return nn.functional.dropout(head(x), 0.5) + lucid.randn(*x.shape[:2], 4)

    exported, calls, expected = to_onnx(model, lucid.randn(5, 2, 3)), [], []
    for steps, rows in ((7, 4), (1, 1)):
        x = lucid.randn(steps, rows, 3)
        seed = generator.begin_step()
        with lucid.no_grad():
            expected.append({exported.output_names[0]: model(x).numpy()})
        calls.append({"x": x.numpy(), "seed": np.array(seed, np.int64)})
    lucid.manual_seed(0)
    return Made(exported, calls, expected)


def double() -> Made:
    """float64, in and out."""
    layer = nn.LSTM(3, 8, dtype=lucid.float64)
    calls = [(lucid.randn(steps, rows, 3, dtype=lucid.float64),) for steps, rows in ((7, 4), (1, 1))]
    return made(layer, (lucid.randn(5, 2, 3, dtype=lucid.float64),), calls, tolerance=1e-10, lowering="scan")


FEATURES: dict[str, Callable[[], Made]] = {
    "`RNN` operator": lambda: of_sequences(nn.RNN(3, 8, num_layers=2)),
    "`LSTM` operator, sequences of different length": padded_calls,
    "`GRU` operator": lambda: of_sequences(nn.GRU(3, 8)),
    "both directions": lambda: of_sequences(nn.LSTM(3, 8, bidirectional=True)),
    "`Scan`": lambda: of_sequences(nn.RNN(3, 8, nonlinearity="relu"), lowering="scan"),
    "`Scan` of an LSTM's columns": lambda: of_sequences(nn.LSTM(3, 8), lowering="columns"),
    "a step of one's own, `nn.scan`": lambda: of_sequences(leaky),
    "unrolled": lambda: made(
        nn.RNN(3, 8), (lucid.randn(5, 2, 3),), [(lucid.randn(5, rows, 3),) for rows in (4, 1)], lowering="unrolled"
    ),
    "a stream, its state carried": streamed,
    "attention": lambda: of_sequences(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0).eval(), 8),
    "`Conv1d`, `BatchNorm1d`": lambda: made(
        Conv().eval(), (lucid.randn(2, 3, 5),), [(lucid.randn(4, 3, 7),), (lucid.randn(1, 3, 1),)]
    ),
    "sizes computed from sizes": lambda: of_sequences(pooled),
    "a true division of sizes": lambda: of_sequences(weighted),
    "a sum of no elements": lambda: of_sequences(half),
    "integers and truth values": tokens,
    "random numbers": drawn,
    "float64": double,
    "float16": lambda: of_sequences(FirstOutput(nn.GRU(3, 8)), precision="float16", tolerance=1e-2),
    "int8": lambda: of_sequences(FirstOutput(nn.LSTM(3, 128)), precision="int8", tolerance=3e-2),
}
"""Makes each model, by the title of its row."""
