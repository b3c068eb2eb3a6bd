"""BatchNorm: its running statistics, in training and in exports."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ShapeError, TraceError
from lucid.export import to_onnx
from lucid.runtime import Session

F = nn.functional
rng = np.random.default_rng(0)
BATCHES = [rng.normal(1.5, 2.0, size=(4, 3, 5)) for _ in range(3)]


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("kind", ["BatchNorm1d", "BatchNorm2d"])
def test_training_like_pytorch(kind, momentum, torch):
    batches = [x.reshape(4, 3, 5, 1) if kind == "BatchNorm2d" else x for x in BATCHES]
    ours = getattr(nn, kind)(3, momentum=momentum, dtype="float64")
    theirs = getattr(torch.nn, kind)(3, momentum=momentum, dtype=torch.float64)
    for x in batches:
        a, b = lucid.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
        (y * y * lucid.tensor(x)).sum().backward()
        (z * z * torch.tensor(x)).sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-8)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, t in ours.state_dict().items():
        assert t.shape == tuple(theirs.state_dict()[name].shape)
        np.testing.assert_allclose(t.numpy(), theirs.state_dict()[name].numpy(), rtol=1e-12)
    x = batches[0]
    np.testing.assert_allclose(
        ours.eval()(lucid.tensor(x)).detach().numpy(), theirs.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-10
    )


def test_running_values_follow_their_definition():
    norm = nn.BatchNorm1d(3, momentum=0.25, dtype="float64")
    mean, variance = np.zeros(3), np.ones(3)
    for x in BATCHES:
        norm(lucid.tensor(x))
        mean += 0.25 * (x.mean((0, 2)) - mean)
        variance += 0.25 * (x.var((0, 2), ddof=1) - variance)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean)
    np.testing.assert_allclose(norm.running_var.numpy(), variance)
    assert norm.num_batches_tracked.item() == 3
    assert norm.num_batches_tracked.dtype == np.int64
    norm.reset_parameters()
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == [1, 1, 1]
    assert norm.num_batches_tracked.item() == 0


def test_they_do_not_change_outside_of_training():
    norm = nn.BatchNorm1d(3)
    norm(lucid.tensor(BATCHES[0].astype(np.float32)))
    before = {name: t.numpy().copy() for name, t in norm.state_dict().items()}
    norm.eval()(lucid.tensor(BATCHES[1].astype(np.float32)))
    for name, t in norm.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[name])


def test_an_export_has_the_running_values_as_constants():
    norm = nn.BatchNorm1d(3)
    for x in BATCHES:
        norm(lucid.tensor(x.astype(np.float32)))
    x = BATCHES[0].astype(np.float32)
    exported = to_onnx(norm, lucid.tensor(x))
    assert norm.training
    assert norm.num_batches_tracked.item() == 3
    assert exported.input_names == ["input"]
    np.testing.assert_allclose(
        Session(exported)(x)[0], norm.eval()(lucid.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-5
    )


def test_compiled_modules_notice_an_update():
    norm = nn.BatchNorm1d(3).eval()
    compiled = lucid.compile(norm)
    x = lucid.tensor(BATCHES[0].astype(np.float32))
    np.testing.assert_allclose(compiled(x).numpy(), norm(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    norm.train()(x)
    norm.eval()
    np.testing.assert_allclose(compiled(x).numpy(), norm(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_graph_cannot_update_them():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    x = lucid.randn(5, 3)
    with pytest.raises(TraceError, match="in training it updates its running values"):
        lucid.tracer.trace(model, x)
    with pytest.raises(TraceError, match=r"call eval\(\) on the BatchNorm layer"):
        lucid.compile_backward(model)(x, gradient=lucid.ones(5, 4))
    assert model[1].num_batches_tracked.item() == 0
    model[1].eval()
    model(x).square().sum().backward()
    expected = model[0].weight.grad.numpy().copy()
    model.zero_grad()
    lucid.compile_backward(model)(x, gradient=2 * model(x).detach())
    np.testing.assert_allclose(model[0].weight.grad.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.BatchNorm1d(0), ValueError, "num_features must be a positive int; got 0"),
        (lambda: nn.BatchNorm1d(3)(lucid.ones(2, 4)), ShapeError, r"an input \(N, C\) or \(N, C, L\) with C = 3"),
        (lambda: nn.BatchNorm2d(3)(lucid.ones(2, 3, 4)), ShapeError, r"BatchNorm2d: expected an input \(N, C, H, W\)"),
        (lambda: nn.BatchNorm1d(3)(lucid.ones(1, 3)), ValueError, "one element per channel has no variance"),
        (lambda: F.batch_norm(lucid.ones(3), None, None), ShapeError, r"expected an input \(N, C, \*\)"),
        (lambda: F.batch_norm(lucid.ones(2, 3), None, None), ValueError, "running_mean and running_var must be given"),
        (
            lambda: F.batch_norm(lucid.ones(2, 3), lucid.ones(2), lucid.ones(3)),
            ShapeError,
            r"running_mean must have the shape \(3,\); got \(2,\)",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
