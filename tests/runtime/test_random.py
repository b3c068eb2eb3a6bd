"""Compiled models that draw random numbers: those of the eager model, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError, LucidError
from lucid.nn import functional as F
from lucid.runtime import compile, compile_backward
from tests.tiers import thinned

pytestmark = pytest.mark.usefixtures("quick_choices")


class Loss(nn.Module):
    """A recurrent layer with dropout between its layers, before it and after it, and noise on the target."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        layer: Any = {"tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.rnn = layer(4, 6, num_layers=2, dropout=0.4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Any, y: Any) -> Any:
        output, _ = self.rnn(F.dropout1d(x, 0.2, self.training))
        dropped = self.drop(output)
        return F.mse_loss(self.head(dropped), y + 0.1 * lucid.randn_like(y)), dropped


def batches() -> list[Any]:
    rng = np.random.default_rng(0)
    sizes = [(5, 3), (7, 2), (5, 3), (9, 4), (3, 1), (5, 3), (7, 2), (9, 4)]
    return [tuple(lucid.tensor(rng.standard_normal((t, n, i)).astype(np.float32)) for i in (4, 2)) for t, n in sizes]


def trained(kind: str, compiled: bool) -> tuple[list[Any], list[Any], Any]:
    """Trains for some steps; returns the losses, the zeros that dropout made, and the parameters."""
    generator = lucid.manual_seed(6, generator="counter")
    model = Loss(kind)
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.01)
    backward = compile_backward(model)
    losses, masks = [], []
    for x, y in batches():
        optimizer.zero_grad()
        if compiled:
            loss, dropped = backward(x, y)
        else:
            generator.begin_step()
            loss, dropped = model(x, y)
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
        masks.append(dropped.detach().numpy() == 0)
    assert lucid.get_rng_state()["seed"] == 6 + len(losses)
    return losses, masks, [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize("kind", thinned(["gru", "tanh", "lstm"], 3))
def test_training_draws_what_eager_training_draws(kind: str) -> None:
    losses, masks, parameters = trained(kind, compiled=True)
    expected = trained(kind, compiled=False)
    for mask, other in zip(masks, expected[1], strict=True):
        np.testing.assert_array_equal(mask, other)
        assert 0.1 < mask.mean() < 0.5
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    for one, other in zip(parameters, expected[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


class Sampler(nn.Module):
    """A model that draws in evaluation mode, too."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.head(x) + lucid.rand(x.shape[0], 2), F.dropout(x, 0.5)


def test_inference_draws_anew_in_each_call() -> None:
    generator = lucid.manual_seed(3, generator="counter")
    model = Sampler().eval()
    compiled = compile(model)
    x = lucid.randn(5, 3)
    state = lucid.get_rng_state()
    found = [compiled(x) for _ in range(3)]
    lucid.set_rng_state(state)
    for results in found:
        generator.begin_step()
        for one, other in zip(results, model(x), strict=True):
            np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=1e-6, atol=1e-6)
    assert len({results[0].numpy().tobytes() for results in found}) == 3
    # What is drawn after a call is not what the call drew.
    compiled(x)
    drawn = [lucid.rand(5, 2).numpy() for _ in range(2)]
    lucid.set_rng_state({**lucid.get_rng_state(), "draw": 0})
    first = [lucid.rand(5, 2).numpy() for _ in range(2)]
    assert all((one != other).all() for one in drawn for other in first)


def test_the_generator_must_stay_counter_based() -> None:
    lucid.manual_seed(3)
    model, x = Sampler().eval(), lucid.ones(5, 3)
    compiled = compile(model)
    with pytest.raises(ExportError, match=r"after lucid\.manual_seed\(seed, generator='counter'\)"):
        compiled(x)
    lucid.manual_seed(3, generator="counter")
    compiled(x)
    lucid.manual_seed(3)
    with pytest.raises(LucidError, match=r"seed it by lucid\.manual_seed\(seed, generator='counter'\)"):
        compiled(x)


def test_a_model_in_training_mode_runs_as_it_is() -> None:
    generator = lucid.manual_seed(3, generator="counter")
    model = nn.Sequential(nn.Linear(3, 40), nn.Dropout(0.5), nn.Linear(40, 2), nn.Dropout(0.2))
    compiled = compile(model)
    x = lucid.randn(5, 3)

    def assert_same() -> None:
        found = compiled(x).numpy()
        # The generator is still in the step of the call.
        lucid.set_rng_state({"generator": "counter", "seed": generator.get_state()["seed"], "draw": 0})
        np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)

    for mode in (True, False, True):
        model.train(mode)
        for _ in range(2):
            assert_same()
    model[1].eval()
    assert_same()
    model[1].train()
    assert_same()
    lucid.manual_seed(3)
    with pytest.raises(LucidError, match=r"in training mode; call eval\(\) on the model first, or, to run it as it is"):
        compiled(x)
    model.eval()
    np.testing.assert_allclose(compiled(x).numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    norm = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    lucid.manual_seed(3, generator="counter")
    with pytest.raises(LucidError, match="updates its running values"):
        compile(norm)(x)
