"""Distributions: PyTorch's values and gradients, the moments of their draws, and exports of what they compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid.distributions import Bernoulli, Categorical, Distribution, Normal, Uniform, kl_divergence
from lucid.errors import ExportError, RangeError, ShapeError
from lucid.export import to_onnx

rng = np.random.default_rng(0)
WEIGHTS, CHANCES = rng.uniform(0.1, 2.0, (3, 4)), rng.uniform(0.1, 0.9, (3, 2))
SCORES, SIGNS = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))

CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("Categorical", {"logits": SCORES}, np.array([2, 0, 3])),
    ("Categorical", {"probs": WEIGHTS}, np.array([[2, 0, 3], [1, 1, 0]])),
    ("Categorical", {"logits": SCORES[0]}, np.array([1, 2, 3, 0, 0])),
    ("Bernoulli", {"logits": SIGNS}, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])),
    ("Bernoulli", {"probs": CHANCES}, np.array([1.0, 0.0])),
    ("Normal", {"loc": SIGNS, "scale": CHANCES}, rng.normal(size=(5, 3, 2))),
    ("Normal", {"loc": SIGNS[0], "scale": CHANCES}, rng.normal(size=(3, 2))),
    ("Uniform", {"low": SIGNS, "high": SIGNS + WEIGHTS[:, :2]}, SIGNS + 0.3 * WEIGHTS[:, :2]),
]
IDS = [f"{name}-{'-'.join(options)}-{value.ndim}" for name, options, value in CASES]
each_case = pytest.mark.parametrize(("name", "options", "value"), CASES, ids=IDS)


def made(library: Any, name: str, options: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Returns a distribution of a library, and its parameters, which require gradients."""
    tensors = {key: library.tensor(x, requires_grad=True) for key, x in options.items()}
    return getattr(library.distributions, name)(**tensors), list(tensors.values())


def gradients(library: Any, result: Any, parameters: list[Any]) -> list[Any]:
    grad = library.grad if library is lucid else library.autograd.grad
    found = grad((result * result).sum(), parameters, allow_unused=True)
    return [None if g is None else g.numpy() for g in found]


@each_case
def test_like_pytorch(name: str, options: dict[str, Any], value: Any, torch: Any) -> None:
    functions = {
        "log_prob": lambda library, d: d.log_prob(library.tensor(value)),
        "entropy": lambda library, d: d.entropy(),
        "perplexity": lambda library, d: d.perplexity(),
        **{key: lambda library, d, key=key: getattr(d, key) for key in ("mean", "variance", "stddev", "mode")},
    }
    if name == "Uniform":
        del functions["mode"]
    if name in ("Normal", "Uniform"):
        functions["cdf"] = lambda library, d: d.cdf(library.tensor(value))
    else:
        functions["probs"] = lambda library, d: d.probs
        functions["logits"] = lambda library, d: d.logits
        functions["enumerate_support"] = lambda library, d: d.enumerate_support()
        functions["values"] = lambda library, d: d.enumerate_support(expand=False)
    for what, function in functions.items():
        (ours, own), (theirs, other) = (made(library, name, options) for library in (lucid, torch))
        assert ours.batch_shape == tuple(theirs.batch_shape)
        assert ours.event_shape == tuple(theirs.event_shape)
        assert ours.has_rsample == theirs.has_rsample
        found, wanted = function(lucid, ours), function(torch, theirs)
        assert found.shape == tuple(wanted.shape), what
        assert str(found.dtype) == str(wanted.dtype).removeprefix("torch."), what
        np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-10, err_msg=what)
        if wanted.requires_grad and not np.isnan(wanted.detach().numpy()).any():
            for g, h in zip(gradients(lucid, found, own), gradients(torch, wanted, other), strict=True):
                if h is None:
                    assert g is None or not g.any()
                else:
                    np.testing.assert_allclose(g, h, rtol=1e-8, atol=1e-10, err_msg=what)


