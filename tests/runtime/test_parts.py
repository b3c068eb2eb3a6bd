"""Compiled modules that run a batch in parts: values as in the eager model, threads, and failures."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError, ShapeError
from lucid.export import to_onnx
from lucid.runtime import Session, compile, compile_backward
from lucid.runtime.compiled import candidate, dispatch
from lucid.runtime.compiled.parts import Parts
from tests.runtime.test_compile_backward import H, I, Loss, T, assert_same, gradients, recurrent
from tests.tiers import thinned

F = nn.functional

each_layer = pytest.mark.parametrize("layer", thinned(["tanh", "relu", "lstm", "gru"], 2))


@pytest.fixture(autouse=True)
def three_parts(monkeypatch: pytest.MonkeyPatch, quick_choices: None) -> None:
    """Makes candidates in parts the fastest, on three cores."""
    monkeypatch.setattr(dispatch, "_cores", lambda: 3)
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(self.parts == 1))


def assert_all_same(model: nn.Module, backward: Any, *args: Any) -> None:
    """Asserts that a call gives the outputs and gradients of the eager call, by the first candidate and the chosen."""
    assert_same(model, backward, *args)
    assert_same(model, backward.tune(*args), *args)


def parts_of(compiled: Any) -> set[int]:
    """Returns the numbers of parts that the recent batches were cut into."""
    return {candidate.parts for candidate, _ in compiled._cache.in_use()}


@pytest.mark.parametrize("layers", thinned([1, 2], 2))
@each_layer
def test_gradients_of_a_mean_over_the_batch(layer: str, layers: int) -> None:
    """Five sequences on three cores give parts of different size, with different weights."""
    model = Loss(layer, num_layers=layers)
    backward = compile_backward(model)
    for steps, batch in ((T, 5), (11, 3), (2, 7)):
        assert_all_same(model, backward, lucid.randn(steps, batch, I), lucid.tensor(np.arange(batch) % 2))
    assert parts_of(backward) == {3}


@each_layer
def test_sequences_of_different_length(layer: str) -> None:
    model = Loss(layer)
    backward = compile_backward(model)
    x, y = np.full((T, 4, I), np.nan, np.float32), lucid.tensor([0, 1, 1, 0])
    lengths = [6, 2, 4, 1]
    for i, n in enumerate(lengths):
        x[:n, i] = np.random.default_rng(i).standard_normal((n, I))
    assert_all_same(model, backward, lucid.tensor(x), y, lucid.tensor(lengths))
    assert parts_of(backward) == {3}


@each_layer
def test_states_are_cut_too(layer: str) -> None:
    model = recurrent(layer, I, H, num_layers=2).eval()
    compiled = compile(model)
    x, h = lucid.randn(T, 4, I), lucid.randn(2, 4, H)
    states = (h, lucid.randn(2, 4, H)) if layer == "lstm" else h
    with lucid.no_grad():
        wanted, last = model(x, states)
    output, found = compiled.tune(x, states)(x, states)
    assert parts_of(compiled) == {3}
    np.testing.assert_allclose(output.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    for one, other in zip(found if layer == "lstm" else [found], last if layer == "lstm" else [last], strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


class Tagger(nn.Module):
    """A tagger whose loss flattens batch and time, as users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn = nn.Embedding(11, I), nn.GRU(I, H, batch_first=True)
        self.norm, self.head = nn.LayerNorm(H), nn.Linear(H, 3)

    def forward(self, x: Any, y: Any) -> Any:
        logits = self.head(self.norm(self.rnn(self.words(x))[0]))
        return F.cross_entropy(logits.reshape(-1, 3), y.reshape(-1), ignore_index=0)


