"""Models and rows for the tests of scoring, and what a model gives for each row by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FEATURES, STATES = 3, 4


class Tagger(nn.Module):
    """A bidirectional layer over sequences with lengths: labels for each step, and scores for the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(FEATURES, STATES, bidirectional=True), nn.Linear(2 * STATES, 2)

    def forward(self, x: Any, lengths: Any) -> Any:
        steps, last = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return self.head(pad_packed_sequence(steps)[0]), last[0].sum(-1)


def tagger(path: Path | None = None) -> tuple[Tagger, Any]:
    """Returns the model and its export: x (time, batch, 3) and lengths (batch,) to (time, batch, 2) and (batch,)."""
    lucid.manual_seed(0)
    model = Tagger().eval()
    example = lucid.randn(5, 2, FEATURES), lucid.tensor([3, 5])
    return model, to_onnx(model, *example, output_names=["labels", "score"], path=path)


def sequences(count: int, longest: int = 9, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Returns sequences (time, 3) of different length."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, FEATURES)).astype("f4") for n in rng.integers(1, longest + 1, count)]


def alone(model: Tagger, rows: list[np.ndarray[Any, Any]]) -> list[tuple[Any, Any]]:
    """Returns what the eager model gives for each sequence by itself."""
    with lucid.no_grad():
        found = [model(lucid.tensor(x[:, None]), lucid.tensor([len(x)])) for x in rows]
    return [(labels.numpy()[:, 0], score.numpy()[0]) for labels, score in found]


def write_parquet(path: Path, rows: list[np.ndarray[Any, Any]], start: int = 0, **options: Any) -> None:
    """Writes sequences as lists of lists of a fixed size, with their numbers as id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    steps = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(rows).ravel()), FEATURES)
    frames = pa.ListArray.from_arrays(np.cumsum([0, *map(len, rows)]).astype("i4"), steps)
    table = pa.table(
        {"id": np.arange(start, start + len(rows)), "x": frames, "note": [f"n{i}" for i in range(len(rows))]}
    )
    pq.write_table(table, path, **options)
