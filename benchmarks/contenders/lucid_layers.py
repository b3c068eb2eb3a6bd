"""lucid's exports of recurrent layers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import lucid
from lucid import nn
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..job import Job
from ..layer import PAIRS, H, I, Layer

__all__ = ["export"]


class Packed(nn.Module):
    """A recurrent layer over sequences of different length."""

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Any, lengths: Any) -> Any:
        output, state = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(output)[0], state


def export(layer: Layer) -> Job:
    """Exports, with the comparison in onnxruntime."""
    lucid.manual_seed(0)
    rnn: nn.RNNBase = getattr(nn, layer.kind)(I, H, **layer.options)
    model: nn.Module = Packed(rnn) if layer.form == "packed lengths" else rnn
    file, seconds = b"", 0.0

    def given(steps: int, batch: int) -> tuple[Any, ...]:
        return layer.arguments({name: lucid.from_numpy(a) for name, a in layer.inputs(steps, batch).items()})

    def run() -> None:
        nonlocal file, seconds
        start = time.process_time()
        example = given(layer.time, layer.batch)
        file = to_onnx(model, *example, input_names=list(layer.axes), dynamic=layer.axes).serialize()
        seconds = time.process_time() - start

    def results() -> dict[str, Any]:
        found = {"file": np.frombuffer(file, np.uint8), "seconds": np.array(seconds)}
        for pair in PAIRS:
            with lucid.no_grad():
                output, state = model(*given(*pair))
            tensors = (output, *state) if isinstance(state, tuple) else (output, state)
            found |= {f"{pair} {i}": tensor.numpy() for i, tensor in enumerate(tensors)}
        return found

    return Job(run, results)
