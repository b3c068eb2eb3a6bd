"""How many functions of lucid's own a small op, a gradient and a step of an optimizer go through: what they cost beside
NumPy, counted and not timed. Fewer are welcome, and then the numbers here go down with them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import lucid
from lucid import nn, optim

PACKAGE = str(Path(lucid.__file__).parent)

EAGER, RECORDED = 4, 10
BACKWARD = 31
STEP, EACH_PARAMETER = 17, 2


def entered(call: Callable[[], Any]) -> Counter[str]:
    """The functions of lucid that a call enters, and how often; comprehensions are not functions on every Python."""
    found: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            found[code.co_name] += 1

    call()
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
    """Small parameters are updated together, so there is one update, in place, however many they are."""
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
