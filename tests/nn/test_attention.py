"""MultiheadAttention: masks, weights, dropout and initial values, beyond its rows in tests/nn/cases.py."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import DtypeError, ShapeError

L, S, N, E, H = 3, 4, 2, 6, 3

rng = np.random.default_rng(0)
QUERY, KEY, VALUE = (rng.normal(size=(n, N, E)) for n in (L, S, S))
CAUSAL = np.triu(np.ones((L, S), bool), 1)
PADDING = np.array([[False, True, False, False], [False, False, False, True]])
MASKS = {
    "none": {},
    "bools": {"attn_mask": CAUSAL},
    "numbers": {"attn_mask": np.where(CAUSAL, -np.inf, rng.normal(size=(L, S)))},
    "each head its own": {"attn_mask": rng.normal(size=(N * H, L, S))},
    "padding": {"key_padding_mask": PADDING},
    "padding in numbers": {"key_padding_mask": rng.normal(size=(N, S))},
    "both": {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
    "a hint": {"attn_mask": CAUSAL, "is_causal": True},
}


def both(torch, **options):
    ours = nn.MultiheadAttention(E, H, **options).double()
    theirs = torch.nn.MultiheadAttention(E, H, **options).double()
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    return ours, theirs


def called(library, model, options, batch_first=False):
    arrays = [x.swapaxes(0, 1) if batch_first else x for x in (QUERY, KEY, VALUE)]
    inputs = [library.tensor(x, requires_grad=True) for x in arrays]
    options = {name: library.tensor(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}
    output, weights = model(*inputs, **options)
    (output * output).sum().backward()
    return [
        output.detach().numpy(),
        np.zeros(0) if weights is None else weights.detach().numpy(),
        *(x.grad.numpy() for x in (*inputs, *model.parameters())),
    ]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("weights", [{}, {"need_weights": False}, {"average_attn_weights": False}], ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_masks_and_weights_like_pytorch(mask, weights, batch_first, torch):
    models = both(torch, batch_first=batch_first)
    options = {**MASKS[mask], **weights}
    results = [called(lib, model, options, batch_first) for lib, model in zip((lucid, torch), models, strict=True)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_causal_without_a_mask():
    model = nn.MultiheadAttention(E, H).double()
    inputs = [lucid.tensor(x) for x in (QUERY, KEY, VALUE)]
    for need_weights in (True, False):
        output, _ = model(*inputs, need_weights=need_weights, is_causal=True)
        expected, _ = model(*inputs, need_weights=need_weights, attn_mask=CAUSAL)
        np.testing.assert_allclose(output.detach().numpy(), expected.detach().numpy(), rtol=1e-12)


def test_a_query_without_keys_has_weights_0():
    model = nn.MultiheadAttention(E, H).double()
    inputs = [lucid.tensor(x, requires_grad=True) for x in (QUERY, KEY, VALUE)]
    nothing = np.ones((L, S), bool)
    output, weights = model(*inputs, attn_mask=nothing)
    assert not weights.detach().numpy().any()
    np.testing.assert_array_equal(output.detach().numpy(), np.zeros((L, N, E)))
    output.sum().backward()
    assert all(np.isfinite(x.grad.numpy()).all() for x in inputs)
    output, _ = model(*inputs, attn_mask=nothing, need_weights=False)
    np.testing.assert_array_equal(output.detach().numpy(), np.zeros((L, N, E)))


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_leaves_out_weights_in_training_alone(need_weights):
    model = nn.MultiheadAttention(E, H, dropout=1.0).double()
    inputs = [lucid.tensor(x) for x in (QUERY, KEY, VALUE)]
    assert not model(*inputs, need_weights=need_weights)[0].detach().numpy().any()
    assert model.eval()(*inputs, need_weights=need_weights)[0].detach().numpy().all()


def test_initial_values():
    model = nn.MultiheadAttention(64, 4)
    bound = (6 / (64 + 192)) ** 0.5
    assert 0.99 * bound < np.abs(model.in_proj_weight._data).max() <= bound * (1 + 1e-6)
    assert 0.99 / 8 < np.abs(model.out_proj.weight._data).max() <= 1 / 8
    assert not model.in_proj_bias._data.any()
    assert not model.out_proj.bias._data.any()


class SelfAttention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(E, H, batch_first=True)
        self.options = options

    def forward(self, x):
        return self.attention(x, x, x, **self.options)[0]


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"is_causal": True, "need_weights": False}], ids=str)
def test_self_attention_is_exported_for_any_batch_and_time(options):
    exported = lucid.export.to_onnx(SelfAttention(**options), lucid.randn(2, 5, E))
    assert set(exported.axes[exported.input_names[0]]) == {0, 1}


def x(*shape):
    return lucid.zeros(*shape)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(5, 2), ValueError, "embed_dim must be a multiple of num_heads; got 5 and 2"),
        (lambda: nn.MultiheadAttention(4, 0), ValueError, "num_heads must be a positive int; got 0"),
        (lambda: nn.MultiheadAttention(4, 2, 1.5), ValueError, r"dropout must be in \[0, 1\]; got 1.5"),
        (lambda: nn.MultiheadAttention(4, 2)(x(2, 3, 5), x(2, 3, 4), x(2, 3, 4)), ShapeError, "got a query of shape"),
        (lambda: nn.MultiheadAttention(4, 2)(x(2, 3, 4), x(3, 4), x(3, 4)), ShapeError, "got a key of shape"),
        (lambda: nn.MultiheadAttention(4, 2)(x(2, 3, 4), x(5, 3, 4), x(6, 3, 4)), ShapeError, "as many positions"),
        (lambda: nn.MultiheadAttention(4, 2)(x(2, 3, 4), x(2, 2, 4), x(2, 2, 4)), ShapeError, "as many sequences"),
        (
            lambda: nn.MultiheadAttention(4, 2)(x(2, 4), x(3, 4), x(3, 4), attn_mask=np.zeros((3, 3))),
            ShapeError,
            r"attn_mask must have the shape \(2, 3\) or \(2, 2, 3\); got \(3, 3\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(x(2, 1, 4), x(3, 1, 4), x(3, 1, 4), np.zeros(3)),
            ShapeError,
            r"key_padding_mask must have the shape \(1, 3\); got \(3,\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(x(2, 4), x(3, 4), x(3, 4), np.zeros(3, np.int64)),
            DtypeError,
            "key_padding_mask must be of bools or floating-point numbers; got int64",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
