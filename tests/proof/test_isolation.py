"""Isolation: what the runs of an export change, no other thread sees, and what other threads change stays."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import ExportError
from lucid.export import to_onnx


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Repeats some work in another thread as long as the block runs; gives the results, and raises its error."""
    results: list[Any] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def repeat() -> None:
        try:
            while not over.is_set():
                results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=repeat)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        yield results
    finally:
        while not results and not errors:
            time.sleep(0.001)
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(4, 4), nn.Dropout(0.5)

    def forward(self, x: Any) -> Any:
        y = self.linear(x) + 10
        return self.dropout(y) if self.training else self.dropout(y) * 1


def exports(model: nn.Module) -> Callable[[], Any]:
    return lambda: to_onnx(model, np.ones((3, 4), np.float32))


def compiles(model: nn.Module) -> Callable[[], Any]:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = model

        def forward(self, x: Any) -> Any:
            return self.part.linear(x).sum()

    return lambda: lucid.compile_backward(Both())(lucid.ones(3, 4))


@pytest.mark.parametrize("work", [exports, compiles])
def test_dropout_acts_in_a_forward_pass_beside_an_export(work: Callable[[nn.Module], Callable[[], Any]]) -> None:
    model = Dropping()
    x = lucid.ones(64, 4)
    with beside(lambda: (model.training, model.dropout.training, bool((model(x) == 0).any()))) as seen:
        work(model)()
    assert set(seen) == {(True, True, True)}


def test_an_export_beside_training_runs_in_evaluation_mode() -> None:
    model = Dropping()
    seen: list[bool] = []

    class Says(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            seen.append(self.training or self.model.training or self.model.dropout.training)
            return self.model(x)

    says = Says()

    def switches() -> None:
        says.train()
        model.eval()

    with beside(switches):
        exported = to_onnx(says, np.ones((3, 4), np.float32))
    assert not any(seen)
    assert "Dropout" not in exported.operators
    assert says.training
    assert not model.training


def test_random_numbers_beside_an_export_are_those_of_the_seed() -> None:
    lucid.manual_seed(0)
    expected = [lucid.rand(3).tolist() for _ in range(50)]
    seen: deque[list[float]] = deque()  # runs restore lists, and no other objects

    class Draws(nn.Module):
        def forward(self, x: Any) -> Any:
            lucid.rand(2)
            lucid.manual_seed(3)
            if len(seen) < 50:
                drawing.set()
                time.sleep(0.002)
            return x * 2

    drawing = threading.Event()

    def draw() -> None:
        for _ in range(50):
            drawing.wait(0.01)
            seen.append(lucid.rand(3).tolist())

    lucid.manual_seed(0)
    thread = threading.Thread(target=draw)
    thread.start()
    to_onnx(lambda x: Draws()(x), np.ones((3, 4), np.float32))
    thread.join()
    assert list(seen) == expected


def test_each_run_draws_the_same_numbers() -> None:
    lucid.manual_seed(5)
    expected = lucid.rand(4).tolist()
    lucid.manual_seed(5)
    drawn: deque[list[float]] = deque()  # runs restore lists, and no other objects

    def noted(x: Any) -> Any:
        drawn.append(lucid.rand(4).tolist())
        return x * 2

    to_onnx(noted, np.ones((3, 4), np.float32))
    assert drawn.count(expected) > 2
    assert lucid.rand(4).tolist() == expected


class Steps(nn.Module):
    """A model that another thread trains, and whose attributes it assigns."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("scale", lucid.ones(4))
        self.step = 0
        self.last = 0.0

    def forward(self, x: Any) -> Any:
        self.last = 1.0
        return self.linear(x) * self.scale


def test_what_another_thread_assigns_beside_an_export_stays() -> None:
    model = Steps()

    def train() -> None:
        model.step += 1
        model.linear(lucid.ones(2, 4)).sum().backward()
        model.linear.extra = model.step

    with beside(train) as calls:
        to_onnx(model, np.ones((3, 4), np.float32))
    assert model.step == model.linear.extra == len(calls)
    assert model.last == 0.0
    gradient = model.linear.weight.grad
    assert gradient is not None
    np.testing.assert_array_equal(gradient.numpy(), np.full((4, 4), 2.0 * len(calls), np.float32))


def test_modes_that_a_run_switches_stay_in_it() -> None:
    class Switches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dropout = nn.Dropout(0.5)

        def forward(self, x: Any) -> Any:
            self.dropout.train()
            assert self.dropout.training
            self.dropout.eval()
            return self.dropout(x) * 2

    model = Switches()
    with beside(lambda: model.dropout.training) as seen:
        to_onnx(model, np.ones((3, 4), np.float32))
    assert set(seen) == {True}


def test_a_mode_that_is_a_state_is_named() -> None:
    class Alternates(nn.Module):
        def forward(self, x: Any) -> Any:
            self.training = not self.training
            return x * 2 if self.training else x * 3

    with pytest.raises(ExportError, match=r"Alternates\.training"):
        to_onnx(Alternates(), np.ones((3, 4), np.float32))


def test_gradients_and_globals_that_runs_write_are_restored() -> None:
    weight = nn.Parameter(lucid.ones(4))
    count = 0

    class Trains(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: Any) -> Any:
            nonlocal count
            count += 1
            self.zero_grad()
            (x * self.weight).sum().backward()
            return self.weight.grad

    weight.grad = before = lucid.ones(4)
    to_onnx(Trains(), np.ones((3, 4), np.float32))
    assert weight.grad is before
    assert count == 0
