"""Initial values: bounds, moments and structure; parameters as one vector."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ShapeError

SHAPES = [(200, 300), (60, 20, 50)]


def fans(shape):
    return shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier(shape, gain):
    std = gain * math.sqrt(2 / sum(fans(shape)))
    for fill in (nn.init.xavier_uniform_, nn.init.xavier_normal_):
        lucid.manual_seed(0)
        w = lucid.zeros(*shape)
        assert fill(w, gain) is w
        assert float(w.numpy().std()) == pytest.approx(std, rel=0.02)
        assert float(w.numpy().mean()) == pytest.approx(0, abs=std / 50)
    bound = std * math.sqrt(3)
    assert 0.99 * bound < np.abs(nn.init.xavier_uniform_(w, gain).numpy()).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(("a", "nonlinearity"), [(0.0, "leaky_relu"), (math.sqrt(5), "leaky_relu"), (0.0, "tanh")])
def test_kaiming(shape, mode, a, nonlinearity):
    std = nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fans(shape)[mode == "fan_out"])
    for fill in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_):
        lucid.manual_seed(0)
        w = fill(lucid.zeros(*shape), a, mode, nonlinearity)
        assert float(w.numpy().std()) == pytest.approx(std, rel=0.02)
    bound = std * math.sqrt(3)
    w = nn.init.kaiming_uniform_(w, a, mode, nonlinearity)
    assert 0.99 * bound < np.abs(w.numpy()).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("nonlinearity", ["linear", "conv1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
@pytest.mark.parametrize("param", [None, 0.3])
def test_gains_like_pytorch(nonlinearity, param, torch):
    assert nn.init.calculate_gain(nonlinearity, param) == torch.nn.init.calculate_gain(nonlinearity, param)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (3, 2, 4), (8, 2, 2), (1, 1)])
def test_orthogonal(shape):
    w = nn.init.orthogonal_(lucid.zeros(*shape, dtype="float64"), gain=2.0).numpy().reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_drawn_evenly():
    lucid.manual_seed(0)
    signs = [np.sign(nn.init.orthogonal_(lucid.zeros(2, 2)).numpy()[0, 0]) for _ in range(200)]
    assert abs(sum(signs)) < 60


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (1, 2, 0, 9), (0, 1, 3, 5), (0, 1, 8, 99), (0, 9, -1, 1), (5, 1, 0, 2)],
)
def test_truncated(mean, std, a, b, torch):
    lucid.manual_seed(0)
    values = nn.init.trunc_normal_(lucid.zeros(100, 200, dtype="float64"), mean, std, a, b).numpy()
    assert a <= values.min()
    assert values.max() <= b
    # The moments of the truncated density, integrated on a fine grid.
    grid = np.linspace(a, min(b, a + 10 * std), 200_001)
    density = torch.distributions.Normal(mean, std).log_prob(torch.tensor(grid)).numpy()
    density = np.exp(density - density.max())
    expected = (grid * density).sum() / density.sum()
    spread = math.sqrt(((grid - expected) ** 2 * density).sum() / density.sum())
    assert values.mean() == pytest.approx(expected, abs=5 * spread / math.sqrt(values.size))
    assert values.std() == pytest.approx(spread, rel=0.05)


def test_eye():
    assert nn.init.eye_(lucid.ones(3, 2)).tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.init.xavier_uniform_(lucid.zeros(3)),
            ShapeError,
            "xavier_uniform_: expected a weight with",
        ),
        (lambda: nn.init.kaiming_normal_(lucid.zeros(3)), ShapeError, "kaiming_normal_: expected a weight"),
        (lambda: nn.init.orthogonal_(lucid.zeros(3)), ShapeError, "orthogonal_: expected a tensor with two axes"),
        (lambda: nn.init.eye_(lucid.zeros(2, 2, 2)), ShapeError, "eye_: expected a matrix"),
        (lambda: nn.init.kaiming_uniform_(lucid.zeros(2, 2), mode="out"), ValueError, "mode must be 'fan_in' or"),
        (lambda: nn.init.calculate_gain("swish"), ValueError, "nonlinearity must be one of linear, .*; got 'swish'"),
        (lambda: nn.init.trunc_normal_(lucid.zeros(2), a=2.0), ValueError, "a must be less than b"),
        (lambda: nn.init.trunc_normal_(lucid.zeros(2), std=0.0), ValueError, "std positive"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- parameters as a vector


def test_vector_round_trip():
    model, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.tolist() == [*model.weight.reshape(-1).tolist(), *model.bias.tolist()]
    nn.utils.vector_to_parameters(vector, twin.parameters())
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert p.tolist() == q.tolist()
        assert not np.shares_memory(p._data, q._data)


def test_vector_has_gradients():
    model = nn.Linear(2, 2)
    (nn.utils.parameters_to_vector(model.parameters()) * lucid.arange(6)).sum().backward()
    assert model.weight.grad.tolist() == [[0, 1], [2, 3]]
    assert model.bias.grad.tolist() == [4, 5]


def test_vector_refuses():
    model = nn.Linear(2, 2)
    before = model.weight.tolist()
    for wrong in (lucid.zeros(5), lucid.zeros(7), lucid.zeros(2, 3)):
        with pytest.raises(ShapeError, match="the parameters have 6 elements; got shape"):
            nn.utils.vector_to_parameters(wrong, model.parameters())
    assert model.weight.tolist() == before
    with pytest.raises(ShapeError, match="expected at least one parameter"):
        nn.utils.parameters_to_vector([])
