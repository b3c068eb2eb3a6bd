"""The fastest lowering is the one that takes the least time, of those that leave the most axes free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import fastest, to_onnx
from lucid.export.exported import Exported


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Times made up: each candidate takes less than the one before; returns the operators of those that were timed."""
    found: list[list[str]] = []

    def seconds(models: Any, plan: Any, example: Any) -> tuple[float, ...]:
        found.append([",".join(sorted({node.op_type for node in model.graph})) for model, _ in models])
        return tuple([1.0 / (i + 1) for i in range(len(models))])

    monkeypatch.setattr(fastest, "seconds", seconds)
    return found


def exported(model: Any, *inputs: Any, **options: Any) -> Exported:
    return to_onnx(model, *inputs, lowering="fastest", **options)


def right(found: Exported, model: Any, *shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        x = lucid.randn(*shape)
        np.testing.assert_allclose(lucid.runtime.Session(found)(x)[0], model(x)[0].detach(), atol=1e-5)


def test_the_best_is_written(taken: list[list[str]]) -> None:
    layer = nn.RNN(3, 4)
    found = exported(layer, lucid.randn(5, 2, 3))
    assert list(found.lowerings) == ["rnn", "scan"], "columns are the same here, and unrolled would fix the time"
    assert found.operators["Scan"] == 1
    assert found.axes == {"x": {0: "time", 1: "batch"}}
    right(found, layer, (5, 2, 3), (9, 4, 3), (1, 1, 3))
    assert "lowering scan: 500 ms a call" in str(found)
    assert "lowering rnn: 1e+03 ms a call" in str(found)


def test_an_lstm_has_columns_too(taken: list[list[str]]) -> None:
    layer = nn.LSTM(3, 4)
    found = exported(layer, lucid.randn(5, 2, 3))
    assert list(found.lowerings) == ["rnn", "scan", "columns"]
    right(found, layer, (5, 2, 3), (9, 4, 3))


def test_with_a_fixed_time_steps_may_be_unrolled(taken: list[list[str]]) -> None:
    found = exported(nn.RNN(3, 4), lucid.randn(5, 2, 3), dynamic={"x": {1: "batch"}})
    assert list(found.lowerings) == ["rnn", "unrolled", "scan"]
    assert found.axes == {"x": {1: "batch"}}


def test_relu_keeps_its_time_free(taken: list[list[str]]) -> None:
    """By default it is unrolled, so its time is fixed."""
    found = exported(nn.RNN(3, 4, nonlinearity="relu"), lucid.randn(5, 2, 3))
    assert list(found.lowerings) == ["rnn", "scan"]
    assert found.axes == {"x": {0: "time", 1: "batch"}}


def test_the_only_way_is_not_timed(taken: list[list[str]]) -> None:
    found = exported(nn.RNN(3, 4, dtype="float64"), lucid.randn(5, 2, 3, dtype="float64"))
    assert (found.lowerings, found.operators["Scan"], taken) == ({}, 1, [])
    assert exported(nn.Linear(3, 4), lucid.randn(2, 3)).lowerings == {}


def test_what_cannot_be_exported_is_refused_alike() -> None:
    layer = nn.RNN(3, 4)
    with pytest.raises(ExportError, match="cannot be dynamic"):
        exported(lambda x: layer(x[: int(x.shape[0])])[0], lucid.randn(5, 2, 3), dynamic={"x": {0: "time"}})


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_other_precisions(precision: Any) -> None:
    layer = nn.GRU(64, 128)
    found = exported(layer, lucid.randn(3, 2, 64), precision=precision)
    assert all(seconds > 0 for seconds in found.lowerings.values())
    assert found.report is not None


def test_it_is_timed_in_onnxruntime() -> None:
    found = exported(nn.GRU(3, 4), lucid.randn(5, 2, 3))
    times: Mapping[str, float] = found.lowerings
    assert set(times) == {"rnn", "scan"}
    best = min(times, key=times.__getitem__)
    assert found.operators.get("Scan", 0) == (best == "scan")


def test_a_file_of_operators_says_that_others_may_be_faster() -> None:
    assert 'lowering="fastest"' in str(to_onnx(nn.RNN(3, 4), lucid.randn(5, 2, 3)))
    assert "lowering=" not in str(to_onnx(nn.Linear(3, 4), lucid.randn(5, 3)))
