"""The state of a training step in the memory of a device: nobody can tell, whoever reads or writes it, and when.

The memory is the CPU's here, in buffers of their own; tests/runtime/test_compiled_step.py trains in it, too.
"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import LucidError
from lucid.runtime.compiled.compiled_step import CompiledStep
from lucid.runtime.session.buffer import Buffer

pytestmark = pytest.mark.usefixtures("quick_choices")

Step = Any


@pytest.fixture(autouse=True)
def _on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledStep, "_resides", True)


class Model(nn.Module):
    """A recurrent layer, a normalization with running statistics, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 5)
        self.norm = nn.BatchNorm1d(5)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.rnn(x)[1][-1]))


def loss(model: Any, x: Any, y: Any) -> Any:
    return nn.functional.mse_loss(model(x), y)


X, Y = (
    lucid.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32)) for shape in ((6, 4, 3), (4, 2))
)


def trained(steps: int = 2) -> tuple[Model, optim.Adam, Step]:
    """Returns a model, its optimizer and its step, after some steps."""
    lucid.manual_seed(0)
    model = Model()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    step = lucid.compile(model, loss=loss, optimizer=optimizer).tune(X, Y)
    for _ in range(steps):
        step(X, Y)
    return model, optimizer, step


def eager(steps: int) -> tuple[Model, optim.Adam]:
    """Returns the same, trained eagerly."""
    lucid.manual_seed(0)
    model = Model()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, X, Y).backward()
        optimizer.step()
    return model, optimizer


def close(model: nn.Module, other: nn.Module) -> None:
    for (name, one), two in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), 1e-4, 1e-6, err_msg=name)


def held(model: Model, optimizer: optim.Optimizer) -> list[lucid.Tensor]:
    """Returns the tensors of a state."""
    slots = [optimizer.state[p][name] for p in model.parameters() for name in ("exp_avg", "exp_avg_sq")]
    moving = [model.norm.running_mean, model.norm.running_var]
    return [*model.parameters(), *slots, *[t for t in moving if t is not None]]


# --- where the state is


def test_it_stays_until_it_is_read() -> None:
    model, optimizer, step = trained()
    assert all(tensor._is_away() for tensor in held(model, optimizer))
    model.head.weight.detach()
    assert [key for key, p in model.named_parameters() if not p._is_away()] == ["head.weight"]
    assert all(optimizer.state[p][name]._is_away() for p in model.parameters() for name in ("exp_avg", "exp_avg_sq"))
    step(X, Y)
    assert all(tensor._is_away() for tensor in held(model, optimizer))
    close(model, eager(3)[0])


def test_a_step_moves_what_was_read_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, step = trained()
    moved: list[tuple[int, ...]] = []
    put, get = Buffer.put, Buffer.get
    monkeypatch.setattr(Buffer, "put", lambda self, x: (moved.append(x.shape), put(self, x))[1])
    monkeypatch.setattr(Buffer, "get", lambda self: (moved.append(get(self).shape), get(self))[1])
    step(X, Y)
    step(X, Y)
    assert moved == []
    model.head.bias.tolist()
    assert moved == [(2,)]  # home
    step(X, Y)
    assert moved == [(2,), (2,)]  # and back
    kept = model.head.bias.detach().numpy()
    step(X, Y)
    step(X, Y)
    assert moved == [(2,)] * 7  # it was read, and each of two steps took it there and back
    np.testing.assert_allclose(kept, model.head.bias.detach().numpy())


@pytest.mark.slow
def test_shapes_of_batches_share_it() -> None:
    model, _, step = trained()
    small = lucid.tensor(X.numpy()[:3, :2].copy()), lucid.tensor(Y.numpy()[:2].copy())
    other, optimizer = eager(2)
    for batch in (small, (X, Y), small):
        step(*batch)
        optimizer.zero_grad()
        loss(other, *batch).backward()
        optimizer.step()
    close(model, other)


# --- who reads


def test_copies_and_files(tmp_path: Path) -> None:
    model, optimizer, step = trained()
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    close(twin, eager(2)[0])
    step(X, Y)
    assert type(pickle.loads(pickle.dumps(model.head.weight))) is nn.Parameter
    step(X, Y)
    lucid.save(model.state_dict(), tmp_path / "model.safetensors")
    fresh = Model()
    fresh.load_state_dict(lucid.load(tmp_path / "model.safetensors"))
    close(fresh, eager(4)[0])
    twin_step = lucid.compile(twin, loss=loss, optimizer=twin_optimizer).tune(X, Y)
    for _ in range(2):
        twin_step(X, Y)
    close(twin, eager(4)[0])


@pytest.mark.slow
def test_a_compiled_model_and_an_eager_one_read_it() -> None:
    model, _, step = trained(1)
    fast = lucid.compile(model)
    for steps in (2, 3):
        step(X, Y)
        model.eval()
        expected = eager(steps)[0].eval()(X).detach().numpy()
        np.testing.assert_allclose(fast(X).numpy(), expected, 1e-4, 1e-6)
        np.testing.assert_allclose(model(X).detach().numpy(), expected, 1e-4, 1e-6)
        model.train()