@each_case
def test_draws_have_the_moments(name: str, options: dict[str, Any], value: Any) -> None:
    d, _ = made(lucid, name, options)
    draws = d.sample((4000,))
    assert draws.shape == (4000, *d.batch_shape)
    assert not draws.requires_grad
    assert d.sample().shape == d.batch_shape
    array = draws.numpy()
    if name == "Categorical":
        assert array.dtype == np.int64
        shares = np.stack([(array == k).mean(0) for k in range(4)], -1)
        np.testing.assert_allclose(shares, d.probs.detach().numpy(), atol=0.04)
        return
    np.testing.assert_allclose(array.mean(0), np.broadcast_to(d.mean.detach().numpy(), array.shape[1:]), atol=0.06)
    np.testing.assert_allclose(array.var(0), np.broadcast_to(d.variance.detach().numpy(), array.shape[1:]), atol=0.06)


def test_a_sample_before_costs_no_gradient() -> None:
    logits = lucid.tensor(SCORES, requires_grad=True)
    for d in (Categorical(logits=logits), Bernoulli(logits=logits)):
        d.sample()
        (after,) = lucid.grad(d.entropy().sum(), [logits])
        (without,) = lucid.grad(type(d)(logits=logits).entropy().sum(), [logits])
        np.testing.assert_array_equal(after.numpy(), without.numpy())
        assert without.numpy().any()


def test_a_draw_of_a_normal_distribution_is_differentiable() -> None:
    loc, scale = lucid.zeros(3, requires_grad=True), lucid.full((3,), 2.0, requires_grad=True)
    draw = Normal(loc, scale).rsample((5,))
    draw.sum().backward()
    assert loc.grad.tolist() == [5, 5, 5]
    np.testing.assert_allclose(scale.grad.numpy(), draw.detach().numpy().sum(0) / 2, rtol=1e-5)
    with pytest.raises(NotImplementedError, match="a draw is not differentiable; weight log_prob"):
        Bernoulli(0.5).rsample()


PAIRS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Normal", {"loc": SIGNS, "scale": CHANCES}, {"loc": SIGNS[::-1].copy(), "scale": CHANCES + 1}),
    ("Categorical", {"logits": SCORES}, {"probs": WEIGHTS}),
    ("Bernoulli", {"probs": CHANCES}, {"logits": SIGNS}),
]


