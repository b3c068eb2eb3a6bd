"""Choices made piece by piece: every call is right, exports at most once, and leaves no trace but its own."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.errors import ExportError, LucidError
from lucid.runtime.compiled import autotune, candidate, choice, dispatch
from lucid.runtime.compiled.dispatch import Signature
from lucid.runtime.session.fork import Unloaded
from lucid.tracer import trace
from tests.tiers import thinned

F = nn.functional

T, N, I, H = 20, 4, 3, 5  # noqa: E741 - the letters of the field

CALLS = 60
"""More calls than a choice of tiny models takes, if each makes one timing."""

each_layer = pytest.mark.parametrize("layer", thinned(["RNN", "LSTM", "GRU"], 3))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch, quick_choices: None) -> None:
    """Each call makes one timing, on two cores."""
    monkeypatch.setattr(choice, "_PIECE", 0.0)
    monkeypatch.setattr(dispatch, "_cores", lambda: 2)


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the lowering of each export."""
    found: list[str] = []
    unwatched = Signature._traced

    def traced(self: Any, way: Any, *args: Any) -> Any:
        found.append(way.lowering)
        return unwatched(self, way, *args)

    monkeypatch.setattr(Signature, "_traced", traced)
    return found


class Tagger(nn.Module):
    """A recurrent layer with dropout, and a linear one on its outputs."""

    def __init__(self, layer: str = "GRU", dropout: float = 0.0) -> None:
        super().__init__()
        self.rnn, self.drop, self.head = getattr(nn, layer)(I, H), nn.Dropout(dropout), nn.Linear(H, 2)

    def forward(self, x: Any, y: Any) -> Any:
        return F.mse_loss(self.head(self.drop(self.rnn(x)[0])), y)


def loss(model: Any, x: Any, y: Any) -> Any:
    return model(x, y)


def batch(seed: int, steps: int = T, size: int = N) -> tuple[lucid.Tensor, lucid.Tensor]:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((steps, size, I)), rng.standard_normal((steps, size, 2))
    return lucid.tensor(x.astype(np.float32)), lucid.tensor(y.astype(np.float32))


def stands(compiled: Any) -> bool:
    """Returns whether all choices stand."""
    return not compiled._cache.tried and not any(known.choices for known in compiled._tuned.values())


@each_layer
def test_each_call_of_inference_is_right_and_exports_at_most_once(layer: str, exports: list[str]) -> None:
    model = getattr(nn, layer)(I, H).eval()
    fast = lucid.compile(model)
    lowerings = set()
    for call in range(CALLS):
        x = batch(call, 17 + call % 16)[0]
        before = len(exports)
        found = fast(x)[0].numpy()
        assert len(exports) - before == (call == 0) or len(exports) - before <= 1
        np.testing.assert_allclose(found, model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
        lowerings |= set(fast.lowerings.values())
        assert call or not stands(fast)
    assert stands(fast)
    assert exports[:1] == list(dict.fromkeys(exports))[:1]
    assert len(exports) == len(set(exports)) == 2
    assert lowerings <= set(exports)


@each_layer
def test_each_gradient_is_right(layer: str, exports: list[str]) -> None:
    model = Tagger(layer)
    backward = lucid.compile_backward(model)
    for call in range(CALLS):
        x, y = batch(call, size=32 if layer == "LSTM" else N)
        model.zero_grad()
        expected = model(x, y)
        expected.backward()
        wanted = [p.grad.numpy().copy() for p in model.parameters() if p.grad is not None]
        model.zero_grad()
        before = len(exports)
        assert backward(x, y).item() == pytest.approx(expected.item(), rel=1e-5)
        assert len(exports) - before <= 1
        assert call or len(exports) == 1
        for p, g in zip(model.parameters(), wanted, strict=True):
            assert p.grad is not None
            np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-4, atol=1e-6)
    assert stands(backward)
    assert len(exports) == len(set(exports))


@pytest.mark.parametrize("size", [N, 1])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_training_run_is_the_eager_one_from_its_first_step(size: int, dropout: float, exports: list[str]) -> None:
    """What a piece times has no effect: no update, no draw, no count."""
    model = Tagger(dropout=dropout)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    twin, other = copy.deepcopy((model, optimizer))
    step = lucid.compile(model, loss=loss, optimizer=optimizer)
    lucid.manual_seed(3, generator="counter")
    found = [step(*batch(call, size=size)).item() for call in range(CALLS)]
    after = lucid.get_rng_state()
    assert stands(step)
    generator = lucid.manual_seed(3, generator="counter")
    expected = []
    for call in range(CALLS):
        generator.begin_step()
        other.zero_grad()
        value = loss(twin, *batch(call, size=size))
        value.backward()
        other.step()
        expected.append(value.item())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    if dropout:
        assert after["seed"] == lucid.get_rng_state()["seed"]
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), two.detach().numpy(), rtol=1e-3, atol=1e-5)
        assert optimizer.state[one]["step"] == CALLS
        assert one.grad is None


