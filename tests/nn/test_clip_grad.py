"""Gradient clipping: the values of PyTorch, for every norm."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lucid
from lucid.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters

GRADIENTS = ([3.0, -4.0, 0.0], [1.0, 2.0], [0.0])
NORMS = (0, 0.5, 1, 2, 3.0, -1.0, math.inf, -math.inf, "inf")


def parameters(module=lucid, gradients=GRADIENTS):
    made = [module.tensor([0.0] * len(g), requires_grad=True) for g in gradients]
    for p, g in zip(made, gradients, strict=True):
        p.grad = module.tensor(g)
    return made


@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_norms(max_norm, norm_type, torch):
    ours, theirs = parameters(), parameters(torch)
    norm = clip_grad_norm_(ours, max_norm, norm_type)
    reference = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(norm.numpy(), reference.numpy(), rtol=1e-6)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("norm_type", "expected"),
    [(0, 2.0), (1, 10.0), (2, math.sqrt(30.0)), (math.inf, 4.0), (-math.inf, 0.0), ("inf", 4.0)],
)
def test_norm_of_all_gradients_together(norm_type, expected):
    found = parameters()
    norm = clip_grad_norm_(iter(found), 2.0, norm_type)
    np.testing.assert_allclose(norm.numpy(), expected, rtol=1e-6)
    scale = min(2.0 / (expected + 1e-6), 1.0)
    for p, g in zip(found, GRADIENTS, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), np.array(g) * scale, rtol=1e-6)


def test_not_finite():
    found = parameters(gradients=([math.inf, 1.0],))
    with pytest.raises(lucid.errors.GradientError, match="norm of the gradients is inf"):
        clip_grad_norm_(found, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(found[0].grad.numpy(), [math.inf, 1.0])
    assert clip_grad_norm_(found, 1.0).item() == math.inf
    np.testing.assert_array_equal(found[0].grad.numpy(), [math.nan, 0.0])
    assert clip_grad_norm_([lucid.tensor([1.0], requires_grad=True)], 1.0).item() == 0.0


def test_float16_norms_do_not_overflow():
    p = lucid.tensor([0.0, 0.0], dtype="float16", requires_grad=True)
    p.grad = lucid.tensor([300.0, 400.0], dtype="float16")
    assert clip_grad_norm_(p, 1.0).item() == 500.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-3)


def test_values():
    found = [*parameters(), lucid.tensor([1.0], requires_grad=True)]
    clip_grad_value_(found, 2.0)
    assert [p.grad.tolist() for p in found[:-1]] == [[2.0, -2.0, 0.0], [1.0, 2.0], [0.0]]
    assert found[-1].grad is None


def test_vector():
    found = parameters()
    vector_to_parameters(lucid.arange(6.0), found)
    assert [p.tolist() for p in found] == [[0.0, 1.0, 2.0], [3.0, 4.0], [5.0]]
    np.testing.assert_array_equal(parameters_to_vector(found).detach().numpy(), np.arange(6))
    with pytest.raises(lucid.errors.ShapeError):
        vector_to_parameters(lucid.zeros(7), found)
