"""Layers: arguments that they refuse, and options that no row of tests/nn/cases.py covers."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import AxisError, ShapeError

F = nn.functional
X = lucid.ones(2, 3, 5)
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
        (lambda: nn.Conv2d(3, 4, (2, 2, 2)), ValueError, "kernel_size must be an int of at least 1, or 2 of them"),
        (lambda: nn.Conv2d(3, 4, 2, (2, 1), "same"), ValueError, r"padding='same' is for stride 1; got \(2, 1\)"),
        (lambda: nn.Conv2d(3, 4, 2)(lucid.ones(3, 5)), ShapeError, r"conv2d: expected an input \(N, C, H, W\)"),
        (lambda: nn.Conv2d(3, 4, 9)(lucid.ones(3, 5, 9)), ShapeError, "the kernel reaches over 9 positions"),
        (lambda: nn.MaxPool1d(2, padding=2)(X), ShapeError, "padding must be at most half of kernel_size=2; got 2"),
        (lambda: nn.MaxPool1d(6)(X), ShapeError, "the window reaches over 6 positions, but there are 5 and 0"),
        (lambda: nn.MaxPool1d(0)(X), ValueError, "max_pool1d: kernel_size must be an int of at least 1; got 0"),
        (lambda: nn.MaxPool2d(2)(X[0]), ShapeError, r"max_pool2d: expected an input \(N, C, H, W\) or \(C, H, W\)"),
        (lambda: nn.AvgPool1d(2)(X[0, 0]), ShapeError, r"avg_pool1d: expected an input \(N, C, L\) or \(C, L\)"),
        (lambda: nn.AvgPool2d(2, divisor_override=0)(X), ValueError, "divisor_override must not be 0"),
        (lambda: nn.AdaptiveAvgPool1d(0)(X), ValueError, "output_size must be positive ints or None"),
        (lambda: nn.AdaptiveAvgPool1d(2)(X[:, :, :0]), ShapeError, "axis 2 has no elements"),
        (lambda: F.interpolate(X), ValueError, "give size or scale_factor; got None and None"),
        (lambda: F.interpolate(X, 2, 2.0), ValueError, "give size or scale_factor; got 2 and 2.0"),
        (lambda: F.interpolate(X[0], 2), ShapeError, r"expected sequences .* or volumes; got shape \(3, 5\)"),
        (
            lambda: F.interpolate(X, (2, 2)),
            ValueError,
            r"size must be a number, or one for each of 1 axes; got \(2, 2\)",
        ),
        (lambda: F.interpolate(X, 2, mode="bilinear"), ValueError, "the mode is 'linear'; got 'bilinear'"),
        (lambda: F.interpolate(X, 2, mode="bicubic"), ValueError, "mode='bicubic' is for images"),
        (lambda: F.interpolate(X, 2, mode="cubic"), ValueError, "mode must be one of .*; got 'cubic'"),
        (lambda: F.interpolate(X, 2, align_corners=True), ValueError, "align_corners is for linear and cubic modes"),
        (lambda: F.interpolate(X, 2, antialias=True), ValueError, "smooth the input with avg_pool1d before"),
        (lambda: F.interpolate(X, 2, recompute_scale_factor=True), ValueError, "needs a scale_factor"),
        (lambda: F.interpolate(X, scale_factor=0.1), ShapeError, "a length must be at least 1; got 5 and 0"),
        (lambda: nn.GroupNorm(2, 3), ValueError, "num_channels must be a multiple of num_groups; got 3 and 2"),
        (lambda: nn.GroupNorm(2, 4)(X), ShapeError, "C a multiple of num_groups=2; got shape"),
        (lambda: nn.GroupNorm(1, 4)(X), ShapeError, r"weight must have the shape \(3,\); got \(4,\)"),
        (lambda: nn.RMSNorm(()), ValueError, r"RMSNorm: normalized_shape must be positive ints; got \(\)"),
        (lambda: nn.RMSNorm(4)(X), ShapeError, "rms_norm: input must end with the shape"),
        (lambda: F.rms_norm(X, 5, X), ShapeError, r"rms_norm: weight must have the shape \(5,\)"),
        (lambda: nn.PReLU(4)(X), ShapeError, "expected one weight, or one for each channel"),
        (lambda: nn.Dropout1d(2.0), ValueError, r"Dropout1d: p must be in \[0, 1\]; got 2.0"),
        (lambda: nn.Dropout1d()(X[0, 0]), ShapeError, r"dropout1d: expected an input \(N, C, L\) or \(C, L\)"),
        (lambda: nn.Unflatten("time", (2, 3)), TypeError, "dim must be an int; got 'time'"),
        (lambda: nn.Unflatten(1, 6), TypeError, "unflattened_size must be a tuple of ints; got 6"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), RuntimeError, "must be 'relu' or 'gelu'"),
        (lambda: nn.QuantileLoss(1.5), ValueError, "quantiles must be numbers from 0 to 1; got 1.5"),
        (lambda: F.quantile_loss(X, X, [0.5, -0.5]), ValueError, "quantiles must be numbers from 0 to 1"),
        (lambda: F.quantile_loss(X, X, [0.5, 0.6]), ShapeError, "one prediction for each of 2 quantiles"),
        (lambda: F.quantile_loss(X, X[0]), ShapeError, "quantile_loss: input has shape"),
        (lambda: F.gaussian_nll_loss(X, X, -X), ValueError, "a variance must not be negative"),
        (lambda: F.gaussian_nll_loss(X, X, X[0]), ShapeError, "var must have the shape of input"),
        (lambda: nn.TripletMarginLoss(0.0), ValueError, "margin must be positive; got 0.0"),
        (lambda: F.triplet_margin_loss(X, X, X, 0.0), ValueError, "margin must be positive; got 0.0"),
        (lambda: nn.CosineEmbeddingLoss()(X, X, X), ShapeError, r"expected inputs \(N, D\) and a target \(N,\)"),
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
    image = nn.Conv2d(8, 64, (2, 4), groups=2)
    assert 0.99 * bound < np.abs(image.weight._data).max() <= bound
    assert 0.9 * bound < np.abs(image.bias._data).max() <= bound
    for given in (nn.GroupNorm(2, 4), nn.RMSNorm(4), nn.BatchNorm2d(4)):
        nn.init.normal_(given.weight)
        given.reset_parameters()
        assert given.weight.tolist() == [1, 1, 1, 1]
        assert getattr(given, "bias", None) is None or given.bias.tolist() == [0, 0, 0, 0]
    slopes = nn.PReLU(3, init=0.1)
    nn.init.normal_(slopes.weight)
    slopes.reset_parameters()
    assert slopes.weight.tolist() == pytest.approx([0.1, 0.1, 0.1])
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


def test_a_max_pool_propagates_nan_in_onnxruntime_too():
    x = np.array([[[1.0, np.nan, 2.0, 3.0]]], np.float32)
    layer = nn.MaxPool1d(2)
    exported = lucid.export.to_onnx(layer, lucid.tensor(x))
    for found in (layer(lucid.tensor(x)).numpy(), lucid.runtime.Session(exported)(x)[0]):
        np.testing.assert_array_equal(found, [[[np.nan, 3]]])


def test_of_equal_elements_the_first_gets_the_gradient():
    x = lucid.tensor([[[[1.0, 2.0, 2.0], [2.0, 2.0, 0.0]]]], requires_grad=True)
    F.max_pool2d(x, (2, 2), stride=1).sum().backward()
    assert x.grad.tolist() == [[[[0, 2, 0], [0, 0, 0]]]]


def test_a_variance_below_the_bound_counts_as_the_bound_and_keeps_its_gradient(torch):
    gradients = []
    for library in (lucid, torch):
        var = library.tensor([0.0, 0.5], requires_grad=True)
        loss = library.nn.functional.gaussian_nll_loss(
            library.tensor([1.0, 2.0]), library.tensor([0.0, 0.0]), var, eps=0.1
        )
        loss.backward()
        gradients.append([loss.item(), *var.grad.tolist()])
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-6)


def test_masks_of_a_transformer_like_pytorch(torch):
    ours = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, dtype="float64").eval()
    theirs = torch.nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, dtype=torch.float64).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(3, 5, 4))
    padding = np.arange(5) >= np.array([[5], [3], [4]])
    causal = np.triu(np.full((5, 5), -np.inf), 1)
    found = ours(lucid.tensor(x), lucid.tensor(causal), src_key_padding_mask=lucid.tensor(padding))
    bias = torch.tensor(padding).double().masked_fill(torch.tensor(padding), -np.inf)
    wanted = theirs(torch.tensor(x), torch.tensor(causal), src_key_padding_mask=bias)
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-12)
    found = ours(lucid.tensor(x), is_causal=True)
    wanted = theirs(torch.tensor(x), torch.tensor(causal), is_causal=True)
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-12)
