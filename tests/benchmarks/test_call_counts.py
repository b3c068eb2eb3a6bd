"""How many of lucid's functions a small op, a gradient, a step of an optimizer or stream, and a compiled call enter.

This is the overhead over NumPy and onnxruntime, counted rather than timed. If a change lowers a count, lower its limit
here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.runtime import Session
from lucid.runtime.compiled import dispatch
from lucid.runtime.session.buffer import OPTIONS
from tests.tiers import thinned

PACKAGE = str(Path(lucid.__file__).parent)

EAGER, RECORDED = 4, 10
BACKWARD = 31
STEP, EACH_PARAMETER = 19, 1
STREAM, COMPILED = 1, 12
EXPORTS = 1


def entered(call: Callable[[], Any]) -> Counter[str]:
    """Counts the calls of lucid's functions in a call after the first.

    Comprehensions do not count: only some Python versions call them.
    """
    call()
    return entered_once(call)


def entered_once(call: Callable[[], Any]) -> Counter[str]:
    """Counts the calls of lucid's functions in this one."""
    found: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            found[code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize(("recorded", "allowed"), [(False, EAGER), (True, RECORDED)], ids=["eager", "recorded"])
def test_functions_of_an_op(recorded: bool, allowed: int) -> None:
    x = lucid.ones(4, 4, requires_grad=recorded)
    found = entered(lambda: lucid.mul(x, x))
    assert found.total() <= allowed, found


def test_functions_of_a_gradient() -> None:
    x = lucid.ones(4, 4, requires_grad=True)
    g = lucid.ones(4, 4)

    y = lucid.neg(x)

    def once() -> None:
        x.grad = None
        y.backward(g, retain_graph=True)

    found = entered(once)
    assert found.total() <= BACKWARD, found


def test_functions_of_an_optimizer_step() -> None:
    """Small parameters are updated together: one update, in place, for any number of them."""
    totals = []
    for layers in (1, 3):
        params = list(nn.RNN(2, 3, num_layers=layers).parameters())
        for p in params:
            p.grad = lucid.ones(*p.shape)
        found = entered(optim.Adam(params).step)
        assert (found["run"], found["update"]) == (1, 0)
        totals.append((len(params), found.total()))
    (few, first), (many, second) = totals
    assert (second - first) / (many - few) <= EACH_PARAMETER, totals
    assert first - few * EACH_PARAMETER <= STEP, totals


def test_functions_of_a_step_of_a_stream() -> None:
    """Arrays are bound to onnxruntime once, and its run options are made once."""
    stream = Session(lucid.export.to_onnx(nn.RNN(3, 4), lucid.randn(1, 1, 3), lucid.zeros(1, 1, 4))).stream()
    x = np.ones((1, 1, 3), np.float32)
    stream(x)
    found = entered(lambda: stream(x))
    assert found.total() <= STREAM, found
    assert all(binding.run.args[-1] is OPTIONS for binding in stream._pieces.bindings)  # type: ignore[attr-defined]


def test_functions_of_a_compiled_call() -> None:
    model = lucid.compile(nn.RNN(3, 4).eval())
    x = lucid.randn(5, 1, 3)
    model.tune(x)
    for _ in range(2):  # the second call allocates the buffers
        model(x)
    found = entered(lambda: model(x))
    assert found.total() <= COMPILED, found


@pytest.mark.parametrize("way", ["inference", "gradients", "step"])
@pytest.mark.parametrize("layer", thinned(["RNN", "LSTM", "GRU"], 3))
def test_exports_of_the_first_calls(monkeypatch: pytest.MonkeyPatch, layer: str, way: str) -> None:
    """An export takes most of a first call, so no call makes two, and the first times nothing."""
    monkeypatch.setattr(dispatch, "_cores", lambda: 2)
    model = getattr(nn, layer)(3, 4)
    x, g = lucid.randn(20, 32, 3), lucid.randn(20, 32, 4)
    if way == "inference":
        inference = lucid.compile(model.eval())
        call: Callable[[], Any] = lambda: inference(x)  # noqa: E731 - one of three
    elif way == "gradients":
        backward = lucid.compile_backward(model)
        call = lambda: backward(x, gradient=g)  # noqa: E731
    else:
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        step = lucid.compile(model, loss=lambda model, x, g: (model(x)[0] * g).sum(), optimizer=optimizer)
        call = lambda: step(x, g)  # noqa: E731
    for number in range(6):
        found = entered_once(call)
        assert found["prove"] <= EXPORTS, found
        assert number or (found["prove"], found["seconds"]) == (EXPORTS, 0)
