"""Weights of an export: it owns them, and a weight that is used twice is stored once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.export import to_onnx, verify
from lucid.runtime import Session

IDS = np.arange(12).reshape(4, 3)


class Language(nn.Module):
    """An embedding that is also the output layer."""

    def __init__(self, tied: bool = True, words: int = 200) -> None:
        super().__init__()
        self.table = nn.Embedding(words, 64)
        self.rnn = nn.RNN(64, 64)
        self.head = nn.Linear(64, words, bias=False)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, ids: Any) -> Any:
        return self.head(self.rnn(self.table(ids))[0])


# --- ownership


@pytest.mark.parametrize("external_data", [False, True])
def test_an_export_does_not_follow_the_model(external_data: bool, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32))
    x = lucid.randn(4, 32)
    made = to_onnx(model, x)
    before, expected = made.serialize(), Session(made)(x)[0]
    for parameter in model.parameters():
        parameter.grad = lucid.ones_like(parameter)
    lucid.optim.SGD(model.parameters(), lr=1.0).step()
    assert made.serialize() == before
    np.testing.assert_array_equal(Session(made)(x)[0], expected)
    made.save(tmp_path / "m.onnx", external_data=external_data)
    assert verify(tmp_path / "m.onnx").weights == made.metadata["lucid.weights.sha256"]
    np.testing.assert_array_equal(Session(tmp_path / "m.onnx")(x)[0], expected)


def test_nor_does_the_model_follow_the_export() -> None:
    model = nn.Linear(32, 32)
    weight = model.weight.detach().numpy().copy()
    made = to_onnx(model, lucid.randn(4, 32))
    for value in made.model.graph.initializers.values():
        array = value.const_value.numpy()  # type: ignore[union-attr]
        assert not np.shares_memory(array, model.weight._data)
    np.testing.assert_array_equal(model.weight.detach().numpy(), weight)


# --- tied weights


@pytest.mark.parametrize("precision", [None, "float32", "float16"])
@pytest.mark.parametrize("external_data", [False, True])
def test_a_tied_weight_is_stored_once(precision: Any, external_data: bool, tmp_path: Path) -> None:
    lucid.manual_seed(0)
    model = Language()
    path = tmp_path / "m.onnx"
    made = to_onnx(model, lucid.tensor(IDS), path=path, precision=precision, external_data=external_data)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    weights = sum(parameter._data.nbytes for parameter in model.parameters()) // (2 if precision == "float16" else 1)
    assert weights < size < weights + 6000
    assert made.operators["Transpose"] == 1
    found = Session(path)(IDS)[0]
    np.testing.assert_allclose(found, model(lucid.tensor(IDS)).detach(), atol=2e-2 if precision == "float16" else 1e-5)


def test_weights_that_differ_are_two() -> None:
    assert "Transpose" not in to_onnx(Language(tied=False), lucid.tensor(IDS)).operators


def test_a_quantized_model_keeps_both() -> None:
    operators = to_onnx(Language(words=300), lucid.tensor(IDS), precision="int8").operators
    assert operators["MatMulInteger"] == 1
    assert "Transpose" not in operators


def test_files_store_a_tied_weight_once(tmp_path: Path) -> None:
    model = Language()
    weights = sum(parameter._data.nbytes for parameter in model.parameters())
    lucid.save(model.state_dict(), tmp_path / "a")
    lucid.save_checkpoint(tmp_path / "b", model=model)
    for name in "ab":
        assert weights < (tmp_path / name).stat().st_size < weights + 4000
    loaded = lucid.load(tmp_path / "a")
    assert loaded.keys() == model.state_dict().keys()
    assert not np.shares_memory(loaded["table.weight"]._data, loaded["head.weight"]._data)
    for load in (
        lambda other: other.load_state_dict(lucid.load(tmp_path / "a")),
        lambda other: lucid.load_checkpoint(tmp_path / "b", model=other),
    ):
        for tied in (True, False):
            other = Language(tied)
            load(other)
            for name, tensor in model.state_dict().items():
                np.testing.assert_array_equal(other.state_dict()[name].numpy(), tensor.numpy())