@pytest.mark.parametrize(("name", "first", "second"), PAIRS, ids=[name for name, *_ in PAIRS])
def test_divergence_like_pytorch(name: str, first: Any, second: Any, torch: Any) -> None:
    results = []
    for library in (lucid, torch):
        p, own = made(library, name, first)
        q, others = made(library, name, second)
        found = library.distributions.kl_divergence(p, q)
        results.append([found.detach().numpy(), *gradients(library, found, [*own, *others])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_divergence_where_a_class_is_impossible() -> None:
    p, q = Categorical(lucid.tensor([0.5, 0.5, 0.0])), Categorical(lucid.tensor([0.25, 0.5, 0.25]))
    assert kl_divergence(p, q).item() == pytest.approx(0.5 * np.log(2), rel=1e-5)
    assert kl_divergence(q, p).item() == np.inf
    with pytest.raises(NotImplementedError, match="no formula for Categorical and Normal"):
        kl_divergence(p, Normal(0.0, 1.0))


@pytest.mark.parametrize("kind", ["Categorical", "Bernoulli", "Normal"])
def test_what_they_compute_is_exported(kind: str) -> None:
    def function(x: Any, y: Any) -> Any:
        d = Normal(x, y.exp()) if kind == "Normal" else getattr(lucid.distributions, kind)(logits=x)
        value = y if kind == "Normal" else (y > 0).to("int64") if kind == "Bernoulli" else x.argmax(-1)
        return d.log_prob(value), d.entropy()

    exported = to_onnx(function, lucid.randn(3, 4), lucid.randn(3, 4))
    assert not any(exported.fixed.values())
    with pytest.raises(ExportError, match="random"):
        to_onnx(lambda x: Normal(x, 1.0).sample(), lucid.randn(3))


def test_policy_gradient() -> None:
    """The probability of the class that is rewarded grows."""
    logits = lucid.zeros(3, requires_grad=True)
    optimizer = lucid.optim.Adam([logits], lr=0.1)
    for _ in range(60):
        d = Categorical(logits=logits)
        action = d.sample((16,))
        reward = (action == 2).to("float32")
        loss = -(d.log_prob(action) * (reward - reward.mean())).mean() - 0.01 * d.entropy()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert Categorical(logits=logits).probs[2].item() > 0.8


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Categorical(), ValueError, "Categorical: give probs or logits, and not both"),
        (lambda: Bernoulli(0.5, 0.5), ValueError, "Bernoulli: give probs or logits, and not both"),
        (lambda: Categorical(0.5), ShapeError, "must have an axis of classes; got a number"),
        (lambda: Categorical(lucid.tensor([0.5, -0.5])), RangeError, "probs must not be negative, nor all 0"),
        (lambda: Categorical(lucid.zeros(2)), RangeError, "probs must not be negative, nor all 0"),
        (lambda: Categorical(logits=lucid.tensor([np.nan])), RangeError, "logits must not be NaN"),
        (lambda: Categorical(lucid.ones(2)).log_prob(2), RangeError, "must be a class from 0 to 1; got 2"),
        (lambda: Categorical(lucid.ones(2)).log_prob(0.5), RangeError, "must be a class from 0 to 1; got 0.5"),
        (lambda: Bernoulli(1.5), RangeError, r"probs must be from 0 to 1; got 1.5"),
        (lambda: Bernoulli(logits=lucid.full((20,), np.nan)), RangeError, r"NaN; got a tensor of shape \(20,\)"),
        (lambda: Bernoulli(0.5).log_prob(0.5), RangeError, "a value must be 0 or 1; got 0.5"),
        (lambda: Normal(0.0, 0.0), RangeError, "scale must be positive; got 0.0"),
        (lambda: Normal(np.nan, 1.0), RangeError, "loc must not be NaN"),
        (lambda: Normal(0.0, 1.0).log_prob(np.nan), RangeError, "a value must not be NaN"),
        (lambda: Distribution().sample(), NotImplementedError, "does not define sample"),
        (lambda: Distribution().log_prob(0), NotImplementedError, "does not define log_prob"),
        (lambda: Distribution().entropy(), NotImplementedError, "does not define entropy"),
        (lambda: Distribution().mean, NotImplementedError, "does not define mean"),
        (lambda: Distribution().stddev, NotImplementedError, "does not define variance"),
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_checks_can_be_left_out() -> None:
    assert np.isnan(Normal(0.0, -1.0, validate_args=False).entropy().item())
    assert np.isnan(Normal(0.0, 1.0, validate_args=False).log_prob(np.nan).item())


def test_representation() -> None:
    assert repr(Normal(0.5, 1.0)) == "Normal(loc: 0.5, scale: 1.0)"
    assert repr(Categorical(lucid.ones(2, 3))) == "Categorical(probs: [2, 3])"


def test_uniform_draws_lie_between_its_bounds_and_values_must_too() -> None:
    low = lucid.tensor([-1.0, 2.0], requires_grad=True)
    d = Uniform(low, lucid.tensor([1.0, 2.5]))
    draws = d.rsample((1000,))
    assert (draws >= low).all()
    assert (draws < d.high).all()
    np.testing.assert_allclose(draws.detach().numpy().mean(0), d.mean.detach().numpy(), atol=0.1)
    draws.sum().backward()
    assert low.grad is not None
    assert not d.sample().requires_grad
    with pytest.raises(RangeError, match="a value must lie between low and high"):
        d.log_prob(lucid.tensor([3.0, 2.1]))
    with pytest.raises(RangeError, match="low must be less than high"):
        Uniform(1.0, 1.0)