@pytest.mark.parametrize("ignored", thinned(["some", "none", "a part", "all"], 4))
def test_targets_that_are_ignored(ignored: str) -> None:
    """Each part divides by its own number of targets. A part without targets divides by zero; the batch does not."""
    model = Tagger()
    backward = compile_backward(model)
    x, y = lucid.tensor(np.arange(20).reshape(4, 5) % 11), np.arange(20).reshape(4, 5) % 2 + 1
    if ignored != "none":
        y[1:3, 2:] = 0
    if ignored == "a part":
        y[0] = 0
    if ignored == "all":
        y[:] = 0
    with np.errstate(invalid="ignore"):
        loss = model(x, lucid.tensor(y))
        loss.backward()
    wanted = gradients(model)
    model.zero_grad()
    found = backward.tune(x, lucid.tensor(y))(x, lucid.tensor(y))
    assert parts_of(backward) == {3}
    np.testing.assert_allclose(found.numpy(), loss.detach().numpy(), rtol=1e-5)
    assert bool(np.isnan(found.numpy())) == (ignored == "all")
    for one, other in zip(gradients(model), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_what_is_not_a_number_stays_where_it_is() -> None:
    model = nn.LSTM(I, H).eval()
    compiled = compile(model)
    x = np.random.default_rng(0).standard_normal((T, 5, I)).astype(np.float32)
    x[2, 3] = np.nan
    output = compiled.tune(lucid.tensor(x))(lucid.tensor(x))[0].numpy()
    assert parts_of(compiled) == {3}
    assert np.isnan(output[2:, 3]).all()
    assert np.isfinite(np.delete(output, 3, 1)).all()


class Centred(nn.Module):
    """Subtracts the mean over the batch from the outputs, if `centred`."""

    def __init__(self, centred: bool) -> None:
        super().__init__()
        self.rnn, self.centred = nn.RNN(I, H), centred

    def forward(self, x: Any) -> Any:
        output = self.rnn(x)[0]
        return output - output.mean(1, keepdim=True) if self.centred else output


def test_a_model_that_takes_the_batch_as_a_whole_runs_as_a_whole() -> None:
    model = Centred(True).eval()
    compiled = compile(model)
    x = lucid.randn(T, 6, I)
    np.testing.assert_allclose(compiled.tune(x)(x).numpy(), model(x).detach().numpy(), atol=1e-6)
    assert parts_of(compiled) == {1}


def test_a_model_that_came_to_take_the_batch_as_a_whole_runs_as_a_whole() -> None:
    """The fastest candidate is remembered after a change, even if the model cannot run in parts any more."""
    model = Centred(False).eval()
    compiled = compile(model)
    for batch in (6, 5):
        for centred in (False, True, False):
            model.centred = centred
            x = lucid.randn(T, batch, I)
            np.testing.assert_allclose(compiled.tune(x)(x).numpy(), model(x).detach().numpy(), atol=1e-6)
    assert parts_of(compiled) == {3}


def test_a_single_sequence_is_not_cut() -> None:
    compiled = compile(nn.LSTM(I, H).eval())
    compiled.tune(lucid.randn(T, 1, I))
    assert parts_of(compiled) == {1}
    compiled.tune(lucid.randn(T, 2, I))
    assert parts_of(compiled) == {1, 2}


def test_no_more_threads_than_were_asked_for() -> None:
    for threads, parts in ((1, 1), (2, 2)):
        compiled = compile(nn.LSTM(I, H).eval(), threads=threads)
        compiled.tune(lucid.randn(T, 6, I))
        assert parts_of(compiled) == {parts}


def test_results_are_not_overwritten() -> None:
    compiled = compile(nn.LSTM(I, H).eval())
    x = lucid.randn(T, 4, I)
    first = compiled(x)[0].numpy()
    kept = first.copy()
    compiled(x * 2)
    np.testing.assert_array_equal(first, kept)


def test_inputs_with_odd_strides() -> None:
    model = nn.GRU(I, H).eval()
    compiled = compile(model)
    x = lucid.randn(4, T, I).transpose(0, 1)
    assert not x.numpy().flags.c_contiguous
    np.testing.assert_allclose(compiled.tune(x)(x)[0].numpy(), model(x)[0].detach().numpy(), rtol=1e-5, atol=1e-6)
    assert parts_of(compiled) == {3}


@pytest.mark.slow
def test_many_threads_at_once() -> None:
    model = nn.LSTM(I, H).eval()
    compiled = compile(model)
    inputs = [lucid.randn(T, 3 + i % 4, I) for i in range(24)]
    with lucid.no_grad():
        wanted = [model(x)[0].numpy() for x in inputs]
    found: list[Any] = [None] * len(inputs)

    def work(i: int) -> None:
        found[i] = compiled(inputs[i])[0].numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def separable() -> tuple[Session, Parts]:
    exported = to_onnx(nn.RNN(I, H), lucid.randn(T, 4, I))
    assert exported.separation is not None
    session = Session(exported.part(), threads=1)
    return session, Parts(session, exported.separation, 3)


def test_shapes_that_do_not_fit_are_refused_as_a_whole() -> None:
    _, parts = separable()
    x = np.zeros((T, 6, I + 1), np.float32)
    with pytest.raises(ShapeError, match=r"axis 2 of input 'x' must be 4; got 5, shape \(6, 6, 5\)"):
        parts.run([x], (x.shape,))


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_part_that_fails_fails_the_call_and_no_part_goes_on(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    session, parts = separable()
    x = np.random.default_rng(0).standard_normal((T, 6, I)).astype(np.float32)
    wanted = session.run([x], (x.shape,))
    run, under_way = session.run, []

    def fails(arrays: Any, shapes: Any) -> Any:
        under_way.append(arrays)
        try:
            if np.array_equal(arrays[0], x[:, 2 * failing : 2 * failing + 2]):
                raise LucidError("out of memory")
            return run(arrays, shapes)
        finally:
            under_way.pop()

    monkeypatch.setattr(session, "run", fails)
    with pytest.raises(LucidError, match="out of memory"):
        parts.run([x], (x.shape,))
    assert not under_way
    monkeypatch.setattr(session, "run", run)
    for found, expected in zip(parts.run([x], (x.shape,)), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_fewer_sequences_than_parts() -> None:
    session, parts = separable()
    for batch in (1, 2, 0):
        x = np.random.default_rng(0).standard_normal((T, batch, I)).astype(np.float32)
        for found, expected in zip(parts.run([x], (x.shape,)), session.run([x], (x.shape,)), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_threads_end_with_the_model() -> None:
    def workers() -> int:
        return sum(thread.name.startswith("lucid.parts") for thread in threading.enumerate())

    compiled = compile(nn.LSTM(I, H).eval())
    compiled(lucid.randn(T, 6, I))
    assert workers()
    del compiled
    gc.collect()
    end = time.monotonic() + 10
    while workers() and time.monotonic() < end:
        time.sleep(0.01)
    assert not workers()
