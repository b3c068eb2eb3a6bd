"""Forked children: sessions, streams and compiled modules go on there, with threads of their own."""

from __future__ import annotations

import functools
import multiprocessing
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError
from lucid.export import to_onnx
from lucid.runtime import Session
from lucid.runtime.compiled import candidate, choice, dispatch
from lucid.runtime.compiled.workers import Workers

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a process is forked"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

SECONDS = 60


def forked(work: Callable[[], Any]) -> Any:
    """Returns what a function returns in a forked child; fails if that takes long."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def send() -> None:
        try:
            there.send(work())
        except BaseException as error:
            there.send(error)

    child = context.Process(target=send)
    child.start()
    try:
        assert here.poll(SECONDS), "the child hangs"
        answer = here.recv()
    finally:
        child.kill()
        child.join()
    if isinstance(answer, BaseException):
        raise answer
    return answer


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has compiled modules run a batch in two parts."""
    monkeypatch.setattr(dispatch, "_cores", lambda: 2)
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(self.parts != 2))


def three_calls(session: Session, x: Any) -> list[Any]:
    return [session(x)[0] for _ in range(3)]


class Loss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 8), nn.Linear(8, 1)

    def forward(self, x: Any, y: Any) -> Any:
        return nn.functional.mse_loss(self.head(self.rnn(x)[1][-1]), y)


def test_workers_begin_anew() -> None:
    workers = Workers(2, "test")
    assert workers.start(pow, 2, 3).wait() == (8, None)
    assert forked(lambda: [workers.start(pow, 2, n).wait()[0] for n in range(4)]) == [1, 2, 4, 8]
    assert forked(lambda: forked(lambda: workers.start(pow, 2, 5).wait()[0])) == 32
    assert workers.start(pow, 2, 4).wait() == (16, None)


def test_a_compiled_model_in_a_child(in_parts: None) -> None:
    rnn = nn.GRU(3, 8).eval()
    fast = lucid.compile(rnn)
    x = lucid.randn(6, 4, 3)
    expected = rnn(x)[0].detach().numpy()
    np.testing.assert_allclose(fast.tune(x)(x)[0], expected, atol=1e-6)
    assert {c.parts for c, _ in fast._cache.served.values()} == {2}
    np.testing.assert_allclose(forked(lambda: fast(x)[0].numpy()), expected, atol=1e-6)
    longer = lucid.randn(9, 5, 3)
    np.testing.assert_allclose(forked(lambda: fast(longer)[0].numpy()), rnn(longer)[0].detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(fast(x)[0], expected, atol=1e-6)


def test_a_compiled_training_step_in_a_child(in_parts: None) -> None:
    loss = Loss()
    backward = lucid.compile_backward(loss)
    x, y = lucid.randn(6, 4, 3), lucid.randn(4, 1)
    backward.tune(x, y)

    def step() -> Any:
        loss.zero_grad()
        return backward(x, y).item(), [p.grad.numpy() for p in loss.parameters() if p.grad is not None]

    value, gradients = step()
    found, others = forked(step)
    assert found == pytest.approx(value)
    assert len(others) == len(gradients) == 6
    for g, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(other, g, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("updates", [True, False])
def test_a_step_that_updates_in_a_child(monkeypatch: pytest.MonkeyPatch, updates: bool) -> None:
    monkeypatch.setattr(dispatch, "_cores", lambda: 1)
    monkeypatch.setattr(candidate.Candidate, "seconds", lambda self, *_: float(self.way.updates != updates))
    model = Loss()
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.1)
    step = lucid.compile(model, loss=lambda model, x, y: model(x, y), optimizer=optimizer)
    x, y = lucid.randn(6, 4, 3), lucid.randn(4, 1)
    step.tune(x, y)
    for _ in range(3):  # the second call binds the state
        step(x, y)

    def further() -> Any:
        return [step(x, y).item() for _ in range(3)], [p.detach().numpy() for p in model.parameters()]

    found, weights = forked(further)
    values, expected = further()
    assert found == pytest.approx(values, rel=1e-5)
    for weight, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-6)