def test_a_model_that_changes_between_the_pieces(exports: list[str]) -> None:
    """What was timed counts, although each change needs another export."""
    model = nn.GRU(I, H).eval()
    fast = lucid.compile(model)
    for call in range(2 * CALLS):
        if call % 3 == 0:
            nn.init.uniform_(model.weight_hh_l0)
        x = batch(call)[0]
        before = len(exports)
        np.testing.assert_allclose(fast(x)[0].numpy(), model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
        assert len(exports) - before <= 1
    assert stands(fast)


def test_an_example_that_is_overwritten() -> None:
    model = nn.Embedding(7, 3)
    tagger = nn.GRU(3, H)

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.rnn = model, tagger

        def forward(self, x: Any) -> Any:
            return self.rnn(self.table(x))[1]

    words = Words().eval()
    fast = lucid.compile(words)
    array = np.zeros((T, N), np.int64)
    fast(lucid.from_numpy(array))
    array[:] = 99  # no index of the table
    good = lucid.zeros(T, N, dtype=np.int64)
    for _ in range(CALLS):
        np.testing.assert_allclose(fast(good).numpy(), words(good).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert stands(fast)


def test_tune_makes_the_whole_choice_and_changes_nothing(exports: list[str]) -> None:
    model = Tagger(dropout=0.5)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    lucid.manual_seed(3, generator="counter")
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), lucid.get_rng_state()))
    step = lucid.compile(model, loss=loss, optimizer=optimizer)
    backward = lucid.compile_backward(model)
    assert step.tune(*batch(0)) is step
    assert backward.tune(*batch(0)) is backward
    assert stands(step)
    assert stands(backward)
    count = len(exports)
    after = (model.state_dict(), optimizer.state_dict(), lucid.get_rng_state())
    for name, tensor in before[0].items():
        np.testing.assert_array_equal(after[0][name].numpy(), tensor.numpy())
    assert after[1] == before[1]
    assert all(np.array_equal(after[2][name], value) for name, value in before[2].items())
    assert all(p.grad is None for p in model.parameters())
    step(*batch(1))
    backward(*batch(1))
    assert len(exports) == count
    plain = lucid.compile(nn.Linear(3, 2).eval())
    assert stands(plain.tune(lucid.ones(4, 3)))
    with pytest.raises(LucidError, match="no trace records; tune it outside"):
        trace(lambda x: plain.tune(x)(x), lucid.ones(4, 3))


def test_a_choice_goes_on_by_tune() -> None:
    fast = lucid.compile(nn.GRU(I, H).eval())
    x = batch(0)[0]
    fast(x)
    fast(x)
    assert not stands(fast)
    assert stands(fast.tune(x))


def test_a_lowering_that_does_not_apply_is_left_out(monkeypatch: pytest.MonkeyPatch, exports: list[str]) -> None:
    model = Tagger("LSTM").double()
    step = lucid.compile_backward(model)
    for call in range(CALLS):
        step(*[tensor.double() for tensor in batch(call)])
    assert stands(step)
    assert set(step.lowerings.values()) == {"scan"}


def test_an_export_that_fails_otherwise_fails_the_call_and_the_choice_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = nn.RNN(I, H).eval()
    fast = lucid.compile(model)
    x = batch(0)[0]
    fast(x)
    unwatched = Signature._traced

    def failing(self: Any, way: Any, *args: Any) -> Any:
        raise MemoryError("none is left")

    monkeypatch.setattr(Signature, "_traced", failing)
    with pytest.raises(MemoryError, match="none is left"):
        fast(x)
    monkeypatch.setattr(Signature, "_traced", unwatched)
    for _ in range(CALLS):
        np.testing.assert_allclose(fast(x)[0].numpy(), model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
    assert stands(fast)


def test_a_way_that_no_longer_applies_is_chosen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowering that was the fastest does not apply to what the model has become."""
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(self.lowering != "rnn"))
    model = nn.GRU(I, H).eval()
    fast = lucid.compile(model)
    x = batch(0)[0]
    assert set(fast.tune(x).lowerings.values()) == {"rnn"}
    nn.init.zeros_(model.bias_hh_l0)
    unwatched = Signature._traced

    def traced(self: Any, way: Any, *args: Any) -> Any:
        if way.lowering == "rnn":
            raise ExportError("it does not apply")
        return unwatched(self, way, *args)

    monkeypatch.setattr(Signature, "_traced", traced)
    for _ in range(CALLS):
        np.testing.assert_allclose(fast(x)[0].numpy(), model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
    assert stands(fast)
    assert set(fast.lowerings.values()) == {"scan"}


def test_pieces_end_when_their_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as much time as they like, calls after the exports make all timings at once."""
    monkeypatch.setattr(choice, "_PIECE", float("inf"))
    monkeypatch.setattr(autotune, "_BUDGET", float("inf"))
    fast = lucid.compile(nn.RNN(I, H).eval())
    x = batch(0)[0]
    for expected in (False, False, True):  # an export, the other export, all timings
        fast(x)
        assert stands(fast) == expected


@pytest.mark.parametrize("way", ["inference", "gradients"])
def test_one_session_is_left(way: str) -> None:
    """The others stay as exports; another class of shapes that takes one loads it."""
    model = Tagger("RNN")
    compiled: Any = lucid.compile(model.eval()) if way == "inference" else lucid.compile_backward(model)

    def loaded() -> list[Any]:
        (signature,) = compiled._cache.signatures.values()
        return [c for c in signature._made if not isinstance(c.session._session, Unloaded)]

    compiled.tune(*batch(0))
    (best,) = loaded()
    assert [best] == [c for c, _ in compiled._cache.served.values()]
    others = [c for c in compiled._cache.signatures[next(iter(compiled._cache.signatures))]._made if c is not best]
    assert others
    for other in others:
        arrays = [tensor.numpy() for tensor in batch(0)]
        found = other.run(arrays, tuple([array.shape for array in arrays]))
        assert found[0] == pytest.approx(model(*batch(0)).item(), rel=1e-5)
    compiled.tune(*batch(0, 2 * T))
    assert {id(c) for c in loaded()} == {id(c) for c, _ in compiled._cache.served.values()}
