"""A training step that draws random numbers draws what eager training draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import StateDictError
from lucid.export import training_step
from tests.tiers import thinned

F = nn.functional


class Noisy(nn.Module):
    """Two recurrent layers with dropout between them, and dropout before the head."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(3, 6, 2, dropout=0.3)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.drop(self.rnn(x)[0][-1]))


def loss(model: Any, x: Any, y: Any) -> Any:
    noise = 0.1 * lucid.randn_like(x)
    mask = lucid.bernoulli(lucid.full(x.shape, 0.9))
    return F.cross_entropy(model(x * mask + noise), y), {"uniform": lucid.rand(3), "kept": mask}


def batch(step: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(step)
    x = rng.standard_normal((3 + step, 2 + step, 3)).astype(np.float32)
    return lucid.tensor(x), lucid.tensor(rng.integers(0, 2, 2 + step))


def made(kind: str) -> tuple[Any, Any, Any]:
    """Returns a model, its optimizer and lucid's generator."""
    generator = lucid.manual_seed(5, generator="counter")
    model = Noisy(kind)
    return model, optim.Adam(model.parameters(), lr=0.01), generator


def eager(generator: Any, model: Any, optimizer: Any, number: int) -> tuple[Any, dict[str, Any]]:
    generator.begin_step()
    optimizer.zero_grad()
    value, metrics = loss(model, *batch(number))
    value.backward()
    optimizer.step()
    return value.item(), metrics


def assert_states(state: dict[str, Any], expected: dict[str, Any], rtol: float = 1e-4, atol: float = 2e-6) -> None:
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(state[name], array, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("kind", thinned(["GRU", "LSTM", "RNN"], 3))
def test_it_draws_what_eager_training_draws(kind: str) -> None:
    model, optimizer, generator = made(kind)
    step = training_step(model, loss, optimizer, *batch(1))
    assert step.report is not None
    assert len(step.report.checks) == 5
    # The initial weights were drawn in the step before.
    assert step.start["seed"].dtype == np.int64
    assert step.start["seed"] == 6 == generator.begin_step()
    state = step.start
    for number in range(6):
        state, value, metrics = step(state, *batch(number))
        expected, its = eager(generator, model, optimizer, number)
        assert math.isclose(value, expected, rel_tol=1e-5)
        np.testing.assert_array_equal(metrics["uniform"], its["uniform"].numpy())
        np.testing.assert_array_equal(metrics["kept"], its["kept"].numpy())
        assert state["seed"] == 7 + number
    assert_states(state, step.state_of(model, optimizer))


def test_files_and_their_contract(tmp_path: Path) -> None:
    model, optimizer, _ = made("GRU")
    step = training_step(model, loss, optimizer, *batch(1), path=tmp_path / "noisy.train.onnx", verify=False)
    assert step.contract["state"]["seed"] == {"kind": "seed", "shape": [], "dtype": "int64"}
    init = ort.InferenceSession(tmp_path / "noisy.init.onnx")
    start = dict(zip([output.name for output in init.get_outputs()], init.run(None, {}), strict=True))
    assert start["seed"] == 6
    session = ort.InferenceSession(tmp_path / "noisy.train.onnx")
    names = [output.name for output in session.get_outputs()]
    x, y = (tensor.numpy() for tensor in batch(2))
    first, second = (
        dict(zip(names, session.run(names, {**start, "x": x, "y": y, "seed": np.array(seed)}), strict=True))
        for seed in (11, 12)
    )
    assert (first["next.seed"], second["next.seed"]) == (12, 13)
    assert not np.isin(first["uniform"], second["uniform"]).any(), "neighbouring seeds are independent"
    # In evaluation nothing is drawn, so that the model for inference has no seed.
    inference = ort.InferenceSession(tmp_path / "noisy.onnx")
    assert "seed" not in [value.name for value in inference.get_inputs()]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["file", "eager"])
def test_a_run_that_stops_goes_on_with_the_same_draws(first: str, tmp_path: Path) -> None:
    model, optimizer, generator = made("GRU")
    step = training_step(model, loss, optimizer, *batch(1), verify=False)
    whole = step.start
    for number in range(6):
        whole, _, _ = step(whole, *batch(number))
    if first == "file":
        state = step.start
        for number in range(3):
            state, _, _ = step(state, *batch(number))
        lucid.save(state, tmp_path / "state.safetensors")
        generator = lucid.manual_seed(0, generator="counter")  # as in another process
        model = Noisy("GRU")
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        step.load_into(model, optimizer, lucid.load(tmp_path / "state.safetensors"))
        for number in range(3, 6):
            eager(generator, model, optimizer, number)
        state = step.state_of(model, optimizer)
    else:
        for number in range(3):
            eager(generator, model, optimizer, number)
        state = step.state_of(model, optimizer)
        for number in range(3, 6):
            state, _, _ = step(state, *batch(number))
    assert_states(state, whole)


def test_without_draws_there_is_no_seed() -> None:
    model, optimizer, _ = made("GRU")
    model.eval()
    step = training_step(model, lambda model, x, y: F.cross_entropy(model(x), y), optimizer, *batch(1), verify=False)
    assert "seed" not in step.start
    model.train()
    with pytest.raises(TypeError, match="these differ: seed"):
        step({**step.start, "seed": 1}, *batch(1))


@pytest.mark.slow
def test_seeds_count_past_the_largest() -> None:
    model, optimizer, generator = made("RNN")
    generator.manual_seed(2**63 - 1, "counter")
    step = training_step(model, loss, optimizer, *batch(1), verify=False)
    state, first, _ = step(step.start, *batch(1))
    assert state["seed"] == -(2**63)
    expected = [eager(generator, model, optimizer, 1)[0] for _ in range(2)]
    _, second, _ = step(state, *batch(1))
    np.testing.assert_allclose([first, second], expected, rtol=1e-5)


@pytest.mark.slow
def test_the_generator_must_draw_what_the_file_draws() -> None:
    model, optimizer, _ = made("GRU")
    step = training_step(model, loss, optimizer, *batch(1), verify=False)
    lucid.manual_seed(0)
    before = model.head.weight.tolist()
    with pytest.raises(StateDictError, match=r"load_into: .* not the one that draws the same"):
        step.load_into(model, optimizer, {**step.start, "head.weight": step.start["head.weight"] + 1})
    assert model.head.weight.tolist() == before
    with pytest.raises(StateDictError, match=r"state_of: .* not the one that draws the same"):
        step.state_of(model, optimizer)


@pytest.mark.slow
def test_exporting_leaves_the_draws_of_the_next_step_as_they_were() -> None:
    model, optimizer, generator = made("GRU")
    generator.begin_step()
    state = generator.get_state()
    training_step(model, loss, optimizer, *batch(1))
    assert generator.get_state() == state