def test_a_choice_goes_on_in_both_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the child it begins anew: another thread may have been making a piece of it."""
    monkeypatch.setattr(choice, "_PIECE", 0.0)
    rnn = nn.GRU(3, 8).eval()
    fast = lucid.compile(rnn)
    x = lucid.randn(6, 4, 3)
    expected = rnn(x)[0].detach().numpy()
    for _ in range(3):
        fast(x)

    def stands() -> bool:
        for _ in range(60):
            np.testing.assert_allclose(fast(x)[0].numpy(), expected, atol=1e-6)
        return not fast._cache.tried

    assert not any(known.fastest for known in fast._tuned.values())
    assert forked(lambda: sum(len(known.choices) for known in fast._tuned.values())) == 0
    assert forked(stands)
    assert stands()


def test_a_child_forked_while_another_thread_holds_the_lock() -> None:
    linear = nn.Linear(3, 2).eval()
    fast = lucid.compile(linear)
    session = Session(to_onnx(linear, lucid.ones(2, 3)))
    x = lucid.ones(4, 3)
    expected = linear(x).detach().numpy()
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with fast._lock, session._lock:
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        found = forked(lambda: (fast(x).numpy(), session(x)[0]))
    finally:
        over.set()
        thread.join()
    for one in found:
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_a_session_in_a_child(tmp_path: Path) -> None:
    rnn = nn.GRU(3, 64)
    exported = to_onnx(rnn, lucid.randn(5, 2, 3), path=tmp_path / "rnn.onnx")
    x = lucid.randn(50, 16, 3).numpy()
    for model in (exported, tmp_path / "rnn.onnx", (tmp_path / "rnn.onnx").read_bytes()):
        session = Session(model)
        expected = [session(x)[0] for _ in range(3)][-1]  # with buffers from the second call on
        found = forked(functools.partial(three_calls, session, x))
        for one in found:
            np.testing.assert_allclose(one, expected, atol=1e-6)
        np.testing.assert_array_equal(session(x)[0], expected)


@pytest.mark.parametrize("external", [False, True])
def test_a_session_whose_file_was_replaced_refuses(external: bool, tmp_path: Path) -> None:
    path = tmp_path / "linear.onnx"
    to_onnx(nn.Linear(3, 200), lucid.ones(2, 3), path=path, external_data=external)
    session = Session(path, verify=False)
    if external:
        (data,) = tmp_path.glob("*.data")
        data.write_bytes(bytes(data.stat().st_size))
    else:
        to_onnx(nn.Linear(3, 2, bias=False), lucid.ones(2, 3), path=path)
    with pytest.raises(LucidError, match="has changed since this session was created"):
        forked(lambda: session(lucid.ones(2, 3)))


def test_a_stream_goes_on_in_a_child() -> None:
    rnn = nn.GRU(3, 8)
    x = lucid.randn(9, 2, 3)
    stream = Session(to_onnx(rnn, x, lucid.zeros(1, 2, 8))).stream(batch=2)
    whole = rnn(x)[0].detach().numpy()
    np.testing.assert_allclose(stream(x[:3])["output"], whole[:3], atol=1e-6)
    np.testing.assert_allclose(stream(x[3:4])["output"], whole[3:4], atol=1e-6)
    rest = forked(lambda: [stream(x[4:5])["output"], stream(x[5:])["output"]])
    np.testing.assert_allclose(np.concatenate(rest), whole[4:], atol=1e-6)
    # The parent's states are its own.
    np.testing.assert_allclose(stream(x[4:])["output"], whole[4:], atol=1e-6)


def test_an_export_in_a_child() -> None:
    x = lucid.ones(2, 3)
    to_onnx(nn.Linear(3, 2), x)
    assert forked(lambda: to_onnx(nn.Linear(3, 2), x).operators) == {"Gemm": 1}