@pytest.mark.slow
def test_tensors_that_the_optimizer_no_longer_has_keep_their_elements() -> None:
    model, optimizer, step = trained()
    bias = model.head.bias
    before = optimizer.state[bias]["exp_avg"]
    _, twin = eager(2)
    expected = twin.state[twin.param_groups[0]["params"][-1]]["exp_avg"].numpy()
    optimizer.load_state_dict(twin.state_dict())
    step(X, Y)
    step(X, Y)
    np.testing.assert_allclose(before.numpy(), expected, 1e-4, 1e-7)
    close(model, eager(4)[0])


@pytest.mark.slow
def test_it_outlives_the_step() -> None:
    model, optimizer, step = trained()
    del step
    gc.collect()
    close(model, eager(2)[0])
    assert np.isfinite(optimizer.state[model.head.bias]["exp_avg_sq"].numpy()).all()


@pytest.mark.slow
def test_a_model_that_is_dropped_takes_its_memory_along() -> None:
    model, _, step = trained()
    place = model.head.weight._away
    del model
    step.model = step.optimizer = None
    step._cache = step._tuned = None
    gc.collect()
    place.clear()
    assert place._home is None


@pytest.mark.slow
def test_threads_read_whole_steps() -> None:
    model, _, step = trained()
    weights = [eager(n)[0].head.weight.detach().numpy() for n in range(2, 40)]
    found: list[Any] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found.append(model.head.weight.detach().numpy().copy())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        step(X, Y)
    done.set()
    reader.join()
    assert found
    for array in found[:: max(1, len(found) // 50)]:
        assert min(np.abs(array - expected).max() for expected in weights) < 1e-4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_it() -> None:
    model, _, step = trained()
    expected = eager(2)[0].head.weight.detach().numpy()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        good = False
        try:
            step(X, Y)
            good = model.rnn.weight_hh_l0.shape == (15, 5)
            close(model, eager(3)[0])
        except BaseException:
            good = False
        finally:
            os.write(writing, b"1" if good else b"0")
            os._exit(0)
    assert os.read(reading, 1) == b"1"
    os.waitpid(child, 0)
    np.testing.assert_allclose(model.head.weight.detach().numpy(), expected, 1e-4, 1e-6)
    step(X, Y)
    close(model, eager(3)[0])


# --- who writes


def test_writes_act_on_the_next_step() -> None:
    model, optimizer, step = trained()
    other, twin = eager(2)
    for net, opt in ((model, optimizer), (other, twin)):
        with lucid.no_grad():
            net.head.weight.mul_(0.5)
        net.head.bias.detach().numpy()[0] = 1.5  # an array of NumPy's, in place
        net.rnn.bias_ih_l0.data = lucid.full((15,), 0.25)
        net.norm.running_mean.zero_()
        opt.state[net.head.bias]["exp_avg"].fill_(0.125)
    step(X, Y)
    twin.zero_grad()
    loss(other, X, Y).backward()
    twin.step()
    close(model, other)


@pytest.mark.slow
def test_steps_of_two_losses_take_turns() -> None:
    def second(model: Any, x: Any, y: Any) -> Any:
        return (model(x) - y).abs().mean()

    model, optimizer, step = trained(0)
    other_step = lucid.compile(model, loss=second, optimizer=optimizer).tune(X, Y)
    lucid.manual_seed(0)
    other = Model()
    twin = optim.Adam(other.parameters(), lr=0.05)
    for i in range(6):
        (other_step if i % 3 == 1 else step)(X, Y)
        twin.zero_grad()
        (second if i % 3 == 1 else loss)(other, X, Y).backward()
        twin.step()
    close(model, other)


def test_a_call_that_fails_leaves_it() -> None:
    model, _, step = trained()
    with pytest.raises(LucidError):
        step(X, lucid.zeros(3, 7))
    ((candidate, _),) = {id(c): (c, s) for c, s in step._cache.served.values()}.values()

    def broken(*_: Any) -> Any:
        raise RuntimeError("the device is gone")

    candidate._run.__self__._call = broken
    with pytest.raises(LucidError, match="the device is gone"):
        step(X, Y)
    close(model, eager(2)[0])
    step(X, Y)
    close(model, eager(3)[0])


@pytest.mark.slow
def test_parameters_of_another_shape_take_another_place() -> None:
    model, optimizer, step = trained()
    model.head = nn.Linear(5, 3)
    optimizer.param_groups[0]["params"] = list(model.parameters())
    step.tune(X, lucid.zeros(4, 3))
    step(X, lucid.zeros(4, 3))
    assert model.head.weight._is_away()
    assert model.head.weight.detach().numpy().shape == (3, 5)
