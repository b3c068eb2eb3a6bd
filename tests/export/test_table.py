"""Exports of recurrent layers with all options: docs/export-appendix.md is up to date, and every opset works."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lucid
from benchmarks.export_table import CASES, DYNAMIC, LOWERINGS, PAGE, page, row, try_out
from lucid import nn
from lucid.export import to_onnx
from lucid.export.lowering.opset import OLDEST_OPSET, newest_opset
from lucid.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from tests.tiers import sampled, thinned

SAMPLE = random.Random(0).sample(
    [(case, lowering, dynamic) for case in CASES for lowering in LOWERINGS for dynamic in DYNAMIC], 24
)


def recorded(case: Any) -> str:
    """Returns the row of a case that stands on the page."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"| {' | '.join(case.name)} |"))


def test_there_is_a_row_for_each_case() -> None:
    assert len(CASES) == 4 * 3 * 2 * 2 * 2 + 2 * 4
    assert len({case.name for case in CASES}) == len(CASES)
    assert page(recorded) == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("case", "lowering", "dynamic"),
    thinned(SAMPLE, 4, arguments=3),
    ids=lambda x: x if isinstance(x, str) else " ".join(x.name),
)
def test_a_part_of_the_page(case: Any, lowering: Any, dynamic: Any) -> None:
    cell = try_out(case, lowering, dynamic)
    cells = [text.strip() for text in recorded(case).strip("|").split("|")]
    assert cells[len(case.name) + 3 * LOWERINGS.index(lowering) + DYNAMIC.index(dynamic)] == str(cell)
    assert cell.difference < float(cells[-1].removeprefix("< "))


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled(CASES, 8), ids=lambda case: " ".join(case.name))
def test_each_row_is_what_comes_of_it(case: Any) -> None:
    assert row(case) == recorded(case)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("opset", thinned(range(OLDEST_OPSET, newest_opset() + 1), 5))
def test_every_operator_set(opset: int, lowering: Any) -> None:
    layer = nn.RNN(3, 4, 2)

    def run(x: lucid.Tensor, h0: lucid.Tensor, lengths: lucid.Tensor) -> tuple[lucid.Tensor, lucid.Tensor]:
        output, h_n = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), h0)
        return pad_packed_sequence(output)[0], h_n

    x, h0, lengths = lucid.randn(5, 3, 3), lucid.randn(2, 3, 4), lucid.tensor([2, 5, 1])
    exported = to_onnx(run, x, h0, lengths, opset=opset, lowering=lowering)
    assert [entry.version for entry in exported.proto.opset_import] == [opset]
    session = onnxruntime.InferenceSession(exported.serialize(), providers=["CPUExecutionProvider"])
    results = session.run(None, {"x": x.numpy(), "h0": h0.numpy(), "lengths": lengths.numpy()})
    for result, expected in zip(results, run(x, h0, lengths), strict=True):
        np.testing.assert_allclose(result, expected.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_shared_weights_are_in_the_file_once(lowering: Any) -> None:
    case = next(case for case in CASES if case.name == ("shared weights", "tanh"))
    arrays = [lucid.from_numpy(array) for array in case.inputs(3, 2).values()]
    model = case.make().to(np.float32)
    shapes = [value.shape for value in to_onnx(model, *arrays, lowering=lowering).model.graph.initializers.values()]
    assert sum(np.prod(tuple(shape)) == 36 for shape in shapes if shape is not None) == 2
