"""Layers: arguments that they refuse, and options that no row of tests/nn/cases.py covers."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import AxisError, ShapeError

WEIGHT = np.array([0.5, 2.0, 1.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(0, 3), ValueError, "num_embeddings must be positive; got 0"),
        (lambda: nn.Embedding(3, 2.0), TypeError, "embedding_dim must be an int; got float"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), AxisError, "padding_idx must name one of 3 rows; got 3"),
        (lambda: nn.Embedding(3, 2)(lucid.tensor([-1])), AxisError, "input must be from 0 to 2"),
        (lambda: nn.Embedding.from_pretrained(lucid.ones(3)), ShapeError, "a table must be a matrix"),
        (lambda: nn.LayerNorm(()), ValueError, r"normalized_shape must be positive ints; got \(\)"),
        (lambda: nn.LayerNorm((2, 0)), ValueError, r"must be positive ints; got \(2, 0\)"),
        (lambda: nn.LayerNorm(3)(lucid.ones(2)), ShapeError, "input must end with the shape"),
        (lambda: nn.Conv1d(3, 4, 0), ValueError, "kernel_size must be an int of at least 1; got 0"),
        (lambda: nn.Conv1d(3, 4, 2, padding=-1), ValueError, "padding must be an int of at least 0; got -1"),
        (lambda: nn.Conv1d(3, 4, 2, groups=2), ValueError, "in_channels must be a multiple of groups=2; got 3"),
        (lambda: nn.Conv1d(4, 3, 2, groups=2), ValueError, "out_channels must be a multiple of groups=2; got 3"),
        (lambda: nn.Conv1d(3, 4, 2, padding="full"), ValueError, "must be a number, 'valid' or 'same'; got 'full'"),
        (lambda: nn.Conv1d(3, 4, 2, 2, "same"), ValueError, "padding='same' is for stride 1; got 2"),
        (lambda: nn.Conv1d(3, 4, 2)(lucid.ones(1, 2, 5)), ShapeError, "conv1d: weight"),
        (lambda: nn.GELU("erf"), ValueError, "approximate must be 'none' or 'tanh'; got 'erf'"),
        (lambda: nn.Hardtanh(1.0, 1.0), ValueError, "min_val must be less than max_val; got 1.0 and 1.0"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), ValueError, "beta must not be negative; got -1.0"),
        (lambda: nn.HuberLoss(delta=0.0), ValueError, "delta must be positive; got 0.0"),
        (lambda: nn.BCELoss(reduction="max"), ValueError, "BCELoss: reduction must be"),
        (lambda: nn.KLDivLoss("max"), ValueError, "KLDivLoss: reduction must be .* or 'batchmean'; got 'max'"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_padding_starts_as_zeros_and_has_no_gradient():
    layer = nn.Embedding(4, 2, padding_idx=-3)
    assert layer.padding_idx == 1
    assert layer.weight.tolist()[1] == [0, 0]
    layer(lucid.tensor([1, 2, 1, 2])).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [0, 0], [2, 2], [0, 0]]
    layer.reset_parameters()
    assert layer.weight.tolist()[1] == [0, 0]


def test_a_given_table_is_copied_and_frozen():
    table = lucid.tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64")
    layer = nn.Embedding.from_pretrained(table)
    assert layer.weight.dtype == np.float64
    assert not layer.weight.requires_grad
    assert not np.shares_memory(layer.weight._data, table._data)
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


def test_initial_values():
    lucid.manual_seed(0)
    table = nn.Embedding(100, 100).weight._data
    assert float(table.std()) == pytest.approx(1, rel=0.05)
    conv = nn.Conv1d(8, 64, 8, groups=2)
    bound = 32**-0.5
    assert 0.99 * bound < np.abs(conv.weight._data).max() <= bound
    assert 0.9 * bound < np.abs(conv.bias._data).max() <= bound
    norm = nn.LayerNorm((2, 3))
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.reset_parameters()
    assert norm.weight.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert norm.bias.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("name", "options"), [("NLLLoss", {}), ("BCELoss", {}), ("BCEWithLogitsLoss", {"pos_weight": WEIGHT})]
)
def test_weights_of_losses_like_pytorch(name, options, torch):
    scores = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3))
    target = np.array([0, 2, 1, 2]) if name == "NLLLoss" else np.round(scores)
    results = []
    for library in (lucid, torch):
        tensors = {key: library.tensor(value) for key, value in {"weight": WEIGHT, **options}.items()}
        loss = getattr(library.nn, name)(**tensors)
        assert set(loss.state_dict()) == set(tensors)
        results.append(float(loss(library.tensor(scores), library.tensor(target))))
    assert results[0] == pytest.approx(results[1], rel=1e-12)
